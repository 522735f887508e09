"""The command `typedbus channels`."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from typedbus.cli._options import FAULTS, FILE, OK, STDOUT, Command, InvalidInput, targets_or_default
from typedbus.cli._writing import by_suffix, write

if TYPE_CHECKING:
    from typedbus.catalogue import Catalogue, Change

_SUFFIXES: Final = {".json": "json", ".md": "markdown", ".html": "html"}


@click.command(cls=Command)
@click.argument("targets", metavar="MODULE:NAME...", nargs=-1)
@click.option(
    "--source",
    "sources",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="PATH",
    help="Read the modules in this folder, or this file; repeatable. Default: the package of each container.",
)
@click.option(
    "--format",
    "shape",
    type=click.Choice(["text", "markdown", "html", "json", "asyncapi", "github"]),
    help="Default: by the suffix of FILE: .md, .html or .json; otherwise text. github is for --check and --unused.",
)
@click.option("--output", type=FILE, default=STDOUT, metavar="FILE", help="Write to FILE; default: stdout.")
@click.option(
    "--check",
    "committed",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="List the changes since this file, which --format json wrote, and whom each breaks.",
)
@click.option(
    "--breaks",
    type=click.Choice(["any", "publishers", "listeners"]),
    help="With --check, fail only for changes that break publishers, listeners, or any of both; default: for each change.",
)
@click.option(
    "--unused", is_flag=True, help="List only channels without publishers or listeners, and fail if there are any."
)
@click.option("--all", "every", is_flag=True, help="With asyncapi, include channels without remote ports.")
def channels(
    targets: Sequence[str],
    *,
    sources: Sequence[Path],
    shape: str | None,
    output: Path,
    committed: Path | None,
    breaks: str | None,
    unused: bool,
    every: bool,
) -> int:
    """
    List the channels of a code base.

    For each channel: its signature, its docs, where it is declared, where it is
    published and listened to, and its remote ports. Modules are imported, their
    source is read, and the components of the containers are inspected; no
    component is constructed. Several containers are inspected together, as `run`
    starts them.

    With --check, the changes of signatures since a committed file are listed. A
    publisher is broken by a new parameter, a listener also by one with a default.

    \b
    Examples:
      typedbus channels app.container:Shop
      typedbus channels app.container:Shop --output channels.json
      typedbus channels app.container:Shop --check channels.json --format github
      typedbus channels app.container:Shop --format asyncapi --output asyncapi.json

    \b
    Exit status:
      0  the channels are listed
      1  --check found a change, or --unused a channel
      2  nothing could be listed, or FILE cannot be written or read
    """  # noqa: D301  # click leaves the lines of such a paragraph as they are
    from typedbus.catalogue import Catalogue, UnreadableCatalogue, changes
    from typedbus.catalogue._sources import modules_below, package_of
    from typedbus.cli._target import load

    if breaks is not None and committed is None:
        raise click.UsageError("--breaks has no effect without --check; add --check FILE")
    if shape == "github" and committed is None and not unused:
        raise click.UsageError("--format github annotates changes: add --check FILE or --unused")
    with contextlib.redirect_stdout(sys.stderr):
        targets = targets_or_default(targets)
        containers = [load(target) for target in targets]
        if not sources:
            packages = {target: package_of(target.partition(":")[0]) for target in targets}
            missing = [target for target, package in packages.items() if package is None]
            if missing:
                raise InvalidInput(f"{missing[0]} is in no package: name the folders with the code, --source src")
            sources = [package for package in dict.fromkeys(packages.values()) if package is not None]
        catalogue = Catalogue.of(containers, modules=[name for source in sources for name in modules_below(source)])
    for one in catalogue.unread:
        click.echo(f"{one.module} cannot be imported, its channels and uses are missing: {one.reason}", err=True)
    if committed is not None:
        try:
            old = Catalogue.load(committed.read_text(encoding="utf-8"))
        except (OSError, UnicodeError, UnreadableCatalogue) as error:
            raise InvalidInput(f"cannot read {committed}: {error}") from None
        found = changes(old, catalogue)
        _write(_changes_text(found, shape), output)
        return FAULTS if any(map(_fails(breaks), found)) else OK
    if unused:
        _write(_unused_text(catalogue, shape), output)
        return FAULTS if any(channel.verdict for channel in catalogue.channels) else OK
    match shape or by_suffix(output, _SUFFIXES):
        case "json":
            text = catalogue.json()
        case "markdown":
            text = catalogue.markdown()
        case "html":
            text = catalogue.html()
        case "asyncapi":
            text = catalogue.asyncapi(
                title=", ".join(type(container).__name__ for container in containers), every=every
            )
        case _:
            text = catalogue.text()
    _write(text, output)
    return OK


def _write(text: str, output: Path) -> None:
    try:
        write(text, output)
    except OSError as error:
        raise click.UsageError(f"cannot write {output}: {error.strerror}") from None


def _fails(breaks: str | None) -> Callable[[Change], bool]:
    match breaks:
        case "publishers":
            return lambda change: change.breaks_publishers
        case "listeners":
            return lambda change: change.breaks_listeners
        case "any":
            return lambda change: bool(change.breaks)
        case _:
            return lambda _change: True


def _changes_text(found: Sequence[Change], shape: str | None) -> str:
    from typedbus.cli._fault_formats import github_annotation

    if shape == "github":
        return "".join(
            github_annotation(
                "error" if change.breaks else "notice",
                "Channel",
                f"{change.key}: {change.text}" + (f"; breaks {change.breaks}" if change.breaks else ""),
                change.file,
                change.line,
            )
            for change in found
        )
    if shape == "json":
        import json

        import attrs

        return json.dumps([attrs.asdict(change) for change in found], indent=2, ensure_ascii=False) + "\n"
    lines = [
        f"{f'{change.file}:{change.line}: ' if change.file else ''}{change.key}: {change.text}"
        f"{f' [breaks {change.breaks}]' if change.breaks else ''}\n"
        for change in found
    ]
    return "".join(lines) or "no change\n"


def _unused_text(catalogue: Catalogue, shape: str | None) -> str:
    from typedbus.cli._fault_formats import github_annotation

    found = [channel for channel in catalogue.channels if channel.verdict]
    if shape == "github":
        return "".join(
            github_annotation("warning", "Channel", f"{one.name}: {one.verdict}", one.file, one.line) for one in found
        )
    return "".join(f"{one.file}:{one.line}: {one.name}: {one.verdict}\n" for one in found) or "every channel is used\n"
