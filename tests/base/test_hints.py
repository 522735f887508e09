"""
Annotations that name what is imported for checkers alone.

The same file is read twice: with ``from __future__ import annotations``, as every
Python has it, and without, as it may be written from Python 3.14 on.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from typedbus import Bus, InvalidContainer
from typedbus._base.hints import annotations_of, signature_of
from typedbus.faults import TypeFault

SOURCE = """\
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import attrs

from typedbus import Bus, Channel, Component, Container, on

if TYPE_CHECKING:
    from decimal import Decimal


@Channel.declare
def paid(amount: Decimal, count: int, /, *, notes: list[Decimal] | None = None) -> Decimal: ...


ping = Channel[[int], None]("ping")


class Till:
    def __init__(self, start: Decimal | None = None, *, name: str = "") -> None: ...


@attrs.frozen
class Drawer:
    sum: Decimal
    till: Till


class Ear:
    name: str
    till: Decimal

    def __init__(self, till: Till) -> None: ...

    @on(ping)
    def hear(self, number: int, /) -> Decimal | None: ...


class Failing:
    def __init__(self, number: 1 / 0) -> None: ...


class Sends(Protocol):
    def send(self, text: str, /) -> None: ...


class Tools(types.SimpleNamespace):
    send: Callable[[str], None]
    more: Decimal


class Desk:
    def __init__(self, tools: Sends, till: Till) -> None: ...


def made(till: Till) -> Decimal: ...


class Shop(Container):
    bus = Component(Bus)
    till = Component(Till, 3)
    drawer = Component(Drawer, 3, till.provided)
    ear = Component(Ear, till.provided)
    failing = Component(Failing, 3)
    tools = Component(Tools, send=print)
    desk = Component(Desk, tools.provided, ear.provided.till)
    made = Component(made, till.provided)
    taken = Component(Desk, tools.provided, made.provided)


class Wrong(Container):
    bus = Component(Bus)
    till = Component(Till, name=3)
    desk = Component(Desk, till.provided, till.provided)
    drawer = Component(Drawer, 3, bus.provided)
"""


@pytest.fixture(params=["from __future__ import annotations\n", ""], ids=["texts", "late"])
def module(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Import the file."""
    if not request.param and sys.version_info < (3, 14):
        pytest.skip("annotations are evaluated at once before Python 3.14")
    (tmp_path / "typed_shop.py").write_text(request.param + SOURCE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "typed_shop", raising=False)
    imported = importlib.import_module("typed_shop")
    yield imported
    del sys.modules["typed_shop"]


def test_a_name_that_exists_only_for_checkers_stays_text(module: Any) -> None:
    """Other annotations of the same function are not affected."""
    written = annotations_of(module.paid.declaration)

    assert (written["amount"], written["return"], written["notes"]) == ("Decimal", "Decimal", "list[Decimal] | None")
    assert written["count"] in (int, "int")
    assert annotations_of(module.Tools).keys() == {"send", "more"}
    assert annotations_of(module.Drawer).keys() == {"sum", "till"}
    assert annotations_of(int) == {}


def test_a_signature_can_be_read_if_an_annotation_raises(module: Any) -> None:
    """It has all parameters."""
    signature = signature_of(module.Failing.__init__)

    assert [*signature.parameters] == ["self", "number"]


def test_a_channel_with_types_that_exist_only_for_checkers_can_be_published(module: Any) -> None:
    """Its signature has the text, and `publish` the parameters."""
    heard: list[object] = []
    bound: Any = Bus()[module.paid]
    bound.subscribe(lambda amount, count, /, *, notes=None: heard.append((amount, count, notes)))

    bound.publish(1, 2, notes=[3])

    assert heard == [(1, 2, [3])]
    assert bound.publish.__annotations__["amount"] == "Decimal"
    assert bound.publish.__annotations__["return"] == "list[Decimal]"
    assert module.paid.signature().parameters["amount"].annotation == "Decimal"


def test_a_container_with_types_that_exist_only_for_checkers_is_valid(module: Any) -> None:
    """An annotation that cannot be resolved is Any, in constructors, attrs classes, hooks, factories and attributes."""
    module.Shop().validate()


def test_annotations_that_can_be_resolved_are_still_checked(module: Any) -> None:
    """The other parameters have their faults."""
    with pytest.raises(InvalidContainer) as invalid:
        module.Wrong().validate()

    faults: list[Any] = [*invalid.value.exceptions]
    assert [fault.path for fault in faults] == ["Wrong.till", "Wrong.desk", "Wrong.drawer"]
    assert {type(fault) for fault in faults} == {TypeFault}
