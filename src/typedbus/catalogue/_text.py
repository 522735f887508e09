"""The catalogue as text for a terminal, and as Markdown."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from typedbus.catalogue._model import CatalogueChannel, Port, Use
from typedbus.graph._formats import quoted_for_mermaid

if TYPE_CHECKING:
    from typedbus.catalogue import Catalogue

_QUALIFIED: Final = re.compile(r"\b(?:[^\W\d]\w*\.)+(?=[^\W\d])")


def short(text: str) -> str:
    """Return a type or a signature without the modules of its classes."""
    return _QUALIFIED.sub("", text)


def heading(channel: CatalogueChannel) -> str:
    """Return the name and the short signature of *channel*."""
    return f"{'async ' * channel.is_async}{channel.name}{short(channel.signature)}"


def use_text(use: Use) -> str:
    """Return the component and the function of *use*, and the priority of a listener if it is not the default."""
    name = use.name.rpartition(".")[2] if use.component else use.name
    text = f"{use.component}{'.' * bool(use.component and name)}{name}" or "module"
    return f"{text} (priority {use.priority})" if use.priority not in (None, 50) else text


def port_text(port: Port) -> str:
    """Return the component of *port*, its stream and its group."""
    details = [f"{name} {value}" for name, value in (("stream", port.stream), ("group", port.group)) if value]
    return f"{port.component} ({', '.join(details)})" if details else port.component


def by_module(channels: Iterable[CatalogueChannel]) -> dict[str, list[CatalogueChannel]]:
    """Return *channels* by the module that declares them, in order."""
    modules: dict[str, list[CatalogueChannel]] = defaultdict(list)
    for channel in channels:
        modules[channel.key.partition(":")[0]].append(channel)
    return dict(sorted(modules.items()))


def text(catalogue: Catalogue) -> str:
    """Return *catalogue* for a terminal: a paragraph for each channel, with places that editors can open."""
    lines: list[str] = []
    for channel in catalogue.channels:
        lines += [f"{channel.file}:{channel.line}: {heading(channel)}"]
        lines += [f"    {line}" for line in channel.doc.partition("\n\n")[0].splitlines()]
        lines += [f"    deprecated: {channel.deprecated}"] if channel.deprecated else []
        lines += [f"    {use.how:<10} {use_text(use)}  {use.file}:{use.line}" for use in channel.shown_uses]
        lines += [f"    {port.kind:<10} {port_text(port)}" for port in channel.ports]
        lines += [f"    ! {channel.verdict}"] if channel.verdict else []
        lines.append("")
    lines += [
        f"{one.file}:{one.line}: the channel in {one.source} is known only at run time" for one in catalogue.dynamic
    ]
    lines += [f"{one.module} cannot be imported, its uses are missing: {one.reason}" for one in catalogue.unread]
    verdicts = sum(channel.verdict is not None for channel in catalogue.channels)
    number = len(catalogue.channels)
    lines.append(f"{number} channel{'' if number == 1 else 's'}, {verdicts} with a verdict")
    return "\n".join(lines) + "\n"


def markdown(catalogue: Catalogue) -> str:
    """Return *catalogue* as Markdown: a heading for each module and each channel, tables of uses, and a diagram of each module."""
    lines = ["# Channels", ""]
    for module, channels in by_module(catalogue.channels).items():
        lines += [f"## `{module}`", "", *_mermaid(channels), ""]
        for channel in channels:
            lines += [f"### {_escaped(channel.name)}", "", f"```python\n{heading(channel)}\n```", ""]
            lines += [f"**Deprecated**: {_escaped(channel.deprecated)}", ""] if channel.deprecated else []
            lines += [channel.doc, ""] if channel.doc else []
            lines += [f"Declared in [{channel.file}:{channel.line}]({channel.file}#L{channel.line})."]
            lines += [f"**{channel.verdict.capitalize()}.**"] if channel.verdict else []
            rows = [
                *(
                    (use.how, use_text(use), f"[{use.file}:{use.line}]({use.file}#L{use.line})")
                    for use in channel.shown_uses
                ),
                *((port.kind, port_text(port), "") for port in channel.ports),
            ]
            if rows:
                lines += ["", "| | | |", "|---|---|---|"]
                lines += [f"| {how} | {_escaped(name)} | {place} |" for how, name, place in rows]
            lines.append("")
    return "\n".join(lines)


def _mermaid(channels: list[CatalogueChannel]) -> Iterator[str]:
    """Yield a flowchart from the publishers through *channels* to the listeners."""
    yield "```mermaid"
    yield "flowchart LR"
    ids: dict[str, str] = {}

    def node(name: str) -> str:
        return ids.setdefault(name, f"u{len(ids)}")

    edges: dict[str, None] = {}
    for number, channel in enumerate(channels):
        yield f"  c{number}([{quoted_for_mermaid(channel.name)}])"
        for use in channel.used("publishes", "holds"):
            edges[f"  {node(use.component or use.name or use.file)} --> c{number}"] = None
        for use in channel.used("listens", "watches"):
            edges[f"  c{number} --> {node(use.component or use.name or use.file)}"] = None
    yield from (f"  {key}[{quoted_for_mermaid(name)}]" for name, key in ids.items())
    yield from edges
    yield "```"


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", " ".join(text.split()))
