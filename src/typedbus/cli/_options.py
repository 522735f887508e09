"""Commands that group their options in the help, and take missing ones from the defaults of the working directory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click

OK: Final = 0
FAULTS: Final = 1
#: Exit status of the Linux Standard Base for a service whose state is unknown.
UNKNOWN: Final = 4
STDOUT: Final = Path("-")
#: The defaults that apply to every command.
_COMMON: Final = ("targets", "pidfile")
F = TypeVar("F", bound=Callable[..., object])
FILE: Final = click.Path(dir_okay=False, writable=True, allow_dash=True, path_type=Path)


class InvalidInput(click.ClickException):
    """Raised for arguments, settings or files that a command cannot use; nothing was done, and the exit status is 2."""

    exit_code = 2


class Option(click.Option):
    """
    An option that belongs to a section of the help.

    With *bare* it may be given without a value, as ``--inspect``, which means that value; a value then follows an equals
    sign. click would take the next argument for the value.
    """

    def __init__(self, names: Sequence[str], section: str = "", bare: str | None = None, **attributes: Any) -> None:
        super().__init__(names, **attributes)
        self.section = section
        self.bare = bare


class Command(click.Command):
    """
    A command whose options are grouped in its help.

    Parameters that the command line does not give come from typedbus.toml, or from
    [tool.typedbus] of pyproject.toml; see `_defaults`.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        bare = {
            name: f"{name}={param.bare}"
            for param in self.params
            if isinstance(param, Option) and param.bare
            for name in param.opts
        }
        end = args.index("--") if "--" in args else len(args)
        args = [*(bare.get(arg, arg) for arg in args[:end]), *args[end:]]
        # --help works even if the defaults are invalid.
        if not ctx.resilient_parsing and not {*ctx.help_option_names} & {*args}:
            from typedbus.cli._defaults import defaults

            values = defaults(ctx)
            # An option of the same name may mean something else in another command.
            ctx.default_map = (
                values if self.name == "run" else {name: values[name] for name in _COMMON if name in values}
            )
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, each section under its name, in the order in which they are declared."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            # Some versions of click have a record for arguments as well.
            if record is not None and not isinstance(param, click.Argument):
                sections.setdefault(getattr(param, "section", "") or "Options", []).append(record)
        for section, records in sections.items():
            with formatter.section(section):
                formatter.write_dl(records)


def targets_or_default(targets: Sequence[str]) -> Sequence[str]:
    """
    Return *targets*, or if it is empty the targets of the defaults.

    Raises:
        UsageError: The defaults have no targets either.
    """
    # Some versions of click ignore the default map for an argument with nargs=-1.
    targets = targets or (click.get_current_context().default_map or {}).get("targets", ())
    if not targets:
        raise click.UsageError("no container is given: name it as MODULE:NAME, or set target in typedbus.toml")
    return targets


def umask(value: str | int) -> int:
    """Return the file-creation mask (umask), which is given in octal."""
    try:
        mask = value if isinstance(value, int) else int(value, 8)
    except ValueError:
        mask = -1
    if not 0 <= mask <= 0o777:  # noqa: PLR2004  # all permission bits
        raise click.BadParameter(f"{value!r} is not a umask: give three octal digits, for example 027")
    return mask


def account(value: str | int) -> str | int:
    """Return the name of a user or group, or the id if *value* consists of digits."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


def assignment(text: str) -> tuple[str, str]:
    """Return the setting and its value from KEY=VALUE."""
    key, sign, value = text.partition("=")
    if not sign or not all(key.split(".")):
        # The message leaves out the value, which may be a secret.
        raise click.BadParameter("a setting is written as section.key=value")
    return key, value


def pidfile(*, is_needed: bool) -> Callable[[F], F]:
    """Return the option that names a PID file."""
    help_text = (
        "The PID file of the process."
        if is_needed
        else "Hold this PID file, so that only one such process runs at a time."
    )
    return click.option(
        "--pidfile",
        cls=Option,
        type=click.Path(path_type=Path),
        required=is_needed,
        metavar="FILE",
        section="" if is_needed else "Process",
        help=help_text,
    )
