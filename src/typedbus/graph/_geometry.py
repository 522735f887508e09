"""The boxes, lines and containers to lay out, and the places and routes that the layout gives them."""

from __future__ import annotations

from typing import TypeAlias

import attrs

Point: TypeAlias = tuple[float, float]


@attrs.frozen
class Box:
    """A box to place: its size, and the number of its lane."""

    width: float
    height: float
    lane: int


@attrs.frozen
class Arc:
    """
    A line from one box to another, both by number.

    Lines of the same *kind* that meet at the box *hub* share a route.
    """

    source: int
    target: int
    kind: str
    hub: int


@attrs.frozen
class Lane:
    """A container: the number of the lane around it, -1 for the outermost, and the width of its title."""

    around: int
    title: float


@attrs.frozen
class Rect:
    """A rectangle: its upper left corner, and its size."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """The x coordinate of its right border."""
        return self.x + self.width

    @property
    def middle(self) -> float:
        """The y coordinate of its middle."""
        return self.y + self.height / 2


@attrs.frozen
class Margins:
    """
    The space in a frame, between its border and its boxes.

    Attributes:
        before: Above the boxes of a frame, where lanes are one below the other.
        beside: To the left of them.
        is_title_across: Whether the title is above the boxes; otherwise it is to the left of them.
    """

    before: float
    beside: float
    is_title_across: bool


@attrs.frozen
class Layout:
    """
    The places of boxes, routes of lines and frames of lanes.

    A route begins and ends at the borders of boxes. It is straight from each
    point with an even index to the next point, and curved from there to the one after.
    """

    boxes: tuple[Rect, ...]
    routes: tuple[tuple[Point, ...], ...]
    frames: tuple[Rect, ...]
