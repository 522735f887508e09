"""Graphs as SVG, with boxes sized by their text and a legend of the colours."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Sequence
from itertools import pairwise
from typing import Final
from xml.etree import ElementTree as ET

from typedbus.graph._geometry import Arc, Box, Lane, Point, Rect
from typedbus.graph._layout import arrange
from typedbus.graph._model import COLOURS, DASHED, ChannelNode, Direction, Node, Picture, printable

_FONT: Final = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
# The approximate width of a letter in these fonts, relative to the font size.
_LETTER: Final = 0.605
_NAME: Final = 12
_SMALL: Final = 10
_PADDING: Final = 10.0
_STEP: Final = 13.0
_MARGIN: Final = 16.0
_LINE: Final = COLOURS["component"][1]
_CHANNEL: Final = COLOURS["channel"][1]
_FAULT: Final = COLOURS["fault"][1]
_ARROW: Final = "M0,0L8,4L0,8z"
_ENDS: Final = {
    "arrow": _ARROW,
    "arrow-circle": _ARROW,
    "arrow-listens": _ARROW,
    "dot": "M2,4a3,3 0 1 0 6,0a3,3 0 1 0 -6,0",
}
_MARKER: Final = {
    "viewBox": "0 0 8 8",
    "refX": "8",
    "refY": "4",
    "markerWidth": "8",
    "markerHeight": "8",
    "markerUnits": "userSpaceOnUse",
    "orient": "auto",
}
_MEANINGS: Final = {
    "component": "component",
    "scoped": "one in each scope",
    "overridden": "overridden",
    "conditional": "conditional",
    "off": "disabled",
    "fault": "has a fault",
    "channel": "channel",
    "needs": "needs",
    "lazy": "needs later",
    "circle": "in a cycle",
    "holds": "holds",
    "listens": "listens",
    "ordered": "starts after the listener",
}
_STYLE: Final = "".join(
    (
        f"text{{font-family:{_FONT};font-size:{_SMALL}px;fill:#475569}}",
        f".name{{font-size:{_NAME}px;font-weight:600;fill:#0f172a}}",
        f".title{{font-size:{_NAME + 3}px;font-weight:600;fill:#0f172a}}",
        *(f".{kind} rect{{fill:{fill};stroke:{stroke}}}" for kind, (fill, stroke) in COLOURS.items()),
        f"{','.join(f'.{kind} rect' for kind in DASHED)}{{stroke-dasharray:4 3}}.off text{{fill:#64748b}}",
        ".middle{text-anchor:middle}.end{text-anchor:end}.ground{fill:#fbfcfe}.frame rect{fill:#f1f5f9;fill-opacity:.7;stroke:#cbd5e1}",
        f"path{{fill:none;stroke-width:1.2;stroke:{_LINE};marker-end:url(#arrow)}}.lazy{{stroke-dasharray:5 4}}",
        f".circle{{stroke:{_FAULT};stroke-width:1.8;marker-end:url(#arrow-circle)}}",
        f".listens{{stroke:{_CHANNEL};marker-end:url(#arrow-listens)}}.holds{{stroke:{_CHANNEL};marker-end:url(#dot)}}",
        f".ordered{{stroke:{_CHANNEL};stroke-dasharray:1 4;stroke-linecap:round}}",
        f".note{{fill:{_FAULT}}}marker path{{stroke:none;marker-end:none}}",
        f"#arrow path{{fill:{_LINE}}}#arrow-circle path{{fill:{_FAULT}}}",
        f"#arrow-listens path,#dot path{{fill:{_CHANNEL}}}",
    )
)
_EMPHASIS: Final = ".centre rect{stroke-width:3}"


def draw(picture: Picture, direction: Direction = "right") -> str:
    """
    Return *picture* as SVG.

    Components have the ids ``n0``, ``n1``, … in order of declaration, channels
    ``c0``, containers ``g0``; a line has ``e0``, or ``c0-h0`` and ``c0-l0`` at a channel.
    """
    homes, arcs, lines = _lines(picture)
    lanes = {container.path: number for number, container in enumerate(picture.containers)}
    sizes = [_size(picture.label(node), node) for node in picture.nodes]
    sizes += [_size(printable(channel.name), channel) for channel in picture.channels]
    layout = arrange(
        [Box(*size, lanes[home]) for size, home in zip(sizes, homes, strict=True)],
        arcs,
        [
            Lane(lanes.get(container.around, -1), _width(container.name, _NAME) + 2 * _PADDING)
            for container in picture.containers
        ],
        direction,
    )
    svg = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "role": "img"})
    _add(svg, "title", f"The container {picture.container}")
    ET.SubElement(svg, "style").text = _STYLE + (_EMPHASIS if picture.centre else "")
    defs = ET.SubElement(svg, "defs")
    for name, shape in _ENDS.items():
        marker = ET.SubElement(defs, "marker", {"id": name, **_MARKER})
        ET.SubElement(marker, "path", {"d": shape})
    whole = layout.frames[0]
    ground = ET.SubElement(svg, "rect", {"class": "ground"})
    _add(svg, "text", picture.container, "title", (whole.x + _PADDING, whole.y + 14))
    for number, (container, frame) in enumerate(zip(picture.containers, layout.frames, strict=True)):
        if container.around:
            group = ET.SubElement(
                svg, "g", {"id": f"g{number}", "class": "frame", "data-path": printable(container.path)}
            )
            _rect(group, frame, 8)
            _add(group, "text", container.name, "name", (frame.x + _PADDING, frame.y + 17))
    for (name, kind, title), route in zip(lines, layout.routes, strict=True):
        _add(ET.SubElement(svg, "path", {"id": name, "class": kind, "d": _curve(route, direction)}), "title", title)

    notes: dict[str, list[str]] = {text: [picture.container] for text in picture.faults}
    for node in picture.nodes:
        for text in node.faults:
            notes.setdefault(text, []).append(node.path)
    numbers_of = {text: str(number) for number, text in enumerate(notes, 1)}
    for number, (node, place) in enumerate(zip(picture.nodes, layout.boxes, strict=False)):
        kind = f"{node.kind} centre" if node.path == picture.centre else node.kind
        group = ET.SubElement(svg, "g", {"id": f"n{number}", "class": kind, "data-path": printable(node.path)})
        _add(group, "title", "; ".join([f"{node.path}: {node.cls}", *node.faults]))
        _rect(group, place, 5)
        middle = place.x + place.width / 2
        _add(group, "text", picture.label(node), "name middle", (middle, place.y + 19))
        for count, remark in enumerate(node.remarks):
            _add(group, "text", remark, "middle", (middle, place.y + 33 + _STEP * count))
        if node.faults:
            numbers = " ".join(numbers_of[text] for text in node.faults)
            _add(group, "text", numbers, "note end", (place.right - 4, place.y + 11))
    for number, channel in enumerate(picture.channels):
        place = layout.boxes[len(picture.nodes) + number]
        group = ET.SubElement(svg, "g", {"id": f"c{number}", "class": "channel", "data-name": printable(channel.name)})
        _rect(group, place, place.height / 2)
        _add(group, "text", printable(channel.name), "name middle", (place.x + place.width / 2, place.middle + 4))

    width = max(whole.width, 420.0)
    bottom = _legend(
        svg,
        picture,
        [kind for _, kinds, _ in lines for kind in kinds.split()],
        Rect(whole.x, whole.y + whole.height + 6, width, 0),
    )
    for text, paths in notes.items():
        paragraph = f"{numbers_of[text]}  {', '.join(paths)}: {text}"
        for line in textwrap.wrap(printable(paragraph), max(40, int(width / (_SMALL * _LETTER)))):
            bottom += _STEP + 1
            _add(svg, "text", line, "note", (whole.x + _PADDING, bottom))
    picture_at = (whole.x - _MARGIN, whole.y - _MARGIN, width + 2 * _MARGIN, bottom - whole.y + 2 * _MARGIN)
    ground.attrib.update(zip(("x", "y", "width", "height"), map(_number, picture_at), strict=True))
    svg.set("viewBox", " ".join(map(_number, picture_at)))
    svg.set("width", _number(picture_at[2]))
    svg.set("height", _number(picture_at[3]))
    return ET.tostring(svg, encoding="unicode") + "\n"


def _lines(picture: Picture) -> tuple[list[str], list[Arc], list[tuple[str, str, str]]]:
    """Return the container of each box, the lines between boxes, and the id, kind and text of each line."""
    numbers = {node.path: number for number, node in enumerate(picture.nodes)}
    homes = [node.container for node in picture.nodes]
    arcs: list[Arc] = []
    lines: list[tuple[str, str, str]] = []
    for number, edge in enumerate(picture.edges):
        kind = "circle" if edge.circle else "lazy" if edge.lazy else "needs"
        arcs.append(Arc(numbers[edge.source], numbers[edge.target], kind, numbers[edge.target]))
        lines.append((f"e{number}", kind, f"{edge.source} needs {edge.target}{' later' if edge.lazy else ''}"))
    for number, channel in enumerate(picture.channels):
        hub = len(homes)
        users = [*channel.holders, *(listener.path for listener in channel.listeners)]
        # A channel is placed in the container of its users if they are all in one.
        inside = {homes[numbers[user]] for user in users}
        homes.append(inside.pop() if len(inside) == 1 else picture.containers[0].path)
        later, earlier = channel.later, channel.earlier
        for count, holder in enumerate(channel.holders):
            arcs.append(Arc(numbers[holder], hub, "holds", hub))
            title, kind = f"{holder} holds {channel.name}", "holds"
            if holder in later:
                before = dict.fromkeys(pair.listener for pair in channel.order if pair.publisher == holder)
                title, kind = f"{title} and starts after {', '.join(before)}", "holds ordered"
            lines.append((f"c{number}-h{count}", kind, title))
        for count, listener in enumerate(channel.listeners):
            arcs.append(Arc(hub, numbers[listener.path], "listens", hub))
            title = f"{listener.path}.{listener.method} listens to {channel.name} at priority {listener.priority}"
            lines.append((f"c{number}-l{count}", f"listens{' ordered' * (listener.path in earlier)}", title))
    return homes, arcs, lines


def _legend(svg: ET.Element, picture: Picture, kinds: Sequence[str], place: Rect) -> float:
    """Draw a legend of boxes and lines below the graph, and return where it ends."""
    seen = {*kinds, *(node.kind for node in picture.nodes), *(["channel"] if picture.channels else [])}
    legend = ET.SubElement(svg, "g", {"class": "legend"})
    x, y = place.x + _PADDING, place.y + 16
    for kind, meaning in _MEANINGS.items():
        if kind not in seen:
            continue
        length = 40 + _width(meaning, _SMALL)
        if x + length > place.right and x > place.x + _PADDING:
            x, y = place.x + _PADDING, y + 18
        if kind in COLOURS:
            _rect(ET.SubElement(legend, "g", {"class": kind}), Rect(x, y - 9, 22, 11), 5.5 if kind == "channel" else 3)
        else:
            route = ((x, y - 3), (x, y - 3), (x + 22, y - 3), (x + 22, y - 3))
            # In the drawing such a line has the colours of a channel.
            look = f"listens {kind}" if kind == "ordered" else kind
            ET.SubElement(legend, "path", {"class": look, "d": _curve(route, "right")})
        _add(legend, "text", meaning, "", (x + 28, y))
        x += length + 14
    return y + 8


def _size(name: str, shown: Node | ChannelNode) -> tuple[float, float]:
    """Return the width and height of *shown*, whose name is drawn as *name*."""
    remarks = shown.remarks if isinstance(shown, Node) else ()
    # The numbers of faults are in a corner, and the name is in the middle.
    badge = 2 * _width("00 ", _SMALL) * len(shown.faults) if isinstance(shown, Node) else 0
    width = max([_width(name, _NAME) + badge, *(_width(remark, _SMALL) for remark in remarks)])
    return max(70.0, width + 2 * _PADDING), 27.0 + _STEP * len(remarks)


def _width(text: str, size: float) -> float:
    letters = sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
    return letters * size * _LETTER


def _curve(route: Sequence[Point], direction: Direction) -> str:
    """Return *route* as a path: straight through the columns or rows, and curved between them."""
    path = f"M{_point(route[0])}"
    for number, (before, after) in enumerate(pairwise(route)):
        if number % 2:
            x, y = (before[0] + after[0]) / 2, (before[1] + after[1]) / 2
            bends = ((x, before[1]), (x, after[1])) if direction == "right" else ((before[0], y), (after[0], y))
            path += f"C{_point(bends[0])} {_point(bends[1])} {_point(after)}"
        elif before != after:
            # A line of zero length would give an arrow no direction.
            path += f"L{_point(after)}"
    return path


def _point(point: Point) -> str:
    return f"{_number(point[0])},{_number(point[1])}"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _rect(parent: ET.Element, place: Rect, radius: float) -> None:
    attributes = {"x": place.x, "y": place.y, "width": place.width, "height": place.height, "rx": radius}
    ET.SubElement(parent, "rect", {name: _number(value) for name, value in attributes.items()})


def _add(parent: ET.Element, tag: str, text: str, look: str = "", at: Point | None = None) -> None:
    element = ET.SubElement(parent, tag)
    if look:
        element.set("class", look)
    if at is not None:
        element.attrib.update(x=_number(at[0]), y=_number(at[1]))
    element.text = printable(text)
