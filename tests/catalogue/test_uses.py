"""The places that use channels, in packages that the tests write."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.catalogue.code import CHANNELS, Package

USES = {
    "a publish": ("def f(bus): bus[placed].publish('x')", {("publishes", "f")}),
    "a publish that is kept": ("def f(bus):\n    tell = bus[placed].publish\n    tell('x')", {("publishes", "f")}),
    "the other verbs": (
        "def f(bus): bus[placed].attempt('x'); bus[placed].first('x')",
        {("publishes", "f")},
    ),
    "from a thread": ("def f(bus): bus[wanted].publish_from_thread('x')", {("publishes", "f")}),
    "a method": ("class C:\n    def m(self): self.bus[placed].publish('x')", {("publishes", "C.m")}),
    "a module": ("import typedbus\nbus = typedbus.Bus()\nbus[placed].subscribe(print)", {("listens", "")}),
    "a decorator of the channel": (
        "def f(bus):\n    @bus[placed].subscribe()\n    def g(sku): ...",
        {("listens", "f.g")},
    ),
    "a mark": ("from typedbus import on\nclass C:\n    @on(placed)\n    def m(self, sku): ...", {("listens", "C.m")}),
    "a mark with two channels": (
        "from typedbus import on\nclass C:\n    @on(wanted, placed)\n    def m(self, sku): ...",
        {("listens", "C.m")},
    ),
    "a function that listens": (
        "from typedbus import Listeners\nlisteners = Listeners()\n@listeners.on(placed)\ndef f(sku): ...",
        {("listens", "f")},
    ),
    "a hook": ("class C:\n    def m(self, sku): ...\nhook = placed.calls(C.m)", {("listens", "C.m")}),
    "subscribe of the bus": ("def f(bus): bus.subscribe(placed, print)", {("listens", "f")}),
    "a watcher": ("def f(bus): bus[placed].watch(print)", {("watches", "f")}),
    "a bound channel that is kept": ("def f(bus):\n    held = bus[placed]\n    return held", {("holds", "f")}),
    "a function that is given the channel": ("def f(audit): audit(placed)", {("passes", "f")}),
    "a second name": ("other = placed\ndef f(bus): bus[other].publish('x')", {("publishes", "f")}),
    "an import in a function": (
        "def f(bus):\n    from PACKAGE.channels import placed as it\n    bus[it].publish('x')",
        {("publishes", "f")},
    ),
    "a parameter of the same name": ("def f(bus, placed): bus[placed].publish('x')", set()),
    "a question": ("def f(bus): return bool(bus[placed].has_listeners)", set()),
    "an unsubscription": ("def f(bus): bus[placed].unsubscribe(print)", set()),
    "an annotation": ("def f(channel: 'placed'): ...", set()),
    "a text": ("def f(bus): return 'bus[placed].publish'", set()),
}


@pytest.mark.parametrize(("source", "expected"), USES.values(), ids=[*USES])
def test_each_kind_of_use_is_found(tmp_path: Path, source: str, expected: set[tuple[str, str]]) -> None:
    """With the function or method around it."""
    package = Package(
        tmp_path, {"channels": CHANNELS, "code": f"from PACKAGE.channels import placed, wanted\n{source}\n"}
    )
    channels = package.catalogue().channels

    found = {(use.how, use.name) for one in channels if one.name in ("placed", "wanted") for use in one.uses}
    assert found == expected


SHOP = """
import attrs
from dataclasses import dataclass
from typedbus import BoundChannel, Bus, Component, Container, on
from PACKAGE.channels import placed


class Plain:
    def __init__(self, bus: Bus, *, first: BoundChannel[[str], None]) -> None:
        self.bus, self._told = bus, first

    def tell(self) -> None:
        self._told.publish("x")


@attrs.define
class Attrs:
    _placed: BoundChannel[[str], None]

    def tell(self) -> None:
        self._placed.publish("x")


@dataclass
class Data:
    placed: BoundChannel[[str], None]

    def tell(self) -> None:
        self.placed.publish("x")


class Heir(Plain): ...


class Quiet:
    def __init__(self, placed: BoundChannel[[str], None]) -> None:
        self.placed = placed


def made(bound: BoundChannel[[str], None]) -> Quiet:
    bound.publish("x")
    return Quiet(bound)


class Stock:
    @on(placed, priority=20)
    def take(self, sku: str, /) -> None: ...


class Till:
    @on(placed)
    def count(self, sku: str, /) -> None: ...


class Infra(Container):
    bus = Component(Bus)


class Shop(Container):
    infra = Infra()
    till = Component(Till)
    stock = Component(Stock)
    plain = Component(Plain, Infra.bus.provided, first=Infra.bus.provided[placed])
    data = Component(Data, Infra.bus.provided[placed])
    attributes = Component(Attrs, Infra.bus.provided[placed])
    heir = Component(Heir, Infra.bus.provided, first=Infra.bus.provided[placed])
    quiet = Component(Quiet, Infra.bus.provided[placed])
    built = Component(made, Infra.bus.provided[placed])
"""


def test_components_publish_through_the_attribute_that_has_the_channel(tmp_path: Path) -> None:
    """Which the class assigns or declares, or inherits; a function publishes through its parameter."""
    channel = Package(tmp_path, {"channels": CHANNELS, "shop": SHOP}).channel("placed", ["shop:Shop"])

    assert {(use.component, use.name) for use in channel.used("publishes")} == {
        ("Shop.plain", "Plain.tell"),
        ("Shop.heir", "Plain.tell"),
        ("Shop.attributes", "Attrs.tell"),
        ("Shop.data", "Data.tell"),
        ("Shop.built", "made"),
    }
    assert {use.component for use in channel.shown_uses if use.how == "holds"} == {"Shop.quiet"}


def test_listeners_are_in_running_order_with_their_lines(tmp_path: Path) -> None:
    """Lower priorities first; the line is that of the mark."""
    package = Package(tmp_path, {"channels": CHANNELS, "shop": SHOP})
    uses = package.channel("placed", ["shop:Shop"]).used("listens")

    assert [(use.component, use.name, use.priority) for use in uses] == [
        ("Shop.stock", "take", 20),
        ("Shop.till", "count", 50),
    ]
    lines = (package.folder / "shop.py").read_text(encoding="utf-8").splitlines()
    assert [lines[use.line - 1].strip() for use in uses] == ["@on(placed, priority=20)", "@on(placed)"]


def test_a_channel_from_a_variable_is_listed_as_dynamic(tmp_path: Path) -> None:
    """Its uses are unknown, and it is not dropped."""
    source = (
        "from typedbus import Bus, Channel\ndef f(bus: Bus, channel: Channel[[str], None]):\n    return bus[channel]\n"
    )
    [dynamic] = Package(tmp_path, {"code": source}).catalogue().dynamic

    assert (dynamic.line, dynamic.source) == (3, "bus[channel]")


VERDICTS = {
    "dead": ("", "dead"),
    "never listened to": ("def f(bus): bus[placed].publish('x')", "never listened to"),
    "never published": ("def f(bus): bus[placed].subscribe(print)", "never published"),
    "held and listened to": (
        "def f(bus):\n    bus[placed].subscribe(print)\n    return bus[placed]",
        "publish not seen",
    ),
    "held": ("def f(bus): return bus[placed]", "never listened to"),
    "watched": ("def f(bus): bus[placed].publish('x'); bus[placed].watch(print)", None),
    "used": ("def f(bus): bus[placed].publish('x'); bus[placed].subscribe(print)", None),
    "passed on": ("def f(audit): audit(placed)", None),
}


@pytest.mark.parametrize(("source", "verdict"), VERDICTS.values(), ids=[*VERDICTS])
def test_the_verdict_follows_from_the_uses(tmp_path: Path, source: str, verdict: str | None) -> None:
    """A function that is given the channel may publish and listen."""
    package = Package(tmp_path, {"channels": CHANNELS, "code": f"from PACKAGE.channels import placed\n{source}\n"})

    assert package.channel("placed").verdict == verdict


def test_modules_that_fail_are_listed_with_the_reason(tmp_path: Path) -> None:
    """The others are read; a module that ends the process does not end the command."""
    package = Package(
        tmp_path,
        {
            "channels": CHANNELS,
            "broken": "1 / 0",
            "wrong": "def f(:",
            "ending": "raise SystemExit(3)",
            "absent": "import no_such_module_anywhere",
            "__main__": "raise AssertionError('a program is not imported')",
        },
    )
    catalogue = package.catalogue()

    assert [channel.name for channel in catalogue.channels] == ["placed", "wanted"]
    reasons = {one.module.removeprefix(f"{package.name}."): one.reason for one in catalogue.unread}
    assert reasons.keys() == {"absent", "broken", "ending", "wrong"}
    assert "division by zero" in reasons["broken"]
    assert "no_such_module_anywhere" in reasons["absent"]


def test_channels_are_found_where_they_are_declared(tmp_path: Path) -> None:
    """By an assignment, a function or an attribute of a class, also under a condition; an export is an alias."""
    package = Package(
        tmp_path,
        {
            "__init__": "from PACKAGE.channels import first",
            "channels": """
from __future__ import annotations
import sys
from typedbus import Channel

first = Channel[[int], None]("first")
\"\"\"The first one.\"\"\"

if sys.version_info >= (3, 0):
    second: Channel[[int], None] = Channel("second")


class Channels:
    third = Channel[[], None]("third")


@Channel.declare(deprecated="use first")
def fourth(number: int, /, *, note: str = "none") -> None:
    \"\"\"The fourth one.\"\"\"

again = first
""",
            "user": "from PACKAGE.channels import first",
        },
    )
    channels = {one.name: one for one in package.catalogue().channels}

    assert {name: one.key.removeprefix(package.name) for name, one in channels.items()} == {
        "first": ".channels:first",
        "second": ".channels:second",
        "third": ".channels:Channels.third",
        "fourth": ".channels:fourth",
    }
    assert {name: one.signature for name, one in channels.items()} == {
        "first": "(arg0: int, /) -> None",
        "second": "(...)",
        "third": "() -> None",
        "fourth": "(number: int, /, *, note: str = 'none') -> None",
    }
    assert channels["first"].doc == "The first one."
    assert (channels["fourth"].doc, channels["fourth"].deprecated) == ("The fourth one.", "use first")
    assert channels["first"].aliases == (f"{package.name}.channels:again", f"{package.name}:first")
