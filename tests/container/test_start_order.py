"""The start order with every kind of provider, nested containers and overrides, and in every process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from operator import attrgetter
from typing import Any

import attrs
import pytest
from dependency_injector import providers
from hypothesis import given, settings
from hypothesis import strategies as st

from typedbus import START, STOP, Bus, Component, Container, State, TransitionFailures, provided, running

# The library's types know less than it does.
library: Any = providers

#: One of everything that may stand between two components, delegates included, at priorities that tell them apart.
ZOO = textwrap.dedent("""
    import json
    from dependency_injector import providers
    from typedbus import START, STOP, Bus, Component, Container, provided

    started, stopped = [], []

    class Part:
        port = 80
        def __init__(self, name, *needed): self.name = name
        def __getitem__(self, name): return name
        def begin(self): started.append(self.name)
        def end(self): stopped.append(self.name)

    def part(name, *needed, at=50):
        return Component(Part, name, *needed).on(START.calls(Part.begin, priority=at), STOP.calls(Part.end))

    def made(name, *needed) -> Part:
        return Part(name, *needed)

    class Store(Container):
        tables = part("tables", at=80)
        files = part("files")

    class Infra(Container):
        store = Store()
        pool = part("pool", store.tables.provided, at=20)
        probe = part("probe", at=10)

    class Shop(Container):
        config = providers.Configuration()
        bus = Component(Bus)
        infra = Infra()
        n1 = part("n1", at=90)
        n2 = part("n2", at=90)
        n3 = part("n3", at=90)
        n4 = part("n4", at=90)
        n5 = part("n5", at=90)
        n6 = part("n6", at=90)
        n7 = part("n7", at=90)
        n8 = part("n8", at=90)
        n9 = part("n9", at=90)
        attribute = part("attribute", n1.provided.port, at=1)
        item = part("item", n2.provided["name"], at=1)
        nested = part("nested", {"a": [(n3.provided,)]}, at=1)
        library_list = part("library list", provided(providers.List(n4)), at=1)
        library_dict = part("library dict", provided(providers.Dict(a=n5)), at=1)
        called = part("called", provided(providers.Callable(made, n6)), at=1)
        new = part("new", provided(providers.Factory(made, n7)), at=1)
        selected = part("selected", provided(providers.Selector(config.kind, a=n1, b=n8)), at=1)
        either = part("either", provided(providers.Dependency(instance_of=Part, default=n9)), at=1)
        single = part("single", provided(providers.Singleton(made, n8)), at=1)
        value = part("value", provided(providers.Object("n9")), at=2)
        delegate = part("delegate", provided(providers.Delegate(n9)), at=2)
        later = part("later", provided(providers.Factory(made, n9).provider), at=2)
        function = Component(made, "function", infra.pool.provided).on(START.calls(Part.begin), STOP.calls(Part.end))
        tied = part("tied")
        replaced = part("replaced", n1.provided)
        user = part("user", replaced.provided, at=3)
        given = part("given", infra.probe.provided)
        last = part("last", tied.provided, at=95)
        first = part("first", last.provided, at=-5)

    class Sub(Shop):
        tied = part("tied anew", at=50)

    shop = Sub()
    shop.config.from_dict({"kind": "a"})
    instead = part("instead", Shop.infra.pool.provided, at=60)
    with shop.override(Shop.replaced).by(instead), shop.override(Shop.given).by(Part("standing in")):
        bus = shop.attach()
        bus.start()
        bus.stop()
    print(json.dumps([started, stopped]))
""")

ORDER = [
    *("value", "delegate", "later"),  # handed over uncalled, what they are given does not hold them back
    *("files", "tied anew", "standing in"),  # what a subclass declares anew keeps its place; nobody needs the probe now
    *("tables", "pool", "function", "instead", "user"),
    *("n1", "attribute", "n2", "item", "n3", "nested", "n4", "library list", "n5", "library dict", "n6", "called"),
    *("n7", "new", "n8", "selected", "single", "n9", "either"),
    *("last", "first"),
]


def zoo_under(hash_seed: int) -> list[list[str]]:
    """Return the start and stop order of the zoo in its own process."""
    ended = subprocess.run(
        [sys.executable, "-c", ZOO],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    orders: list[list[str]] = json.loads(ended.stdout)
    return orders


@pytest.mark.slow
def test_a_dependency_through_any_provider_orders_the_start() -> None:
    """Priorities cannot change this order; delegates add no dependency."""
    started, stopped = zoo_under(0)

    assert started == ORDER
    assert stopped == ORDER[::-1]


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.timeout(600)
def test_the_order_with_every_provider_is_the_same_in_fifty_processes() -> None:
    """It does not depend on hashes or addresses."""
    with ThreadPoolExecutor(2) as pool:
        orders = list(pool.map(zoo_under, range(50)))

    assert all(one == [ORDER, ORDER[::-1]] for one in orders)


@attrs.frozen
class Part:
    """The declaration of a generated component, the providers to its dependencies, and the hooks that fail."""

    needs: dict[int, str]
    priority: int
    failing: frozenset[str]


@attrs.define(eq=False)
class Instance:
    """The component of a `Part`; records its starts and stops, and fails in the hooks of the part."""

    notes: list[tuple[str, int]]
    number: int
    part: Part
    needed: tuple[object, ...]

    def __getitem__(self, item: str) -> str:
        return item

    def begin(self) -> None:
        """Listen to START."""
        self._note("start")

    def end(self) -> None:
        """Listen to STOP."""
        self._note("stop")

    def _note(self, what: str) -> None:
        self.notes.append((what, self.number))
        if what in self.part.failing:
            raise OSError(f"{what} {self.number}")


#: What may stand between a component and one that it needs, as an argument of its declaration.
LINKS: dict[str, Callable[[Any], object]] = {
    "provided": lambda needed: needed.provided,
    "attribute": lambda needed: needed.provided.number,
    "item": lambda needed: needed.provided["item"],
    "nested": lambda needed: {"a": [(needed.provided,)]},
    "List": lambda needed: provided(library.List(needed)),
    "Dict": lambda needed: provided(library.Dict(a=needed)),
    "Callable": lambda needed: provided(library.Callable(id, needed)),
    "Factory": lambda needed: provided(library.Factory(list, library.List(needed))),
    "Selector": lambda needed: provided(library.Selector(lambda: "a", a=library.Object(0), b=needed)),
    "Dependency": lambda needed: provided(library.Dependency(instance_of=Instance, default=needed)),
    "Singleton": lambda needed: provided(library.Singleton(id, needed)),
    "delegate": lambda needed: provided(library.Delegate(needed)),
    "delegated factory": lambda needed: provided(library.Factory(id, needed).provider),
}


@st.composite
def parts(draw: st.DrawFn, *failures: str) -> list[Part]:
    """Draw the parts of a container, each with dependencies among the earlier ones; *failures* are the hooks that may fail in each."""
    failing = st.frozensets(st.sampled_from(failures), max_size=1) if failures else st.just(frozenset[str]())
    return [
        Part(
            draw(st.dictionaries(st.integers(0, number - 1), st.sampled_from(sorted(LINKS)), max_size=3))
            if number
            else {},
            draw(st.sampled_from([1, 49, 50, 51, 90])),
            draw(failing),
        )
        for number in range(draw(st.integers(3, 20)))
    ]


def container_of(made_up: list[Part], cut: set[int], notes: list[tuple[str, int]]) -> tuple[Any, list[Any]]:
    """Return a container of *made_up*, and its components; those before *cut* are in a nested container."""
    members: dict[str, Any] = {}
    declared: list[Any] = []
    paths: list[str] = []
    for number, part in enumerate(made_up):
        if number in cut:
            inner: Any = type("Inner", (Container,), members)()
            declared = [attrgetter(path)(inner) for path in paths]
            members, paths = {"inner": inner}, [f"inner.{path}" for path in paths]
        arguments = tuple(LINKS[link](declared[need]) for need, link in part.needs.items())
        hooks = START.calls(Instance.begin, priority=part.priority), STOP.calls(Instance.end)
        declared.append(Component(Instance, notes, number, part, arguments).on(*hooks))
        members[f"c{number}"] = declared[-1]
        paths.append(f"c{number}")
    shop: Any = type("Shop", (Container,), {"bus": Component(Bus), **members})()
    return shop, [attrgetter(path)(shop) for path in paths]


def waits_for(part: Part) -> set[int]:
    """Return the parts that must have started before *part*."""
    return {need for need, link in part.needs.items() if "delegate" not in link}


def lawful(made_up: list[Part]) -> list[int]:
    """Return the start order by definition: repeatedly the lowest priority among parts whose dependencies have started, ties by number."""
    order: list[int] = []
    while len(order) < len(made_up):
        ready = [n for n, part in enumerate(made_up) if n not in order and waits_for(part) <= set(order)]
        order.append(min(ready, key=lambda number: (made_up[number].priority, number)))
    return order


def numbers_with(notes: list[tuple[str, int]], what: str) -> list[int]:
    """Return the numbers of the components with the event *what*, in order."""
    return [number for event, number in notes if event == what]


cuts = st.sets(st.integers(0, 9), max_size=3)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, database=None)
@given(parts(), cuts)
def test_the_start_order_is_that_of_the_definition(made_up: list[Part], cut: set[int]) -> None:
    """With every provider and across containers; the stop is its reverse, and a second start repeats it."""
    notes: list[tuple[str, int]] = []
    shop, _ = container_of(made_up, cut, notes)
    bus = shop.attach()

    bus.start()
    bus.exit()
    bus.start()

    order = lawful(made_up)
    assert numbers_with(notes, "start") == order * 2
    assert numbers_with(notes, "stop") == order[::-1]


@pytest.mark.slow
@settings(max_examples=60, deadline=None, database=None)
@given(parts("start", "stop"), cuts)
def test_a_start_that_fails_stops_the_started_components_and_names_all_failures(
    made_up: list[Part], cut: set[int]
) -> None:
    """All started components are stopped in reverse, even if some stops fail, too."""
    notes: list[tuple[str, int]] = []
    shop, components = container_of(made_up, cut, notes)
    bus = shop.attach()
    failures: list[tuple[str, str]] = []

    try:
        bus.start()
        bus.stop()
    except TransitionFailures as failed:
        failures = [(failure.name.rpartition(".")[0], failure.channel) for failure in failed.failures]

    order = lawful(made_up)
    broken = next((number for number in order if "start" in made_up[number].failing), None)
    before = order if broken is None else order[: order.index(broken)]
    assert numbers_with(notes, "start") == (before if broken is None else [*before, broken])
    assert numbers_with(notes, "stop") == before[::-1]
    expected = [] if broken is None else [(components[broken].path, "start")]
    assert failures == expected + [(components[n].path, "stop") for n in before[::-1] if "stop" in made_up[n].failing]
    assert bus.state is State.STOPPED


@pytest.mark.slow
@settings(max_examples=60, deadline=None, database=None)
@given(parts(), cuts, st.data())
def test_a_replacement_starts_after_its_dependencies(made_up: list[Part], cut: set[int], data: st.DataObject) -> None:
    """It keeps the position of the original; dependencies of the original alone are left out."""
    notes: list[tuple[str, int]] = []
    shop, components = container_of(made_up, cut, notes)
    replaced = data.draw(st.integers(0, len(made_up) - 1))
    links = st.sampled_from(sorted(LINKS))
    needs = data.draw(st.dictionaries(st.integers(0, replaced - 1), links, max_size=2)) if replaced else {}
    part = Part(needs, data.draw(st.sampled_from([1, 50, 90])), frozenset())
    arguments = tuple(LINKS[link](components[need]) for need, link in needs.items())
    hooks = START.calls(Instance.begin, priority=part.priority), STOP.calls(Instance.end)
    replacement = Component(Instance, notes, replaced, part, arguments).on(*hooks)

    with shop.override(components[replaced]).by(replacement):
        bus = shop.attach()
        bus.start()
        bus.stop()

    out: set[int] = set()
    for number in reversed(range(len(made_up))):
        users = {user for user, one in enumerate(made_up) if number in waits_for(one)}
        if users and users <= out | {replaced}:
            out.add(number)
    now = [*made_up[:replaced], part, *made_up[replaced + 1 :]]
    for number in reversed(range(len(now))):
        if number not in out:
            out -= waits_for(now[number])
    starts = numbers_with(notes, "start")
    assert sorted(starts) == [number for number in range(len(now)) if number not in out]
    assert all(starts.index(need) < starts.index(number) for number in starts for need in waits_for(now[number]))
    for one, following in zip(starts, starts[1:], strict=False):
        assert one in waits_for(now[following]) or now[one].priority <= now[following].priority
    assert numbers_with(notes, "stop") == starts[::-1]


class Named:
    """Records its start by name."""

    def __init__(self, notes: list[str], name: str, *needed: object) -> None:
        self.notes = notes
        self.name = name

    def start(self) -> None:
        """Record the call."""
        self.notes.append(self.name)


class Row(Container):
    """Components with equal priorities."""

    bus = Component(Bus)
    notes = Component(list[str])
    first = Component(Named, notes.provided, "first")
    second = Component(Named, notes.provided, "second")
    third = Component(Named, notes.provided, "third")


class Anew(Row):
    """Redeclares `first` with a dependency on a later component."""

    first = Component(Named, Row.notes.provided, "first", Row.third.provided)


def test_ties_start_in_order_of_declaration() -> None:
    """Components without dependencies start as declared, however others need them."""
    row, anew = Row(), Anew()
    replacement = Component(Named, Row.notes.provided, "third", Row.first.provided)

    with row.override(Row.third).by(replacement), running(row):
        overridden = row.notes()
    with running(anew):
        subclassed = anew.notes()

    assert (overridden, subclassed) == (["first", "second", "third"], ["second", "third", "first"])
