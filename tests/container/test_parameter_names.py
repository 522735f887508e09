"""Constructors and functions whose parameters have the names of parameters of typedbus and of the container library."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from typedbus import Bus, Component, Container, Resource, Scoped, running
from typedbus.injection import injected

NAMED = {"self": 1, "cls": 2, "builds": 3, "provides": 4, "args": 5, "kwargs": 6, "bus": 7, "channel": 8}


class Sum:
    """Has the sum of its arguments."""

    def __init__(
        this,  # noqa: N805  # so that another parameter can be named `self`
        *,
        self: int,
        cls: int,
        builds: int,
        provides: int,
        args: int,
        kwargs: int,
        bus: int,
        channel: int,
    ) -> None:
        this.total = self + cls + builds + provides + args + kwargs + bus + channel


def opened(
    *, self: int, cls: int, builds: int, provides: int, args: int, kwargs: int, bus: int, channel: int
) -> Iterator[Sum]:
    """Yield a sum."""
    yield Sum(self=self, cls=cls, builds=builds, provides=provides, args=args, kwargs=kwargs, bus=bus, channel=channel)


class Office(Container):
    """Declares a sum of each kind."""

    main_bus = Component(Bus)
    component = Component(Sum, **NAMED)
    resource = Resource(opened, **NAMED)
    scoped = Scoped(opened, **NAMED)


def test_a_component_passes_arguments_of_any_name() -> None:
    """A resource, an object of a scope and an override pass them as well."""
    office = Office()
    office.validate()
    replacement = Component(Sum, **{**NAMED, "kwargs": 0})

    with office.override(Office.component).by(replacement), running(office), office.scope() as scope:
        totals = office.component().total, office.resource().total, scope[Office.scoped].total

    assert totals == (30, 36, 36)


def test_a_thread_is_a_component() -> None:
    """`threading.Thread` has parameters named `args` and `kwargs`."""
    sums = list[int]()

    class Working(Container):
        bus = Component(Bus)
        worker = Component(threading.Thread, target=lambda n, m: sums.append(n + m), args=(1,), kwargs={"m": 2})

    with running(Working()) as working:
        working.worker().join()

    assert sums == [3]


def test_an_injected_function_can_have_parameters_of_any_name() -> None:
    """The caller passes these arguments by name."""

    @injected(Office.component)
    def view(this: Sum, /, *, args: int, kwargs: int, self: int) -> int:
        return this.total + args + kwargs + self

    with running(Office()):
        assert view(args=1, kwargs=2, self=3) == 42
