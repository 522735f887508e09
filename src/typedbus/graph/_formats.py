"""Graphs as text for other drawing tools: Mermaid and Graphviz."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from typedbus.graph._model import COLOURS, DASHED, ContainerNode, Direction, Node, Picture, printable

_AXES: Final[Mapping[Direction, str]] = {"right": "LR", "down": "TB"}
_LINE = COLOURS["component"][1]
_CHANNEL = COLOURS["channel"][1]
_FAULT = COLOURS["fault"][1]


def mermaid(picture: Picture, direction: Direction) -> str:
    """Return a flowchart of *picture*."""
    quoted, ids = quoted_for_mermaid, picture.ids
    lines = ["---", f"title: {json.dumps(printable(picture.container))}", "---", f"flowchart {_AXES[direction]}"]
    for depth, name, shown in picture.outline():
        if isinstance(shown, Node):
            line = f"{name}[{quoted(picture.label(shown), *shown.remarks)}]:::{shown.kind}"
        elif isinstance(shown, ContainerNode):
            line = f"subgraph {name}[{quoted(shown.name)}]"
        else:
            line = "end"
        lines.append("  " * depth + line)
    lines.extend(f"  c{number}([{quoted(channel.name)}]):::channel" for number, channel in enumerate(picture.channels))
    lines.extend(f"  f{number}[{quoted(fault)}]:::fault" for number, fault in enumerate(picture.faults))
    lines.extend(f"  {ids[edge.source]} {'-.->' if edge.lazy else '-->'} {ids[edge.target]}" for edge in picture.edges)
    for number, channel in enumerate(picture.channels):
        later, earlier = channel.later, channel.earlier
        lines.extend(f"  {ids[holder]} {'-.-o' if holder in later else '--o'} c{number}" for holder in channel.holders)
        lines.extend(
            f"  c{number} {'-.->' if listener.path in earlier else '-->'}|{quoted(listener.method)}| {ids[listener.path]}"
            for listener in channel.listeners
        )
    for kind, (fill, stroke) in COLOURS.items():
        dashes = ",stroke-dasharray:4 3" if kind in DASHED else ""
        lines.append(f"  classDef {kind} fill:{fill},stroke:{stroke},color:#0f172a{dashes}")
    if picture.centre:
        lines.append(f"  style {ids[picture.centre]} stroke-width:3px")
    # Mermaid identifies lines only by number.
    circles = [str(number) for number, edge in enumerate(picture.edges) if edge.circle]
    if circles:
        lines.append(f"  linkStyle {','.join(circles)} stroke:{_FAULT}")
    return "\n".join(lines) + "\n"


def dot(picture: Picture, direction: Direction) -> str:
    """Return a digraph of *picture* for Graphviz."""
    quoted, ids = _quoted_for_dot, picture.ids
    lines = [
        f"digraph {quoted(picture.container)} {{",
        f"  graph [rankdir={_AXES[direction]}, labelloc=t, fontname=Helvetica, label={quoted(picture.container, *picture.faults)}];",
        '  node [shape=box, style="rounded,filled", fontname=Helvetica, fontsize=11];',
        f'  edge [color="{_LINE}", fontname=Helvetica, fontsize=9];',
    ]
    for depth, name, shown in picture.outline():
        indent = "  " * depth
        if isinstance(shown, Node):
            fill, stroke = COLOURS[shown.kind]
            dashed = ', style="rounded,filled,dashed"' if shown.kind in DASHED else ""
            label = quoted(picture.label(shown), *shown.remarks)
            width = ", penwidth=3" * (shown.path == picture.centre)
            lines.append(f'{indent}{name} [label={label}, fillcolor="{fill}", color="{stroke}"{dashed}{width}];')
        elif isinstance(shown, ContainerNode):
            lines.append(f"{indent}subgraph cluster_{name} {{")
            lines.append(f'{indent}  graph [label={quoted(shown.name)}, style=rounded, color="#cbd5e1"];')
        else:
            lines.append(f"{indent}}}")
    for number, channel in enumerate(picture.channels):
        look = f'shape=ellipse, style=filled, fillcolor="{COLOURS["channel"][0]}", color="{_CHANNEL}"'
        lines.append(f"  c{number} [label={quoted(channel.name)}, {look}];")
    for edge in picture.edges:
        look = f'style={"dashed" if edge.lazy else "solid"}, color="{_FAULT if edge.circle else _LINE}"'
        lines.append(f"  {ids[edge.source]} -> {ids[edge.target]} [{look}];")
    for number, channel in enumerate(picture.channels):
        later, earlier = channel.later, channel.earlier
        looks = {False: f'color="{_CHANNEL}"', True: f'color="{_CHANNEL}", style=dotted'}
        lines.extend(
            f"  {ids[holder]} -> c{number} [arrowhead=dot, {looks[holder in later]}];" for holder in channel.holders
        )
        lines.extend(
            f"  c{number} -> {ids[listener.path]} [label={quoted(listener.method)}, {looks[listener.path in earlier]}];"
            for listener in channel.listeners
        )
    return "\n".join([*lines, "}"]) + "\n"


def quoted_for_mermaid(*lines: str) -> str:
    """Return the label of a box with these lines."""
    # Mermaid has no escapes except character codes.
    escaped = ["".join(f"#{ord(char)};" if char in '"#&<>`\\' else char for char in printable(line)) for line in lines]
    return f'"{"<br/>".join(escaped)}"'


def _quoted_for_dot(*lines: str) -> str:
    escaped = "\\n".join(printable(line).replace("\\", "\\\\").replace('"', '\\"') for line in lines)
    return f'"{escaped}"'
