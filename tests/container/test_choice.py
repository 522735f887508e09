"""`Choice`: one of several components, selected by a key."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import attrs
import pytest
from dependency_injector import providers

from typedbus import (
    Bus,
    Choice,
    Component,
    ComponentDisabled,
    ConstructionCycle,
    Container,
    DeclarationError,
    InvalidContainer,
    TransitionFailures,
    every,
    provided,
    running,
)
from typedbus.events import DISABLED
from typedbus.faults import ChoiceFault, DisabledFault, Fault, TypeFault
from typedbus.graph import Graph


class Kind(enum.Enum):
    PG = "pg"
    MEMORY = "memory"


@attrs.frozen
class Settings:
    kind: str = "memory"
    enum: Kind = Kind.MEMORY
    is_pg: bool = False


class Store(Protocol):
    notes: list[str]


class Pg:
    def __init__(self, notes: list[str]) -> None:
        self.notes = notes

    def start(self) -> None:
        self.notes.append("pg starts")

    def stop(self) -> None:
        self.notes.append("pg stops")


class Memory(Pg):
    def start(self) -> None:
        self.notes.append("memory starts")

    def stop(self) -> None:
        self.notes.append("memory stops")


class Orders:
    def __init__(self, store: Store) -> None:
        self.store = store

    def start(self) -> None:
        self.store.notes.append("orders start")


class Late:
    def __init__(self, later: Callable[[], Pg]) -> None:
        self.later = later


class Alone(Orders):
    def __init__(self) -> None:
        super().__init__(Pg([]))


class Shop(Container):
    bus = Component(Bus)
    notes = Component(list[str])
    settings = Component(Settings)
    pg = Component(Pg, notes.provided)
    memory = Component(Memory, notes.provided)
    store = Choice[Store](settings.provided.kind, {"pg": pg, "memory": memory})
    orders = Component(Orders, store.provided)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kind", ["pg", "memory"])
def test_the_branch_under_the_key_is_built_and_started(kind: str, workers: int) -> None:
    """The branch starts before its users, once; the event for the others gives the reason."""
    shop, disabled = Shop(), dict[str, str]()
    shop.validate()
    shop.attach()[DISABLED].subscribe(lambda event, /: disabled.update({event.path: event.reason}))
    with shop.override(Shop.settings).by(Settings(kind)), running(shop, workers=workers):
        assert shop.orders().store is shop.store()
        notes = shop.notes()
    assert notes == [f"{kind} starts", "orders start", f"{kind} stops"]
    other = "memory" if kind == "pg" else "pg"
    assert disabled == {f"Shop.{other}": f"Shop.store is {kind!r}"}


def test_any_hashable_object_is_a_key() -> None:
    """Members of an enumeration and bools are examples."""

    class App(Container):
        bus = Component(Bus)
        notes = Component(list[str])
        settings = Component(Settings)
        pg = Component(Pg, notes.provided)
        memory = Component(Memory, notes.provided)
        by_kind = Choice[Store](settings.provided.enum, {Kind.PG: pg, Kind.MEMORY: memory})
        by_bool = Choice[Store](settings.provided.is_pg, {True: pg, False: memory})

    app = App()
    with running(app):
        assert app.by_kind() is app.by_bool() is app.memory()
    assert app.notes() == ["memory starts", "memory stops"]


def faults_of(container: Container) -> list[Fault]:
    with pytest.raises(InvalidContainer) as raised:
        container.validate()
    return [fault for fault in raised.value.exceptions if isinstance(fault, Fault)]


def test_a_key_without_a_branch_is_a_fault() -> None:
    """`validate()` reports it if the key is known, otherwise the start does before any component starts."""

    class App(Shop):
        known = Choice[Store]("redis", {"pg": Shop.pg, "memory": Shop.memory})

    [fault] = faults_of(App())
    assert isinstance(fault, ChoiceFault)
    assert (fault.path, fault.key, fault.choices) == ("App.known", "redis", ("pg", "memory"))
    assert "it has no branch for 'redis'; its branches are: 'pg', 'memory'" in str(fault)

    shop = Shop()
    with (
        shop.override(Shop.settings).by(Component(Settings, "redis")),
        pytest.raises(TransitionFailures) as raised,
        running(shop),
    ):
        pass
    assert "it has no branch for 'redis'" in str(raised.value.failures[0].error)
    assert not shop.notes.is_built


def test_a_chosen_branch_that_is_not_enabled_is_a_fault() -> None:
    """A branch that is not chosen may be disabled."""

    class App(Container):
        bus = Component(Bus)
        notes = Component(list[str])
        pg = Component(Pg, notes.provided).enabled(False, reason="no network")
        memory = Component(Memory, notes.provided)
        store = Choice[Store]("pg", {"pg": pg, "memory": memory})
        other = Choice[Store]("memory", {"pg": pg, "memory": memory})

    [fault] = faults_of(App())
    assert isinstance(fault, DisabledFault)
    assert (fault.path, fault.disabled, fault.reason) == ("App.store", "App.pg", "no network")


def test_a_branch_that_another_component_needs_is_started() -> None:
    """It is handled like any other component."""

    class App(Shop):
        tool = Component(Orders, Shop.pg.provided)

    app = App()
    with running(app):
        notes = app.notes()
    assert notes[:2] == ["pg starts", "memory starts"]


def test_a_choice_and_its_branches_may_be_overridden() -> None:
    """Each accepts an object of its type."""
    shop, fake = Shop(), Pg([])
    with shop.override(Shop.store).by(fake), running(shop):
        assert shop.orders().store is fake
    shop = Shop()
    with shop.override(Shop.memory).by(Component(Memory, ["fake"])), running(shop):
        notes = shop.orders().store.notes
    assert notes == ["fake", "memory starts", "orders start", "memory stops"]


def test_branches_may_be_nested() -> None:
    """A branch may be a component of a nested container."""

    class Stores(Container):
        notes = Component(list[str])
        pg = Component(Pg, notes.provided)
        memory = Component(Memory, notes.provided)

    class App(Container):
        bus = Component(Bus)
        settings = Component(Settings)
        stores = Stores()
        store = Choice[Store](settings.provided.kind, {"pg": stores.pg, "memory": stores.memory})
        orders = Component(Orders, store.provided)

    app = App()
    with running(app):
        assert app.orders().store is app.stores.memory()
        assert not app.stores.pg.is_built


def test_the_types_of_branches_are_checked_against_their_users() -> None:
    """It is a fault if no branch matches."""

    class WantsSettings:
        def __init__(self, settings: Settings) -> None: ...

    class App(Shop):
        wrong = Component(WantsSettings, Shop.store.provided)  # type: ignore[arg-type]  # the fault

    [fault] = faults_of(App())
    assert isinstance(fault, TypeFault)


def test_a_branch_must_be_a_component() -> None:
    """The declaration raises the error."""
    with pytest.raises(DeclarationError, match="is not a component"):
        Choice[Store]("pg", {"pg": Pg([])})  # type: ignore[dict-item]  # the mistake


@attrs.frozen
class Parts:
    pg: Pg | None
    memory: Memory | None
    stores: Sequence[Pg]


class Whole(Shop):
    parts = Component(Parts, Shop.pg.optional, Shop.memory.optional, every(Pg))
    late = Component(Late, Shop.pg.lazy)


def test_a_branch_that_is_not_chosen_is_missing_from_optional_and_every() -> None:
    """`optional` gives None, `every` leaves it out, and it is not built, also in a call before any start."""
    whole = Whole()
    assert whole.parts() == Parts(None, whole.memory(), [whole.memory()])
    assert not whole.pg.is_built
    whole = Whole()
    with running(whole):
        assert whole.parts() == Parts(None, whole.memory(), [whole.memory()])
        assert not whole.pg.is_built
    whole = Whole()
    with whole.override(Whole.settings).by(Settings("pg")), running(whole):
        assert whole.parts() == Parts(whole.pg(), None, [whole.pg()])


def test_a_call_of_a_branch_that_is_not_chosen_raises_and_names_the_choice() -> None:
    """Before a start and during one, directly and by a lazy argument."""
    whole = Whole()
    with pytest.raises(ComponentDisabled, match=r"Whole\.pg.*Whole\.store is 'memory'"):
        whole.pg()
    with running(whole):
        for call in (whole.pg, whole.late().later):
            with pytest.raises(ComponentDisabled, match="Whole.store is 'memory'"):
                call()
    assert not whole.pg.is_enabled()
    assert whole.memory.is_enabled()


def test_a_branch_of_two_choices_is_started_if_one_chooses_it() -> None:
    """The reason names the first choice that does not."""

    class Two(Shop):
        other = Choice[Store]("pg", {"pg": Shop.pg, "memory": Shop.memory})

    two = Two()
    assert two.pg.is_enabled()
    assert two.memory.is_enabled()
    two = Two()
    with two.override(Two.settings).by(Settings("pg")):
        assert two.memory.participation() == (False, "Two.store is 'pg'")


def test_the_branches_of_a_disabled_choice_are_disabled() -> None:
    """The choice may be a branch of another choice, or have a condition."""

    class Nested(Shop):
        fake = Component(Memory, Shop.notes.provided)
        orders = Component(Alone)
        outer = Choice[Store]("fake", {"store": Shop.store, "fake": fake})

    class Off(Shop):
        store = Choice[Store](Shop.settings.provided.kind, {"pg": Shop.pg, "memory": Shop.memory}).enabled(
            False, reason="no store"
        )
        orders = Component(Alone)

    nested, off = Nested(), Off()
    with running(nested):
        assert not nested.memory.is_built
    assert nested.memory.participation() == (False, "Nested.store is not enabled: Nested.outer is 'fake'")
    with running(off):
        assert not off.memory.is_built
    assert off.memory.participation() == (False, "Off.store is not enabled: no store")


def test_a_key_may_come_from_a_component_that_needs_a_branch() -> None:
    """The component requires the branch, so the branch is enabled."""

    class Kinds:
        def __init__(self, store: Store) -> None:
            self.kind = "memory"

    class App(Container):
        bus = Component(Bus)
        notes = Component(list[str])
        pg = Component(Pg, notes.provided)
        memory = Component(Memory, notes.provided)
        kinds = Component(Kinds, pg.provided)
        store = Choice[Store](kinds.provided.kind, {"pg": pg, "memory": memory})

    app = App()
    with running(app):
        assert app.store() is app.memory()
        assert app.pg.is_built
    app = App()
    assert app.store() is app.memory()


def test_a_key_that_depends_on_its_own_branch_raises() -> None:
    """The alternative would be endless recursion."""

    class Kinds:
        def __init__(self, store: Store | None) -> None:
            self.kind = "memory" if store is None else "pg"

    class App(Container):
        notes = Component(list[str])
        pg = Component(Pg, notes.provided)
        memory = Component(Memory, notes.provided)
        kinds = Component(Kinds, pg.optional)
        store = Choice[Store](kinds.provided.kind, {"pg": pg, "memory": memory})

    with pytest.raises(ConstructionCycle):
        App().store()


@attrs.frozen
class Slots:
    kind: str = "redis"


@dataclasses.dataclass
class Plain:
    kind: str = "redis"


KEYS: dict[str, Callable[[], object]] = {
    "a string": lambda: "redis",
    "a bool": lambda: True,
    "a number": lambda: 7,
    "a member of an enumeration": lambda: Kind.PG,
    "a list": lambda: ["pg"],
    "an object": lambda: provided(providers.Object("redis")),
    "an attribute in a slot": lambda: provided(providers.Object(Slots())).kind,
    "an attribute": lambda: provided(providers.Object(Plain())).kind,
}


@pytest.mark.parametrize("key", [pytest.param(key, id=name) for name, key in KEYS.items()])
def test_validate_reports_a_known_key_without_a_branch(key: Callable[[], object]) -> None:
    """Plain values, members of enumerations and attributes of an object in the container are known."""
    given: Any = key()

    class App(Shop):
        store = Choice[Store](given, {"pg": Shop.pg, "memory": Shop.memory})

    [fault] = faults_of(App())
    assert isinstance(fault, ChoiceFault)
    assert fault.choices == ("pg", "memory")


def test_a_key_from_a_settings_object_is_validated() -> None:
    """An override with such an object is checked, too."""
    shop = Shop()
    with shop.override(Shop.settings).by(Settings("redis")):
        [fault] = faults_of(shop)
    assert isinstance(fault, ChoiceFault)
    assert fault.key == "redis"


@pytest.mark.parametrize("key", ["redis", ["pg"]], ids=["unknown", "unhashable"])
def test_a_call_reports_a_key_without_a_branch(key: object) -> None:
    """The container may be started or not."""

    def kind() -> Any:
        return key

    class App(Shop):
        kinds = Component(kind)
        store = Choice[Store](kinds.provided, {"pg": Shop.pg, "memory": Shop.memory})

    app = App()
    app.validate()
    for component in (app.store, app.orders):
        with pytest.raises(InvalidContainer) as raised:
            component()
        assert "it has no branch for " + repr(key) in str(raised.value)
    with pytest.raises(TransitionFailures) as failed, running(app):
        pass
    assert "it has no branch for " + repr(key) in str(failed.value.failures[0].error)


def test_a_picture_shows_which_branches_are_disabled() -> None:
    """The reason names the choice; where the key is known only later, each branch is conditional."""
    shop = Shop()
    with shop.override(Shop.settings).by(Settings("memory")):
        graph = Graph.of(shop)
        nodes = {node.path: (node.enabled, node.reason) for node in graph.nodes}
        assert nodes["Shop.pg"] == (False, "Shop.store is 'memory'")
        assert nodes["Shop.memory"] == nodes["Shop.store"] == (True, "")
        assert "off: Shop.store is 'memory'" in graph.mermaid()
        assert "off: Shop.store is 'memory'" in graph.dot()
        assert "off: Shop.store is 'memory'" in graph.svg()
    nodes = {node.path: (node.enabled, node.reason) for node in Graph.of(Shop()).nodes}
    assert nodes["Shop.pg"] == nodes["Shop.memory"] == (None, "a branch of Shop.store")


def test_a_branch_that_is_not_chosen_may_need_a_disabled_component() -> None:
    """It is a fault only if the branch is chosen."""

    class App(Container):
        bus = Component(Bus)
        settings = Component(Settings)
        notes = Component(list[str]).enabled(False, reason="no notes")
        pg = Component(Pg, notes.provided)
        memory = Component(Memory, [])
        store = Choice[Store](settings.provided.kind, {"pg": pg, "memory": memory})

    app = App()
    app.validate()
    with running(app):
        assert app.store() is app.memory()
    app = App()
    with app.override(App.settings).by(Settings("pg")):
        [fault] = faults_of(app)
    assert isinstance(fault, DisabledFault)
    assert fault.path == "App.pg"


def test_a_choice_may_override_a_component() -> None:
    """Its branches are handled like those of any other choice."""

    class Fixed(Container):
        bus = Component(Bus)
        notes = Component(list[str])
        pg = Component(Pg, notes.provided)
        memory = Component(Memory, notes.provided)
        store = Component(Pg, notes.provided)

    fixed = Fixed()
    with fixed.override(Fixed.store).by(Choice[Pg]("memory", {"pg": Fixed.pg, "memory": Fixed.memory})):
        assert not fixed.pg.is_enabled()
        with running(fixed):
            assert fixed.store() is fixed.memory()
            assert not fixed.pg.is_built
