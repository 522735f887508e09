"""The public exceptions: documented with their base classes, with texts of their own, and fit for another process."""

from __future__ import annotations

import builtins
import copy
import pickle
import re
import typing
from pathlib import Path

import pytest

import typedbus.nats
from typedbus._base.structured import StructuredError

PAGE = Path(__file__).parents[2] / "docs" / "nats.md"
ERRORS = [
    error
    for error in (getattr(typedbus.nats, name) for name in typedbus.nats.__all__)
    if isinstance(error, type) and issubclass(error, StructuredError)
]
each = pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)


def value_of(name: str, kind: object) -> object:
    """Return a value for an attribute of type *kind*."""
    values: dict[object, object] = {int: 3, float: 1.5, bool: True, object: 7, tuple[str, ...]: (f"<{name}>",)}
    return values.get(kind, "question" if name == "part" else f"<{name}>")


def made(kind: type[StructuredError]) -> StructuredError:
    """Return an error of *kind* whose attributes have values of their types."""
    hints = typing.get_type_hints(kind)
    return kind(**{name: value_of(name, hints[name]) for name in kind.__match_args__})


@each
def test_an_error_is_in_the_table_with_its_built_in_base(kind: type[StructuredError]) -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| `(\w+)` \| .+ \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    bases = [base.__name__ for base in kind.__mro__ if base.__module__ == builtins.__name__]

    assert rows[kind.__name__] == bases[0]


@each
def test_an_error_can_be_copied_and_pickled(kind: type[StructuredError]) -> None:
    error = made(kind)

    for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(other) is kind
        assert str(other) == str(error)
        assert [getattr(other, name) for name in kind.__match_args__] == [
            getattr(error, name) for name in kind.__match_args__
        ]


@each
def test_the_text_of_an_error_has_its_data(kind: type[StructuredError]) -> None:
    text = str(made(kind))

    for name, hint in typing.get_type_hints(kind).items():
        if name in kind.__match_args__ and hint in (str, int, float, tuple[str, ...]):
            value = value_of(name, hint)
            assert str(value[0] if isinstance(value, tuple) else value) in text, name
