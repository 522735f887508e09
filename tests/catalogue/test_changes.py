"""What a change of a declaration breaks."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from typedbus.catalogue import Catalogue, CatalogueChannel, Field, Parameter, PayloadType, changes

BOTH, PUBLISHERS, LISTENERS, NONE = "publishers and listeners", "publishers", "listeners", ""


def channel(*parameters: Parameter, result: str = "None", **others: Any) -> CatalogueChannel:
    """Return a channel with these parameters."""
    declared = CatalogueChannel("app:placed", "placed", "app.py", 3, parameters=parameters, result=result)
    return attrs.evolve(declared, **others)


def parameter(
    name: str, type_: str = "int", kind: str = "positional_or_keyword", default: str | None = None
) -> Parameter:
    """Return a parameter."""
    return Parameter(name, kind, type_, default)


def position(name: str, type_: str = "int", default: str | None = None) -> Parameter:
    """Return a positional-only parameter."""
    return parameter(name, type_, "positional_only", default)


A, B = parameter("a"), parameter("b")

CHANGES = {
    "nothing": (channel(A), channel(A), []),
    "a new parameter": (channel(A), channel(A, B), [BOTH]),
    "a new parameter with a default": (channel(A), channel(A, parameter("b", default="1")), [LISTENERS]),
    "a parameter that is gone": (channel(A, B), channel(A), [BOTH]),
    "another order": (channel(A, B), channel(B, A), [BOTH]),
    "another name": (channel(A), channel(B), [BOTH, BOTH]),
    "another name of a positional parameter": (channel(position("a")), channel(position("b")), []),
    "a name for a positional parameter": (channel(position("a")), channel(A), [LISTENERS]),
    "no name any more": (channel(A), channel(position("a")), [PUBLISHERS]),
    "a wider parameter": (channel(A), channel(parameter("a", "int | None")), [LISTENERS]),
    "a wider number": (channel(A), channel(parameter("a", "float")), [LISTENERS]),
    "a narrower parameter": (channel(parameter("a", "int | None")), channel(A), [PUBLISHERS]),
    "another type": (channel(A), channel(parameter("a", "str")), [BOTH]),
    "a wider union in a list": (
        channel(parameter("a", "list[int | str]")),
        channel(parameter("a", "list[int | None | str]")),
        [BOTH],
    ),
    "members in another order": (channel(parameter("a", "int | str")), channel(parameter("a", "str | int")), [NONE]),
    "a wider result": (channel(result="int"), channel(result="int | None"), [PUBLISHERS]),
    "a narrower result": (channel(result="int | None"), channel(result="int"), [LISTENERS]),
    "another result": (channel(result="int"), channel(result="str"), [BOTH]),
    "a default": (channel(A), channel(parameter("a", default="1")), [NONE]),
    "another default": (channel(parameter("a", default="1")), channel(parameter("a", default="2")), [NONE]),
    "no default any more": (channel(parameter("a", default="1")), channel(A), [PUBLISHERS]),
    "an awaited publish": (channel(A), channel(A, is_async=True), [PUBLISHERS]),
    "a publish that is not awaited": (channel(A, is_async=True), channel(A), [BOTH]),
    "a deprecation": (channel(A), channel(A, deprecated="use other"), [NONE]),
    "another text name": (channel(A), channel(A, name="order_placed"), [NONE]),
    "a known signature": (channel(A, parameters=None), channel(A), [NONE]),
}


@pytest.mark.parametrize(("old", "new", "expected"), CHANGES.values(), ids=[*CHANGES])
def test_each_change_names_whom_it_breaks(old: CatalogueChannel, new: CatalogueChannel, expected: list[str]) -> None:
    """Publishers pass arguments and read results; listeners take arguments and return results."""
    found = changes(Catalogue((old,)), Catalogue((new,)))

    assert [change.breaks for change in found] == expected
    assert all((change.key, change.file, change.line) == ("app:placed", "app.py", 3) for change in found)


@pytest.mark.parametrize(
    ("before", "after", "direction"),
    [("int", "int | None", " (wider)"), ("int | None", "int", " (narrower)"), ("int", "str", "")],
)
def test_a_change_of_a_type_has_its_direction(before: str, after: str, direction: str) -> None:
    """With both types."""
    old, new = (Catalogue((channel(parameter("a", one)),)) for one in (before, after))
    [change] = changes(old, new)

    assert change.text == f"the parameter a was of the type {before}, and is of {after}{direction}"


def test_a_channel_that_is_gone_or_moved_breaks_both() -> None:
    """Unless the old place still exports it."""
    old = Catalogue((channel(A),))
    moved = channel(A, key="app.events:placed")
    exported = attrs.evolve(moved, aliases=("app:placed",))

    assert [change.breaks for change in changes(old, Catalogue())] == [BOTH]
    assert [(change.key, change.breaks) for change in changes(old, Catalogue((moved,)))] == [
        ("app:placed", BOTH),
        ("app.events:placed", NONE),
    ]
    assert changes(old, Catalogue((exported,))) == ()


def fields(*given: Field, is_enum: bool = False) -> PayloadType:
    """Return a class with these fields."""
    return PayloadType("app.Order", given, is_enum)


ID, NOTE = Field("number", "int"), Field("note", "str", "''")
FIELDS = {
    "nothing": (fields(ID), fields(ID), []),
    "a new field": (fields(ID), fields(ID, Field("note", "str")), ["makers"]),
    "a new field with a default": (fields(ID), fields(ID, NOTE), [""]),
    "a field that is gone": (fields(ID, NOTE), fields(ID), ["both"]),
    "a wider field": (fields(ID), fields(Field("number", "int | None")), ["readers"]),
    "a narrower field": (fields(Field("number", "int | None")), fields(ID), ["makers"]),
    "another type": (fields(ID), fields(Field("number", "str")), ["both"]),
    "no default any more": (fields(NOTE), fields(Field("note", "str")), ["makers"]),
    "a new member": (
        fields(Field("RED", "1"), is_enum=True),
        fields(Field("RED", "1"), Field("BLUE", "2"), is_enum=True),
        ["readers"],
    ),
    "a member that is gone": (
        fields(Field("RED", "1"), Field("BLUE", "2"), is_enum=True),
        fields(Field("RED", "1"), is_enum=True),
        ["both"],
    ),
}


@pytest.mark.parametrize(("old", "new", "expected"), FIELDS.values(), ids=[*FIELDS])
def test_a_class_of_an_argument_is_made_by_publishers_and_read_by_listeners(
    old: PayloadType, new: PayloadType, expected: list[str]
) -> None:
    """For a class of a result it is the other way round."""
    argument = channel(parameter("order", "app.Order"))
    result = channel(result="tuple[app.Order, ...]")
    as_argument = {"makers": PUBLISHERS, "readers": LISTENERS, "both": BOTH, "": NONE}
    as_result = {"makers": LISTENERS, "readers": PUBLISHERS, "both": BOTH, "": NONE}

    for declared, names in ((argument, as_argument), (result, as_result)):
        found = changes(Catalogue((declared,), (old,)), Catalogue((declared,), (new,)))
        assert [change.breaks for change in found] == [names[one] for one in expected]


def test_a_class_in_a_field_counts_as_well() -> None:
    """A class that no channel reaches any more breaks nothing."""
    declared = channel(parameter("order", "app.Order"))
    order = fields(Field("lines", "tuple[app.Line, ...]"))
    line, longer = PayloadType("app.Line", (ID,)), PayloadType("app.Line", (ID, Field("sku", "str")))

    old, new = Catalogue((declared,), (order, line)), Catalogue((declared,), (order, longer))
    assert [(change.key, change.breaks) for change in changes(old, new)] == [("app.Line", PUBLISHERS)]
    assert changes(old, attrs.evolve(new, types=(order,))) == ()
