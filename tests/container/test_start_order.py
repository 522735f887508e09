"""The start order, past every kind of provider, through nested containers and overrides, and in every process."""

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
    """Return how the zoo starts and stops in a process of its own."""
    ended = subprocess.run(
        [sys.executable, "-c", ZOO],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    found: list[list[str]] = json.loads(ended.stdout)
    return found


@pytest.mark.slow
def test_every_provider_between_two_components_is_seen() -> None:
    """What needs another past it waits for the other, however low its own priority; delegates wait for nobody."""
    started, stopped = zoo_under(0)

    assert started == ORDER
    assert stopped == ORDER[::-1]


@pytest.mark.slow
@pytest.mark.exhaustive
def test_the_order_of_everything_is_the_same_in_fifty_processes() -> None:
    """Neither hashes nor addresses have a say, whatever stands between components."""
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(zoo_under, range(50)))

    assert all(one == [ORDER, ORDER[::-1]] for one in found)


@attrs.frozen
class Part:
    """How one component of a made-up container is declared, what stands between it and its needs, and what fails."""

    needs: dict[int, str]
    priority: int
    failing: frozenset[str]


@attrs.define(eq=False)
class Instance:
    """The component of a `Part`; notes its starts and stops, and fails where the part says so."""

    notes: list[tuple[str, int]]
    number: int
    part: Part
    needed: tuple[object, ...]

    def __getitem__(self, item: str) -> str:
        return item

    def begin(self) -> None:
        """Listen to the start."""
        self._note("start")

    def end(self) -> None:
        """Listen to the stop."""
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
    """Draw the parts of a container, each with needs among those before it; *failures* are what may fail in each."""
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
    """Return a container of *made_up*, and its components; at *cut* what came before goes into a container inside."""
    members: dict[str, Any] = {}
    declared: list[Any] = []
    paths: list[str] = []
    for number, part in enumerate(made_up):
        if number in cut:
            inner: Any = type("Inner", (Container,), members)()
            declared = [attrgetter(path)(inner) for path in paths]
            members, paths = {"inner": inner}, [f"inner.{path}" for path in paths]
        given = tuple(LINKS[link](declared[need]) for need, link in part.needs.items())
        hooks = START.calls(Instance.begin, priority=part.priority), STOP.calls(Instance.end)
        declared.append(Component(Instance, notes, number, part, given).on(*hooks))
        members[f"c{number}"] = declared[-1]
        paths.append(f"c{number}")
    shop: Any = type("Shop", (Container,), {"bus": Component(Bus), **members})()
    return shop, [attrgetter(path)(shop) for path in paths]


def waits_for(part: Part) -> set[int]:
    """Return those that must have started before *part*."""
    return {need for need, link in part.needs.items() if "delegate" not in link}


def lawful(made_up: list[Part]) -> list[int]:
    """Return the start order by the law as it is written: of those whose needs have come the lowest, ties by number."""
    order: list[int] = []
    while len(order) < len(made_up):
        ready = [n for n, part in enumerate(made_up) if n not in order and waits_for(part) <= set(order)]
        order.append(min(ready, key=lambda number: (made_up[number].priority, number)))
    return order


def those(notes: list[tuple[str, int]], what: str) -> list[int]:
    """Return the numbers of those that *what* happened to, in order."""
    return [number for noted, number in notes if noted == what]


cuts = st.sets(st.integers(0, 9), max_size=3)


@pytest.mark.slow
@settings(max_examples=60, deadline=None, database=None)
@given(parts(), cuts)
def test_the_start_order_is_the_one_that_the_law_gives(made_up: list[Part], cut: set[int]) -> None:
    """Past whatever provider and out of whatever container; the stop is its reverse, and a second start the same."""
    notes: list[tuple[str, int]] = []
    shop, _ = container_of(made_up, cut, notes)
    bus = shop.attach()

    bus.start()
    bus.exit()
    bus.start()

    order = lawful(made_up)
    assert those(notes, "start") == order * 2
    assert those(notes, "stop") == order[::-1]


@pytest.mark.slow
@settings(max_examples=60, deadline=None, database=None)
@given(parts("start", "stop"), cuts)
def test_a_start_that_fails_anywhere_stops_what_had_started_and_tells_of_all_by_path(
    made_up: list[Part], cut: set[int]
) -> None:
    """In the exact reverse, everybody, though some of the stops fail, too."""
    notes: list[tuple[str, int]] = []
    shop, components = container_of(made_up, cut, notes)
    bus = shop.attach()
    told: list[tuple[str, str]] = []

    try:
        bus.start()
        bus.stop()
    except TransitionFailures as failed:
        told = [(failure.name.rpartition(".")[0], failure.channel) for failure in failed.failures]

    order = lawful(made_up)
    broken = next((number for number in order if "start" in made_up[number].failing), None)
    before = order if broken is None else order[: order.index(broken)]
    assert those(notes, "start") == (before if broken is None else [*before, broken])
    assert those(notes, "stop") == before[::-1]
    expected = [] if broken is None else [(components[broken].path, "start")]
    assert told == expected + [(components[n].path, "stop") for n in before[::-1] if "stop" in made_up[n].failing]
    assert bus.state is State.STOPPED


@pytest.mark.slow
@settings(max_examples=60, deadline=None, database=None)
@given(parts(), cuts, st.data())
def test_with_a_replacement_what_is_needed_still_comes_first(
    made_up: list[Part], cut: set[int], data: st.DataObject
) -> None:
    """It starts where it stands in, after what it needs itself; what only the replaced one needed stays out."""
    notes: list[tuple[str, int]] = []
    shop, components = container_of(made_up, cut, notes)
    replaced = data.draw(st.integers(0, len(made_up) - 1))
    links = st.sampled_from(sorted(LINKS))
    needs = data.draw(st.dictionaries(st.integers(0, replaced - 1), links, max_size=2)) if replaced else {}
    part = Part(needs, data.draw(st.sampled_from([1, 50, 90])), frozenset())
    given = tuple(LINKS[link](components[need]) for need, link in needs.items())
    hooks = START.calls(Instance.begin, priority=part.priority), STOP.calls(Instance.end)
    replacement = Component(Instance, notes, replaced, part, given).on(*hooks)

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
    started = those(notes, "start")
    assert sorted(started) == [number for number in range(len(now)) if number not in out]
    assert all(started.index(need) < started.index(number) for number in started for need in waits_for(now[number]))
    for one, following in zip(started, started[1:], strict=False):
        assert one in waits_for(now[following]) or now[one].priority <= now[following].priority
    assert those(notes, "stop") == started[::-1]


class Named:
    """Notes its start by name."""

    def __init__(self, notes: list[str], name: str, *needed: object) -> None:
        self.notes = notes
        self.name = name

    def start(self) -> None:
        """Record the call."""
        self.notes.append(self.name)


class Row(Container):
    """Some that tie."""

    bus = Component(Bus)
    notes = Component(list[str])
    first = Component(Named, notes.provided, "first")
    second = Component(Named, notes.provided, "second")
    third = Component(Named, notes.provided, "third")


class Anew(Row):
    """Its `first` needs what is declared after it."""

    first = Component(Named, Row.notes.provided, "first", Row.third.provided)


def test_ties_go_by_declaration_whoever_needs_what() -> None:
    """Those that wait for nobody start as declared, whether a stand-in or a member before them needs them or not."""
    row, anew = Row(), Anew()
    replacement = Component(Named, Row.notes.provided, "third", Row.first.provided)

    with row.override(Row.third).by(replacement), running(row):
        overridden = row.notes()
    with running(anew):
        subclassed = anew.notes()

    assert (overridden, subclassed) == (["first", "second", "third"], ["second", "third", "first"])
