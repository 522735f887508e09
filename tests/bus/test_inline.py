"""Inline hooks: called in the thread of the transition, with any workers and limits."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from typedbus import EXIT, START, STOP, Bus, Component, Container, HookTimeout, Limits, TransitionFailures, on, running
from typedbus.faults import HookFault
from typedbus.testing import FakeClock

PATIENCE = 10


class Inline:
    """Records the thread of its hooks, and the other threads at that time."""

    def __init__(self, *needs: object) -> None:
        self.threads: list[threading.Thread] = []
        self.others: list[list[str]] = []

    def note(self) -> None:
        """Record the call."""
        self.threads.append(threading.current_thread())
        self.others.append([thread.name for thread in threading.enumerate() if thread.name.startswith("Shop.")])

    @on(START, inline=True)
    def start(self) -> None:
        """Record the call."""
        self.note()

    @on(STOP, inline=True)
    def stop(self) -> None:
        """Record the call."""
        self.note()

    @on(EXIT, inline=True)
    def exit(self) -> None:
        """Record the call."""
        self.note()


class Foreign(Inline):
    """A third-party class whose hooks are declared inline."""

    @on(START)
    def start(self) -> None:
        """Record the call."""
        self.note()


class Plain:
    """Records the thread of its start."""

    def __init__(self, *needs: object) -> None:
        self.threads: list[threading.Thread] = []

    def start(self) -> None:
        """Record the call."""
        self.threads.append(threading.current_thread())


@pytest.mark.parametrize(
    ("workers", "limits"),
    [(1, None), (4, None), (1, Limits(hook=60, start=60, stop=60, exit=60)), (4, Limits(hook=60))],
    ids=["neither", "workers", "limits", "both"],
)
def test_an_inline_hook_is_called_in_the_thread_of_the_transition(workers: int, limits: Limits | None) -> None:
    """Other hooks run in worker threads."""

    class Shop(Container):
        bus = Component(Bus)
        inline = Component(Inline)
        plain = Component(Plain, inline.provided)

    with running(Shop(), workers=workers, limits=limits) as shop:
        inline, plain = shop.inline(), shop.plain()

    here = threading.current_thread()
    assert inline.threads == [here, here, here]
    assert (plain.threads == [here]) == (workers == 1 and limits is None)


def test_a_declaration_may_make_a_hook_inline() -> None:
    """`channel.calls(method, inline=True)` does it for a class that cannot be changed."""

    class Shop(Container):
        bus = Component(Bus)
        foreign = Component(Foreign).on(START.calls(Foreign.start, inline=True))
        plain = Component(Foreign)

    with running(Shop(), workers=2) as shop:
        foreign, plain = shop.foreign(), shop.plain()

    assert foreign.threads[0] is threading.current_thread()
    assert plain.threads[0] is not threading.current_thread()


def test_a_priority_in_the_declaration_leaves_a_hook_inline() -> None:
    """An `on` that sets only a priority keeps the mark's `inline`."""

    class Shop(Container):
        bus = Component(Bus)
        inline = Component(Inline).on(START.calls(Inline.start, priority=10))

    with running(Shop(), workers=2) as shop:
        assert shop.inline().threads == [threading.current_thread()]


def test_an_inline_mark_works_without_a_container() -> None:
    """A bound method that is subscribed directly is inline on the channel of its mark."""
    bus = Bus(workers=2)
    inline, elsewhere = Inline(), Inline()
    bus[START].subscribe(inline.start)
    bus[START].subscribe(elsewhere.stop)

    bus.start()
    bus.exit()

    assert inline.threads == [threading.current_thread()]
    assert elsewhere.threads[0] is not threading.current_thread()


def test_no_idle_thread_exists_during_an_inline_hook() -> None:
    """Earlier hooks and their threads have ended, so that the hook may fork."""

    class Shop(Container):
        bus = Component(Bus)
        first = Component(Plain)
        second = Component(Plain)
        inline = Component(Inline).on(START.calls(Inline.start, priority=60))
        last = Component(Plain, inline.provided)

    with running(Shop(), workers=3) as shop:
        inline = shop.inline()

        assert inline.others == [[]]
        assert inline.threads[0] not in shop.first().threads
        assert shop.last().threads != [threading.current_thread()]


def test_a_running_hook_continues_during_an_inline_hook() -> None:
    """The inline hook waits only for its dependencies; no other hook begins until it has returned."""
    entered, left = threading.Event(), threading.Event()
    began: list[str] = []

    class Slow:
        def start(self) -> None:
            began.append("slow")
            entered.set()
            assert left.wait(PATIENCE)
            began.append("slow ends")

    class Meets(Inline):
        @on(START, inline=True)
        def start(self) -> None:
            assert entered.wait(PATIENCE)
            began.append("inline")
            left.set()

    class Late:
        def start(self) -> None:
            began.append("late")

    class Shop(Container):
        bus = Component(Bus)
        slow = Component(Slow)
        inline = Component(Meets)
        late = Component(Late)

    with running(Shop(), workers=3):
        began.remove("slow ends")

    assert began == ["slow", "inline", "late"]


def test_no_limit_interrupts_an_inline_hook() -> None:
    """The hook runs to its end; its time counts towards the limit of the whole transition."""
    clock = FakeClock()
    after = Plain()

    class Long(Inline):
        @on(START, inline=True)
        def start(self) -> None:
            super().start()
            clock.advance(5, sleepers=0)

    long = Long()
    bus = Bus(clock=clock, limits=Limits(hook=1, start=2))
    bus[START].subscribe(long.start)
    bus[START].subscribe(after.start)

    with pytest.raises(TransitionFailures) as failed:
        bus.start()

    (late,) = failed.value.exceptions
    assert isinstance(late, HookTimeout)
    assert (late.hook, late.scope) == ("start", "start")
    assert long.threads == [threading.current_thread()]
    assert after.threads == []


def test_an_inline_hook_that_fails_rolls_the_start_back() -> None:
    """No later component is started, and the started components are stopped."""

    class Broken(Inline):
        @on(START, inline=True)
        def start(self) -> None:
            raise OSError("no signals here")

    class Shop(Container):
        bus = Component(Bus)
        first = Component(Inline)
        broken = Component(Broken, first.provided)
        last = Component(Plain, broken.provided)

    shop = Shop()
    bus = shop.attach()
    bus.workers = 3
    with pytest.raises(TransitionFailures) as failed:
        bus.start()

    assert [str(error) for error in failed.value.exceptions] == ["no signals here"]
    assert len(shop.first().threads) == 2
    assert shop.last().threads == []


@pytest.mark.parametrize(
    "declare",
    [
        lambda: Component(Foreign).on(START.calls(Foreign.start, inline=True, limit=3)),
        lambda: Component(Inline).on(START.calls(Inline.start, limit=3)),
    ],
    ids=["both in one", "a limit for what is marked"],
)
def test_a_limit_of_an_inline_hook_is_a_fault(declare: Callable[[], Component[Inline]]) -> None:
    """It could not be enforced; `validate` reports it before a component is built."""
    shop: type[Container] = type("Shop", (Container,), {"bus": Component(Bus), "inline": declare()})

    with pytest.raises(ExceptionGroup) as invalid:
        shop().validate()

    (fault,) = invalid.value.exceptions
    assert isinstance(fault, HookFault)
    assert (
        "it is inline, where a limit cannot interrupt it, and has a limit of 3 s; remove inline=True or the limit"
        in str(fault)
    )
