"""One of several components, by a key."""

from __future__ import annotations

import enum
from typing import Protocol

import attrs
import pytest

from typedbus import (
    DISABLED,
    Bus,
    Choice,
    ChoiceFault,
    Component,
    Container,
    DeclarationError,
    DisabledFault,
    Fault,
    InvalidContainer,
    TransitionFailures,
    TypeFault,
    running,
)


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
    """Before its users, once; the others take no part, and the event says why."""
    shop, disabled = Shop(), dict[str, str]()
    shop.validate()
    shop.attach()[DISABLED].subscribe(lambda event, /: disabled.update({event.path: event.reason}))
    with shop.override(Shop.settings).by(Settings(kind)), running(shop, workers=workers):
        assert shop.orders().store is shop.store()
        notes = shop.notes()
    assert notes == [f"{kind} starts", "orders start", f"{kind} stops"]
    other = "memory" if kind == "pg" else "pg"
    assert disabled == {f"Shop.{other}": f"Shop.store is {kind!r}"}


def test_keys_are_whatever_can_be_hashed() -> None:
    """Members of an enumeration, and bools."""

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
    """Of `validate` where it is known, else of the start, before anything is started."""

    class App(Shop):
        known = Choice[Store]("redis", {"pg": Shop.pg, "memory": Shop.memory})

    [fault] = faults_of(App())
    assert isinstance(fault, ChoiceFault)
    assert (fault.path, fault.key, fault.choices) == ("App.known", "redis", ("pg", "memory"))
    assert "it has no branch for 'redis'; there are: 'pg', 'memory'" in str(fault)

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
    """One that is not chosen may be."""

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


def test_a_branch_that_another_component_needs_takes_part() -> None:
    """As any other component."""

    class App(Shop):
        tool = Component(Orders, Shop.pg.provided)

    app = App()
    with running(app):
        notes = app.notes()
    assert notes[:2] == ["pg starts", "memory starts"]


def test_a_choice_and_its_branches_may_be_overridden() -> None:
    """Each by what is of its type."""
    shop, fake = Shop(), Pg([])
    with shop.override(Shop.store).by(fake), running(shop):
        assert shop.orders().store is fake
    shop = Shop()
    with shop.override(Shop.memory).by(Component(Memory, ["fake"])), running(shop):
        notes = shop.orders().store.notes
    assert notes == ["fake", "memory starts", "orders start", "memory stops"]


def test_branches_may_be_nested() -> None:
    """In containers inside."""

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


def test_users_are_held_against_the_branches() -> None:
    """If none of them fits it is a fault."""

    class WantsSettings:
        def __init__(self, settings: Settings) -> None: ...

    class App(Shop):
        wrong = Component(WantsSettings, Shop.store.provided)  # type: ignore[arg-type]  # the fault

    [fault] = faults_of(App())
    assert isinstance(fault, TypeFault)


def test_a_branch_has_to_be_a_component() -> None:
    """Said where it is declared."""
    with pytest.raises(DeclarationError, match="is not a component"):
        Choice[Store]("pg", {"pg": Pg([])})  # type: ignore[dict-item]  # the mistake
