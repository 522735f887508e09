"""Hooks that are called in the thread of the transition, whatever workers and limits there are."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from typedbus import EXIT, START, STOP, Bus, Component, Container, HookTimeout, Limits, TransitionFailures, on, running
from typedbus.faults import HookFault
from typedbus.testing import FakeClock

PATIENCE = 10


class Inline:
    """Notes the thread in which its hooks are called, and which threads there are beside it."""

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
    """Has no marks that are inline, and is declared so."""

    @on(START)
    def start(self) -> None:
        """Record the call."""
        self.note()


class Plain:
    """Notes the thread in which it is started."""

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
    """The thread that starts, stops or exits the bus calls the hook; other hooks run in the threads that they would have had."""

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
    """`channel.calls(method, inline=True)` says it of a class that cannot be changed."""

    class Shop(Container):
        bus = Component(Bus)
        foreign = Component(Foreign).on(START.calls(Foreign.start, inline=True))
        plain = Component(Foreign)

    with running(Shop(), workers=2) as shop:
        foreign, plain = shop.foreign(), shop.plain()

    assert foreign.threads[0] is threading.current_thread()
    assert plain.threads[0] is not threading.current_thread()


def test_a_priority_in_the_declaration_leaves_a_hook_inline() -> None:
    """The thread is a property of the hook; an `on` that sets a priority only keeps it."""

    class Shop(Container):
        bus = Component(Bus)
        inline = Component(Inline).on(START.calls(Inline.start, priority=10))

    with running(Shop(), workers=2) as shop:
        assert shop.inline().threads == [threading.current_thread()]


def test_a_mark_counts_without_a_container() -> None:
    """A bound method that is subscribed by hand is inline if its mark says so, and only on that channel."""
    bus = Bus(workers=2)
    inline, elsewhere = Inline(), Inline()
    bus[START].subscribe(inline.start)
    bus[START].subscribe(elsewhere.stop)

    bus.start()
    bus.exit()

    assert inline.threads == [threading.current_thread()]
    assert elsewhere.threads[0] is not threading.current_thread()


def test_no_idle_thread_is_left_beside_an_inline_hook() -> None:
    """What was called before it has ended, and so has its thread: the hook may fork."""

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


def test_a_hook_that_runs_before_an_inline_hook_goes_on_beside_it() -> None:
    """The hook waits only for its dependencies; no other hook begins until it has returned."""
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


def test_an_inline_hook_that_fails_is_a_failure_like_any_other() -> None:
    """No later component is started, and the components that had started are stopped."""

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
    """It could not be kept, and `validate` says so before anything is built."""
    shop: type[Container] = type("Shop", (Container,), {"bus": Component(Bus), "inline": declare()})

    with pytest.raises(ExceptionGroup) as invalid:
        shop().validate()

    (fault,) = invalid.value.exceptions
    assert isinstance(fault, HookFault)
    assert (
        "it is inline, where a limit cannot interrupt it, and has a limit of 3 s; remove inline=True or the limit"
        in str(fault)
    )
