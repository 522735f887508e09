"""The positions of boxes and lines in a picture."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from typedbus.graph._geometry import Arc, Box, Lane, Layout, Rect
from typedbus.graph._layout import arrange
from typedbus.graph._model import Direction

KINDS = ("needs", "lazy", "listens")


@st.composite
def drawings(draw: st.DrawFn) -> tuple[list[Box], list[Arc], list[Lane]]:
    """Return boxes in nested lanes, with arcs between them, cycles and loops included."""
    lanes = [Lane(-1, 40)]
    for number in range(1, draw(st.integers(1, 5))):
        # Each lane follows the lane around it, and all lanes inside the lane before it.
        candidates = [number - 1]
        while lanes[candidates[-1]].around >= 0:
            candidates.append(lanes[candidates[-1]].around)
        lanes.append(Lane(draw(st.sampled_from(candidates)), draw(st.floats(10, 300))))
    sizes = st.floats(20, 200)
    boxes = draw(st.lists(st.builds(Box, sizes, sizes, st.integers(0, len(lanes) - 1)), min_size=1, max_size=14))
    ends = st.integers(0, len(boxes) - 1)
    arcs = draw(st.lists(st.tuples(ends, ends, st.sampled_from(KINDS), st.booleans()), max_size=24))
    return boxes, [Arc(a, b, kind, a if first else b) for a, b, kind, first in arcs], lanes


def overlap(first: Rect, second: Rect) -> bool:
    """Return whether two rectangles share more than a border."""
    across = min(first.right, second.right) - max(first.x, second.x)
    down = min(first.y + first.height, second.y + second.height) - max(first.y, second.y)
    return across > 1e-6 and down > 1e-6


def contains(outer: Rect, inner: Rect) -> bool:
    """Return whether *inner* lies in *outer*, with some room around it."""
    return (
        outer.x < inner.x - 5
        and outer.y < inner.y - 5
        and outer.right > inner.right + 5
        and outer.y + outer.height > inner.y + inner.height + 5
    )


def around(lanes: list[Lane], lane: int) -> set[int]:
    """Return *lane* and the lanes around it."""
    enclosing = {lane}
    while (lane := lanes[lane].around) >= 0:
        enclosing.add(lane)
    return enclosing


DIRECTIONS = st.sampled_from(get_args(Direction))


@pytest.mark.slow
@given(drawings(), DIRECTIONS)
@settings(deadline=None, max_examples=40)
def test_boxes_keep_their_size_and_do_not_overlap(
    drawing: tuple[list[Box], list[Arc], list[Lane]], direction: Direction
) -> None:
    """For any boxes, arcs and lanes."""
    boxes, arcs, lanes = drawing

    layout = arrange(boxes, arcs, lanes, direction)

    assert [(place.width, place.height) for place in layout.boxes] == [(box.width, box.height) for box in boxes]
    assert not any(overlap(first, second) for first, second in combinations(layout.boxes, 2))


@pytest.mark.slow
@given(drawings(), DIRECTIONS)
@settings(deadline=None, max_examples=40)
def test_a_frame_contains_the_boxes_of_its_lane_and_no_others(
    drawing: tuple[list[Box], list[Arc], list[Lane]], direction: Direction
) -> None:
    """It has room for its title."""
    boxes, arcs, lanes = drawing

    layout = arrange(boxes, arcs, lanes, direction)

    for number, frame in zip(range(len(lanes)), layout.frames, strict=True):
        assert frame.width >= lanes[number].title - 1e-6
        for box, place in zip(boxes, layout.boxes, strict=True):
            assert (contains if number in around(lanes, box.lane) else lambda *two: not overlap(*two))(frame, place)
        for other, inner in enumerate(layout.frames):
            if number != other and number in around(lanes, other):
                assert contains(frame, inner)
            elif other not in around(lanes, number):
                assert not overlap(frame, inner)


@pytest.mark.slow
@given(drawings())
@settings(deadline=None, max_examples=40)
def test_a_line_goes_from_border_to_border_and_crosses_no_box(
    drawing: tuple[list[Box], list[Arc], list[Lane]],
) -> None:
    """It bends only between columns, and passes a column between its boxes."""
    boxes, arcs, lanes = drawing

    layout = arrange(boxes, arcs, lanes)

    for arc, route in zip(arcs, layout.routes, strict=True):
        for end, box in ((route[0], arc.source), (route[-1], arc.target)):
            place = layout.boxes[box]
            assert end[0] in (pytest.approx(place.x), pytest.approx(place.right))
            assert place.y < end[1] < place.y + place.height
        for number, ((x, y), (to_x, to_y)) in enumerate(pairwise(route)):
            is_straight = number % 2 == 0
            assert not is_straight or y == to_y
            # A bent part may be at any height between two columns, so no box may be there at all.
            area = Rect(min(x, to_x), y - 0.5 if is_straight else -1e9, abs(x - to_x), 1.0 if is_straight else 2e9)
            assert arc.source == arc.target or not any(overlap(area, place) for place in layout.boxes)


def laid_out(*pairs: tuple[int, int], count: int) -> Layout:
    """Return the layout of *count* boxes of one size in one lane, with arcs from and to the numbers of *pairs*."""
    return arrange([Box(80, 40, 0)] * count, [Arc(a, b, "needs", b) for a, b in pairs], [Lane(-1, 0)])


def test_users_stand_to_the_left_of_their_dependencies() -> None:
    """The start order runs from right to left."""
    first, second, third = laid_out((0, 1), (1, 2), (0, 2), count=3).boxes

    assert first.right < second.x
    assert second.right < third.x


def test_users_stand_above_their_dependencies_in_a_layout_downwards() -> None:
    """With the lines from the lower border of a box to the upper border of another."""
    layout = arrange([Box(80, 40, 0)] * 2, [Arc(0, 1, "needs", 1)], [Lane(-1, 0)], "down")
    user, dependency = layout.boxes

    assert user.y + user.height < dependency.y
    assert (layout.routes[0][0][1], layout.routes[0][-1][1]) == (user.y + user.height, dependency.y)
    assert all(user.x < x < user.right for x, _ in layout.routes[0])


def test_a_user_stands_next_to_its_dependency() -> None:
    """Even if no other component needs it, so that its line is short."""
    boxes = laid_out((0, 1), (1, 2), (3, 2), count=4).boxes

    assert boxes[3].x == boxes[1].x


def test_a_line_that_closes_a_cycle_arrives_from_the_right() -> None:
    """It does not cross the line in the other direction."""
    layout = laid_out((0, 1), (1, 0), count=2)

    forth, back = sorted(layout.routes, key=lambda route: route[-1][0], reverse=True)
    assert forth[-1][0] > forth[0][0]
    assert back[-1][0] < back[0][0]
    assert (forth[0][1] - back[-1][1]) * (forth[-1][1] - back[0][1]) > 0


def test_lines_to_the_same_box_run_together() -> None:
    """A dependency of all components does not fill the picture with lines."""
    routes = laid_out((0, 1), (1, 2), (2, 3), (0, 3), (1, 3), count=4).routes

    assert routes[3][-4:] == routes[4][-4:]
    assert routes[3][0] != routes[4][0]


def test_boxes_without_lines_form_a_block() -> None:
    """Not one tall column."""
    boxes = laid_out(count=36).boxes

    assert len({box.x for box in boxes}) in range(3, 7)


def test_a_box_stands_level_with_its_dependency() -> None:
    """Their line is straight if possible."""
    boxes = laid_out((0, 1), (1, 2), (3, 4), count=5).boxes

    assert [box.middle for box in boxes[1:3]] == pytest.approx([boxes[0].middle] * 2, abs=0.5)
    assert boxes[3].middle == pytest.approx(boxes[4].middle, abs=0.5)


def test_a_dependency_of_several_boxes_stands_half_way_between_them() -> None:
    """Boxes at the same height move apart by the same distance."""
    boxes = laid_out((0, 2), (1, 2), (2, 3), count=4).boxes

    assert abs(boxes[0].middle - boxes[1].middle) > 40
    assert boxes[2].middle == pytest.approx((boxes[0].middle + boxes[1].middle) / 2, abs=0.5)


def test_steep_lines_have_more_room() -> None:
    """A line that rises or falls steeply between two columns bends gently."""
    low, high = (laid_out(*((number, count) for number in range(count)), count=count + 1).boxes for count in (2, 20))

    assert high[-1].x - high[0].right > low[-1].x - low[0].right
