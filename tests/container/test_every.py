"""`every`: all components of one kind as an argument."""

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
    """A class of which a dispatcher has many instances."""

    def __init__(self, notes: list[str] | None = None) -> None:
        self.notes = notes if notes is not None else []

    @abc.abstractmethod
    def handle(self) -> str:
        """Return its name."""

    def start(self) -> None:
        """Record the call."""
        self.notes.append(f"start {self.handle()}")

    def stop(self) -> None:
        """Record the call."""
        self.notes.append(f"stop {self.handle()}")


class Mail(Handler):
    """A handler."""

    def handle(self) -> str:
        """Return its name."""
        return "mail"


class Phone(Handler):
    """Another handler."""

    def handle(self) -> str:
        """Return its name."""
        return "phone"


class FakePhone(Phone):
    """Replaces `Phone`."""


class Dispatcher:
    """Has all handlers."""

    def __init__(self, handlers: Sequence[Handler], notes: list[str] | None = None) -> None:
        self.handlers = handlers
        self.notes = notes if notes is not None else []

    def start(self) -> None:
        """Record the call."""
        self.notes.append("start dispatcher")

    def stop(self) -> None:
        """Record the call."""
        self.notes.append("stop dispatcher")


class Handles(Protocol):
    """A protocol with the members of `Handler`."""

    def handle(self) -> str:
        """Return its name."""
        ...


class Infra(Container):
    """The shared components."""

    bus = Component(Bus)
    notes = Component(list[str])
    dispatcher = Component(Dispatcher, every(Handler), notes.provided)


class Mails(Container):
    """Declares a handler."""

    mail = Component(Mail, Infra.notes.provided)
    count = Component(int)


class Phones(Container):
    """Declares another handler."""

    phone = Component(Phone, Infra.notes.provided)


class App(Container):
    """Nests all of these containers."""

    infra = Infra()
    phones = Phones()
    mails = Mails()


def test_the_list_has_the_components_of_all_modules_in_order_of_declaration() -> None:
    """Its members are the component instances."""
    app = App()

    assert app.infra.dispatcher().handlers == [app.phones.phone(), app.mails.mail()]


def test_the_members_start_before_and_stop_after_the_receiver() -> None:
    """They are dependencies like any others."""
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
def test_the_list_includes_containers_that_run_together(turned: bool) -> None:
    """In the order in which they are passed."""
    infra, mails, phones = Infra(), Mails(), Phones()
    others = (phones, mails) if turned else (mails, phones)
    with running(infra, *others):
        names = [handler.handle() for handler in infra.dispatcher().handlers]
        assert infra.notes()[-1] == "start dispatcher"

    assert names == (["phone", "mail"] if turned else ["mail", "phone"])


def test_an_override_takes_the_position_of_the_original() -> None:
    """The order stays the same."""
    app, fake = App(), FakePhone()
    with app.override(App.phones.phone).by(fake), running(app):
        assert app.infra.dispatcher().handlers == [fake, app.mails.mail()]


@pytest.mark.parametrize("is_known", [True, False], ids=["written down", "known when it is built"])
def test_a_disabled_component_is_left_out(is_known: bool) -> None:
    """Neither the omission nor a missing dependency of the component is a fault."""

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


def test_the_members_are_started_although_the_receiver_is_overridden() -> None:
    """They are declared independently of the receiver."""
    app = App()
    with app.override(App.infra.dispatcher).by(Dispatcher([])), running(app):
        assert app.phones.phone.is_built


def test_a_replacement_may_take_the_list() -> None:
    """It works like a declaration."""
    app = App()
    with app.override(App.infra.dispatcher).by(Component(Dispatcher, every(Phone))), running(app):
        assert app.infra.dispatcher().handlers == [app.phones.phone()]


def test_a_protocol_selects_every_class_that_has_its_members() -> None:
    """Other classes are left out."""

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
    """The generic class with a type argument."""


def test_a_parametrised_class_selects_the_class() -> None:
    """Type arguments of an instance are not known at run time."""

    class Shop(Container):
        users = Component(Users)
        repo = Component(Repo[int])
        all = Component(list[Repo[str]], every(Repo[str]))

    shop = Shop()

    assert shop.all() == [shop.users(), shop.repo()]


def test_the_receiver_itself_is_left_out() -> None:
    """The receiver may be of the kind that it takes."""

    class Both(Phone):
        def __init__(self, handlers: Sequence[Handler]) -> None:
            super().__init__()
            self.handlers = handlers

    class Shop(Container):
        both = Component(Both, every(Handler))
        phone = Component(Phone)

    shop = Shop()

    assert shop.both().handlers == [shop.phone()]


def test_the_annotation_of_a_function_counts_and_an_object_appears_once() -> None:
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
    """This is not a fault, because modules may be installed later."""
    with running(Infra()) as infra:
        assert infra.dispatcher().handlers == []


def test_two_instances_have_separate_lists() -> None:
    """The members are components of the instance."""
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
    """It is checked like any other argument."""

    class Shop(Container):
        bus = Component(Bus)
        number = Component(int, 3)
        dispatcher = Component(Dispatcher, every(int))  # type: ignore[arg-type]  # the fault

    with pytest.raises(InvalidContainer) as invalid:
        Shop().validate()

    assert [type(fault) for fault in invalid.value.exceptions] == [TypeFault]


def test_the_picture_has_a_line_to_each_member() -> None:
    """They are dependencies like any others."""
    edges = [(edge.source, edge.target) for edge in Graph.of(App()).edges]

    assert ("App.infra.dispatcher", "App.phones.phone") in edges
    assert ("App.infra.dispatcher", "App.mails.mail") in edges


def test_a_kind_must_be_a_class() -> None:
    """The error names the object."""
    wrong: Any = "Handler"

    with pytest.raises(DeclarationError, match=r"every\(\.\.\.\) .*it takes a class, as in every\(Handler\)"):
        every(wrong)
