"""
The layout of a graph: the places of boxes, and the routes of the lines between them.

Boxes are arranged in columns, each to the left of its dependencies, and in lanes,
one below the other, one for each container. igraph breaks cycles and orders the
boxes of a column so that few lines cross.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean
from typing import Final

import igraph

from typedbus.graph._geometry import Arc, Box, Lane, Layout, Margins, Point, Rect
from typedbus.graph._model import Direction

_GAP: Final = 14.0
_BETWEEN: Final = 64.0
_FRAME: Final = 14.0
_TITLE: Final = 26.0
_LOOP: Final = 20.0
_SWEEPS: Final = 30


def arrange(boxes: Sequence[Box], arcs: Sequence[Arc], lanes: Sequence[Lane], direction: Direction = "right") -> Layout:
    """
    Compute places for *boxes*, routes for *arcs* and frames for *lanes*, in which nested lanes follow their parent.

    The same input gives the same layout. Boxes do not overlap, no line crosses a
    box, and a frame contains exactly the boxes of its lane and of its nested lanes.
    With the direction "down" there are rows in place of columns, and lanes are side by side.
    """
    if direction == "right":
        return _arranged(boxes, arcs, lanes, Margins(_TITLE, _FRAME, is_title_across=True))
    # The same layout, turned: what is the height here is the width there.
    turned = _arranged(
        [Box(box.height, box.width, box.lane) for box in boxes],
        arcs,
        lanes,
        Margins(_FRAME, _TITLE, is_title_across=False),
    )
    return Layout(
        tuple(map(_turned, turned.boxes)),
        tuple(tuple((y, x) for x, y in route) for route in turned.routes),
        tuple(map(_turned, turned.frames)),
    )


def _turned(place: Rect) -> Rect:
    return Rect(place.y, place.x, place.height, place.width)


def _arranged(boxes: Sequence[Box], arcs: Sequence[Arc], lanes: Sequence[Lane], margins: Margins) -> Layout:
    """Return the layout with columns."""
    across = [(arc.source, arc.target) for arc in arcs if arc.source != arc.target]
    feedback = igraph.Graph(len(boxes), across, directed=True).feedback_arc_set(method="eades")
    turned = {across[number] for number in feedback}
    ends = [
        (arc.target, arc.source) if (arc.source, arc.target) in turned else (arc.source, arc.target) for arc in arcs
    ]
    columns = _columns(boxes, [(left, right) for left, right in ends if left != right])

    # A line that passes columns has a knot in each of them, which takes up space
    # between the boxes; lines with a shared route share the knot.
    items = list(boxes)
    knots: dict[tuple[str, int, bool, int], int] = {}
    paths: list[list[int]] = []
    for arc, (left, right) in zip(arcs, ends, strict=True):
        paths.append([left])
        for column in range(columns[left] + 1, columns[right]):
            key = arc.kind, arc.hub, arc.hub == right, column
            if key not in knots:
                knots[key] = len(items)
                items.append(Box(0, 2, boxes[arc.hub].lane))
                columns.append(column)
            paths[-1].append(knots[key])
        paths[-1].append(right)
    links = list(dict.fromkeys(link for path in paths for link in pairwise(path) if link[0] != link[1]))

    middles = _middles(items, columns, links)
    bands = _stack(items, middles, lanes, margins)
    spans = _spread(items, columns, links, middles)
    places = [
        Rect(spans[at][0] + (spans[at][1] - item.width) / 2, middle - item.height / 2, item.width, item.height)
        for item, at, middle in zip(items, columns, middles, strict=True)
    ]
    ports = _ports(places, arcs, paths)
    routes: list[tuple[Point, ...]] = []
    for arc, path, (leaving, arriving) in zip(arcs, paths, ports, strict=True):
        first, last = places[path[0]], places[path[-1]]
        if arc.source == arc.target:
            far = first.right + _LOOP
            routes.append(((first.right, leaving), (far, leaving), (far, arriving), (first.right, arriving)))
            continue
        route = [(first.right, leaving), (sum(spans[columns[path[0]]]), leaving)]
        for knot in path[1:-1]:
            begin, width = spans[columns[knot]]
            route.extend([(begin, middles[knot]), (begin + width, middles[knot])])
        route.extend([(spans[columns[path[-1]]][0], arriving), (last.x, arriving)])
        routes.append(tuple(route if path[0] == arc.source else reversed(route)))
    return Layout(tuple(places[: len(boxes)]), tuple(routes), tuple(_frames(boxes, places, lanes, bands, margins)))


def _columns(boxes: Sequence[Box], links: Sequence[tuple[int, int]]) -> list[int]:
    """Return a column for each box, so that each of *links* leads to the right and is short."""
    lefts: list[set[int]] = [set() for _ in boxes]
    rights: list[set[int]] = [set() for _ in boxes]
    for left, right in links:
        rights[left].add(right)
        lefts[right].add(left)
    order = igraph.Graph(len(boxes), links, directed=True).topological_sorting()
    columns = [0] * len(boxes)
    for box in order:
        columns[box] = max((columns[left] + 1 for left in lefts[box]), default=0)
    for box in reversed(order):
        # If more lines leave a box than arrive, moving it to the right makes the lines shorter.
        if len(rights[box]) > len(lefts[box]):
            columns[box] = min(columns[right] for right in rights[box]) - 1
    # Boxes without lines fill up their lane; if no box has a line, the lane becomes roughly a square.
    loose = [box for box in range(len(boxes)) if not lefts[box] and not rights[box]]
    for lane in {boxes[box].lane: None for box in loose}:
        own = [box for box, at in enumerate(boxes) if at.lane == lane]
        fixed = [columns[box] for box in own if lefts[box] or rights[box]]
        begin, end = min(fixed, default=0), max(fixed, default=round((len(own) / 4) ** 0.5))
        heights = dict.fromkeys(range(begin, end + 1), 0.0)
        for box in own:
            if box in loose:
                columns[box] = min(heights, key=heights.__getitem__)
            heights[columns[box]] += boxes[box].height + _GAP
    return columns


def _middles(items: Sequence[Box], columns: Sequence[int], links: Sequence[tuple[int, int]]) -> list[float]:
    """Return the vertical position of each item in its lane, so that few lines cross and most are nearly straight."""
    coords = igraph.Graph(len(items), links, directed=True).layout_sugiyama(layers=columns).coords
    stacks: dict[tuple[int, int], list[int]] = defaultdict(list)
    for item in sorted(range(len(items)), key=lambda item: coords[item][0]):
        stacks[items[item].lane, columns[item]].append(item)
    beside: list[list[list[int]]] = [[[] for _ in items], [[] for _ in items]]
    for left, right in links:
        if items[left].lane == items[right].lane:
            beside[0][right].append(left)
            beside[1][left].append(right)
    middles = [0.0] * len(items)
    keys = sorted(stacks)
    for sweep in range(_SWEEPS):
        # Align with the left neighbours from left to right, then with the right ones backwards; at last with both.
        sides = beside if sweep >= _SWEEPS - 4 else beside[sweep % 2 : sweep % 2 + 1]
        centres = {
            lane: fmean(middles[item] for at in keys if at[0] == lane for item in stacks[at])
            for lane in {lane: None for lane, _ in keys}
        }
        for key in keys if sweep % 2 == 0 else reversed(keys):
            stack = stacks[key]
            wishes: list[tuple[float, float]] = []
            centre = centres[key[0]]
            for item in stack:
                others = [other for side in sides for other in side[item]]
                if others:
                    wishes.append((fmean(middles[other] for other in others), float(len(others))))
                else:
                    # An item without neighbours only tends to the centre, with a small weight.
                    wishes.append((centre, 0.01))
            for item, middle in zip(stack, _settle(wishes, [items[item].height for item in stack]), strict=True):
                middles[item] = middle
    return middles


def _settle(wishes: Sequence[tuple[float, float]], heights: Sequence[float]) -> list[float]:
    """
    Return middles as near as possible to the weighted *wishes*, with enough space between them.

    This minimises the squares of the distances and keeps the order: neighbours that
    would collide become one block, at the mean of the wishes of its members.
    """
    offsets = [0.0]
    for above, below in pairwise(heights):
        offsets.append(offsets[-1] + (above + below) / 2 + _GAP)
    blocks: list[tuple[float, float, int]] = []
    for (wish, weight), offset in zip(wishes, offsets, strict=True):
        mean, total, size = wish - offset, weight, 1
        while blocks and blocks[-1][0] > mean:
            above, heavy, count = blocks.pop()
            mean = (mean * total + above * heavy) / (total + heavy)
            total, size = total + heavy, size + count
        blocks.append((mean, total, size))
    settled = [mean for mean, _, size in blocks for _ in range(size)]
    return [mean + offset for mean, offset in zip(settled, offsets, strict=True)]


def _stack(
    items: Sequence[Box], middles: list[float], lanes: Sequence[Lane], margins: Margins
) -> list[tuple[float, float]]:
    """Move the lanes apart, one below the other, and return the top and bottom of the frame of each."""
    bands: list[tuple[float, float]] = []
    bottom = 0.0
    begun: list[int] = []
    for number, lane in enumerate(lanes):
        while begun and begun[-1] != lane.around:
            bottom = _end_of(lanes[begun[-1]], bands[begun[-1]][0], bottom + _FRAME, margins)
            ended = begun.pop()
            bands[ended] = bands[ended][0], bottom
        begun.append(number)
        top = bottom + (_GAP if number else 0)
        own = [item for item, box in enumerate(items) if box.lane == number]
        bottom = top + margins.before
        if own:
            lift = bottom - min(middles[item] - items[item].height / 2 for item in own)
            for item in own:
                middles[item] += lift
            bottom = max(middles[item] + items[item].height / 2 for item in own)
        bands.append((top, bottom))
    while begun:
        bottom = _end_of(lanes[begun[-1]], bands[begun[-1]][0], bottom + _FRAME, margins)
        ended = begun.pop()
        bands[ended] = bands[ended][0], bottom
    return bands


def _end_of(lane: Lane, top: float, bottom: float, margins: Margins) -> float:
    """Return the end of the frame of *lane*, which has room for its title if that is along the frame."""
    return bottom if margins.is_title_across else max(bottom, top + lane.title)


def _spread(
    items: Sequence[Box], columns: Sequence[int], links: Sequence[tuple[int, int]], middles: Sequence[float]
) -> list[tuple[float, float]]:
    """Return the left border and the width of each column, with more space between columns for steep lines."""
    count = max(columns, default=-1) + 1
    widths = [0.0] * count
    for item, column in zip(items, columns, strict=True):
        widths[column] = max(widths[column], item.width)
    steepest = [0.0] * count
    for left, right in links:
        steepest[columns[left]] = max(steepest[columns[left]], abs(middles[left] - middles[right]))
    spans: list[tuple[float, float]] = []
    begin = 0.0
    for width, steep in zip(widths, steepest, strict=True):
        spans.append((begin, width))
        begin += width + _BETWEEN + min(_BETWEEN, steep / 8)
    return spans


def _ports(places: Sequence[Rect], arcs: Sequence[Arc], paths: Sequence[Sequence[int]]) -> list[tuple[float, float]]:
    """Return the heights at which each arc meets its left and its right box; each kind of line has its own."""
    neighbours: dict[tuple[int, bool, str, bool], list[float]] = defaultdict(list)
    keys: list[tuple[tuple[int, bool, str, bool], tuple[int, bool, str, bool]]] = []
    for arc, path in zip(arcs, paths, strict=True):
        is_loop, leaves = arc.source == arc.target, path[0] == arc.source
        ends = (path[0], True, arc.kind, leaves), (path[-1], is_loop, arc.kind, leaves != is_loop)
        for key, other in zip(ends, (path[1], path[-2]), strict=True):
            neighbours[key].append(places[other].middle)
        keys.append(ends)
    sides: dict[tuple[int, bool], list[tuple[int, bool, str, bool]]] = defaultdict(list)
    for key in sorted(neighbours, key=lambda key: (sum(neighbours[key]) / len(neighbours[key]), key)):
        sides[key[:2]].append(key)
    heights: dict[tuple[int, bool, str, bool], float] = {}
    for (box, _), kinds in sides.items():
        step = min(11.0, places[box].height / (len(kinds) + 1))
        for number, key in enumerate(kinds):
            heights[key] = places[box].middle + step * (number - (len(kinds) - 1) / 2)
    return [(heights[left], heights[right]) for left, right in keys]


def _frames(
    boxes: Sequence[Box],
    places: Sequence[Rect],
    lanes: Sequence[Lane],
    bands: Sequence[tuple[float, float]],
    margins: Margins,
) -> list[Rect]:
    """Return the frame of each lane, around its boxes and its nested frames."""
    sides: list[list[float]] = [[] for _ in lanes]
    for box, place in zip(boxes, places, strict=False):
        sides[box.lane].extend([place.x - margins.beside, place.right + _FRAME])
    frames: list[Rect] = []
    for lane, own, (top, bottom) in reversed(list(zip(lanes, sides, bands, strict=True))):
        left = min(own, default=0)
        right = max([left + (lane.title if margins.is_title_across else 0), *own])
        frames.append(Rect(left, top, right - left, bottom - top))
        if lane.around >= 0:
            sides[lane.around].extend([left - margins.beside, right + _FRAME])
    return frames[::-1]
