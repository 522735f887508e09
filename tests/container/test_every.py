"""A component that is given all components of one kind."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, Generic, Protocol

import pytest
from typing_extensions import TypeVar

from typedbus import Bus, Component, Container, DeclarationError, InvalidContainer, every, running
from typedbus.faults import CycleFault, TypeFault
from typedbus.graph import Graph

T = TypeVar("T")


class Handler(abc.ABC):
    """What a dispatcher has many of."""

    def __init__(self, notes: list[str] | None = None) -> None:
        self.notes = notes if notes is not None else []

    @abc.abstractmethod
    def handle(self) -> str:
        """Return its name."""

    def start(self) -> None:
        """Note it."""
        self.notes.append(f"start {self.handle()}")

    def stop(self) -> None:
        """Note it."""
        self.notes.append(f"stop {self.handle()}")


class Mail(Handler):
    """One of them."""

    def handle(self) -> str:
        """Return its name."""
        return "mail"


class Phone(Handler):
    """Another one."""

    def handle(self) -> str:
        """Return its name."""
        return "phone"


class FakePhone(Phone):
    """Takes the place of it."""


class Dispatcher:
    """Has all of them."""

    def __init__(self, handlers: Sequence[Handler], notes: list[str] | None = None) -> None:
        self.handlers = handlers
        self.notes = notes if notes is not None else []

    def start(self) -> None:
        """Note it."""
        self.notes.append("start dispatcher")

    def stop(self) -> None:
        """Note it."""
        self.notes.append("stop dispatcher")


class Handles(Protocol):
    """The same, by its members alone."""

    def handle(self) -> str:
        """Return its name."""
        ...


class Infra(Container):
    """What the others share."""

    bus = Component(Bus)
    notes = Component(list[str])
    dispatcher = Component(Dispatcher, every(Handler), notes.provided)


class Mails(Container):
    """Declares a handler."""

    mail = Component(Mail, Infra.notes.provided)
    count = Component(int)


class Phones(Container):
    """Declares another one."""

    phone = Component(Phone, Infra.notes.provided)


class App(Container):
    """Nests them all."""

    infra = Infra()
    phones = Phones()
    mails = Mails()


def test_the_list_has_the_components_of_all_modules_in_order_of_declaration() -> None:
    """Each is the component itself."""
    app = App()

    assert app.infra.dispatcher().handlers == [app.phones.phone(), app.mails.mail()]


def test_they_start_before_and_stop_after() -> None:
    """They are needs like any others."""
    with running(App()) as app:
        notes = app.infra.notes()

    assert notes == [
        "start phone",
        "start mail",
        "start dispatcher",
        "stop dispatcher",
        "stop mail",
        "stop phone",
    ]


@pytest.mark.parametrize("turned", [False, True])
def test_containers_that_run_together_are_searched_as_well(turned: bool) -> None:
    """In the order in which they are given."""
    infra, mails, phones = Infra(), Mails(), Phones()
    others = (phones, mails) if turned else (mails, phones)
    with running(infra, *others):
        found = [handler.handle() for handler in infra.dispatcher().handlers]
        assert infra.notes()[-1] == "start dispatcher"

    assert found == (["phone", "mail"] if turned else ["mail", "phone"])


def test_an_override_takes_the_place_of_what_it_overrides() -> None:
    """The order stays."""
    app, fake = App(), FakePhone()
    with app.override(App.phones.phone).by(fake), running(app):
        assert app.infra.dispatcher().handlers == [fake, app.mails.mail()]


@pytest.mark.parametrize("is_known", [True, False], ids=["written down", "known when it is built"])
def test_what_is_not_enabled_is_left_out(is_known: bool) -> None:
    """It is no fault, and neither is what it needs in vain."""

    class Off:
        value = False

    class Shop(App):
        off = Component(Off)
        line = Component(Phone).enabled(False if is_known else off.provided.value, reason="off")
        second = Component(lambda line: FakePhone(), line.provided)
        third: Component[Handler] = Component(Mail).enabled(off.provided.value, reason="off")

    class Whole(Shop):
        second = Component(FakePhone).enabled(Shop.off.provided.value, reason="off")

    with running(Whole()) as whole:
        assert whole.infra.dispatcher().handlers == [whole.phones.phone(), whole.mails.mail()]
    assert len(Whole().infra.dispatcher().handlers) == 2


def test_an_override_of_the_receiver_leaves_the_others_started() -> None:
    """They were declared for their own sake."""
    app = App()
    with app.override(App.infra.dispatcher).by(Dispatcher([])), running(app):
        assert app.phones.phone.is_built


def test_a_replacement_may_be_given_the_list() -> None:
    """As a declaration may."""
    app = App()
    with app.override(App.infra.dispatcher).by(Component(Dispatcher, every(Phone))), running(app):
        assert app.infra.dispatcher().handlers == [app.phones.phone()]


def test_a_protocol_means_every_class_that_has_its_members() -> None:
    """And no other."""

    class Duck:
        def handle(self) -> str:
            return "duck"

    class Shop(Container):
        duck = Component(Duck)
        mail = Component(Mail)
        notes = Component(list[str])
        all = Component(list[Handles], every(Handles))

    shop = Shop()

    assert shop.all() == [shop.duck(), shop.mail()]


class Repo(Generic[T]):
    """A generic class."""


class Users(Repo[str]):
    """One with its parameter."""


def test_a_parametrised_class_means_the_class() -> None:
    """What an object was made for is not known at run time."""

    class Shop(Container):
        users = Component(Users)
        repo = Component(Repo[int])
        all = Component(list[Repo[str]], every(Repo[str]))

    shop = Shop()

    assert shop.all() == [shop.users(), shop.repo()]


def test_the_receiver_itself_is_left_out() -> None:
    """One that is of the kind may hold all others."""

    class Both(Phone):
        def __init__(self, handlers: Sequence[Handler]) -> None:
            super().__init__()
            self.handlers = handlers

    class Shop(Container):
        both = Component(Both, every(Handler))
        phone = Component(Phone)

    shop = Shop()

    assert shop.both().handlers == [shop.phone()]


def test_a_function_is_known_by_its_annotation_and_an_object_comes_once() -> None:
    """Two components may return one object."""

    def again(phone: Phone) -> Phone:
        return phone

    def unknown():  # type: ignore[no-untyped-def]  # that nobody knows it is the point
        return Mail()

    class Shop(Container):
        phone = Component(Phone)
        same = Component(again, phone.provided)
        mystery = Component(unknown)
        dispatcher = Component(Dispatcher, every(Handler))

    shop = Shop()

    assert shop.dispatcher().handlers == [shop.phone()]


def test_the_list_may_be_empty() -> None:
    """No fault: the modules may be installed later."""
    with running(Infra()) as infra:
        assert infra.dispatcher().handlers == []


def test_two_instances_have_lists_of_their_own() -> None:
    """As they have components of their own."""
    one, other = App(), App()

    assert one.infra.dispatcher().handlers == [one.phones.phone(), one.mails.mail()]
    assert other.infra.dispatcher().handlers[0] is other.phones.phone() is not one.phones.phone()


def test_a_member_that_needs_the_receiver_is_a_cycle() -> None:
    """Which `validate()` reports."""

    class Needing(Phone):
        def __init__(self, dispatcher: Dispatcher) -> None:
            super().__init__()

    class Shop(Container):
        bus = Component(Bus)
        dispatcher = Component(Dispatcher, every(Handler))
        needing = Component(Needing, dispatcher.provided)

    with pytest.raises(InvalidContainer) as invalid:
        Shop().validate()

    assert [type(fault) for fault in invalid.value.exceptions] == [CycleFault]


def test_a_list_of_the_wrong_kind_is_a_fault() -> None:
    """As any other argument."""

    class Shop(Container):
        bus = Component(Bus)
        number = Component(int, 3)
        dispatcher = Component(Dispatcher, every(int))  # type: ignore[arg-type]  # the fault

    with pytest.raises(InvalidContainer) as invalid:
        Shop().validate()

    assert [type(fault) for fault in invalid.value.exceptions] == [TypeFault]


def test_the_picture_has_a_line_to_each() -> None:
    """They are needs like any others."""
    edges = [(edge.source, edge.target) for edge in Graph.of(App()).edges]

    assert ("App.infra.dispatcher", "App.phones.phone") in edges
    assert ("App.infra.dispatcher", "App.mails.mail") in edges


def test_only_a_class_is_a_kind() -> None:
    """An object that is not a class has no components."""
    wrong: Any = "Handler"

    with pytest.raises(DeclarationError, match=r"every\(\.\.\.\) .*it takes a class, as in every\(Handler\)"):
        every(wrong)
