"""Time limits: a hook that exceeds its limit is reported, and the other hooks are called."""

from __future__ import annotations

import contextvars
import pickle
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.doubles import ThreadCall

from typedbus import (
    EXIT,
    LOG,
    START,
    STOP,
    Bus,
    Component,
    Container,
    HookTimeout,
    LimitError,
    Limits,
    State,
    TransitionFailures,
    WaitError,
    on,
    running,
)
from typedbus._bus.bus import parts_of
from typedbus.testing import FakeClock


class Hang:
    """Hooks wait here until the end of the test; the test may wait for one that does."""

    def __init__(self) -> None:
        self.is_over = threading.Event()
        self.hanging = threading.Semaphore(0)

    def wait(self) -> None:
        """Hang."""
        self.hanging.release()
        self.is_over.wait()


class Part:
    """Records its starts and stops; hangs in its declared hooks until the end of the test."""

    def __init__(self, notes: list[str], name: str, hang: Hang, hangs: str = "", *needs: object) -> None:
        self.notes, self.name, self.hang, self.hangs = notes, name, hang, hangs

    def start(self) -> None:
        """Note it, or hang."""
        self.go("start")

    def stop(self) -> None:
        """Note it, or hang."""
        self.go("stop")

    def exit(self) -> None:
        """Note it, or hang."""
        self.go("exit")

    def go(self, hook: str) -> None:
        """Record *hook*, and hang if it is declared to."""
        self.notes.append(f"{hook} {self.name}")
        if hook in self.hangs.split():
            self.hang.wait()


class Parts:
    """Containers of parts for one test, with a clock that the test advances."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.hang = Hang()
        self.clock = FakeClock()

    def part(self, name: str, hangs: str = "", *needs: object) -> Component[Part]:
        """Declare a part that hangs in the hooks *hangs*."""
        return Component(Part, self.notes, name, self.hang, hangs, *needs)

    def container(self, limits: Limits, workers: int = 1, /, **members: Any) -> Any:
        """Return a container of *members* with a bus under *limits*."""
        bus = Component(Bus, clock=self.clock, workers=workers, limits=limits)
        made: Callable[[], Container] = type("Shop", (Container,), {"bus": bus, **members})
        return made()

    def overrun(self, call: Callable[[], None], *seconds: float) -> TransitionFailures:
        """Call it, let *seconds* pass one after the other, each when a hook hangs, and return the failures."""
        caller = ThreadCall(call)
        for each in seconds:
            assert self.hang.hanging.acquire(timeout=10)
            self.clock.advance(each)
        failed = caller.finished().error
        assert isinstance(failed, TransitionFailures)
        return failed


@pytest.fixture
def parts() -> Iterator[Parts]:
    """Yield the parts of a test, which hang no longer than the test."""
    made = Parts()
    yield made
    made.hang.is_over.set()


def timeouts(failed: TransitionFailures) -> list[HookTimeout]:
    """Return the time-outs in *failed*; it must not contain other errors."""
    timeouts = [error for error in failed.exceptions if isinstance(error, HookTimeout)]
    assert len(timeouts) == len(failed.exceptions)
    return timeouts


def test_the_error_of_a_hook_that_exceeds_its_limit_has_the_details(parts: Parts) -> None:
    """The error has the component, hook, place, duration, the limit and its source, the stack, and the waiting dependents."""
    database = parts.part("database", "start")
    orders = parts.part("orders", "", database.provided)
    shop = parts.container(
        Limits(hook=5), first=parts.part("first"), database=database, orders=orders,
        desk=parts.part("desk", "", orders.provided), other=parts.part("other"),
    )  # fmt: skip

    failed = parts.overrun(shop.attach().start, 5)

    (error,) = timeouts(failed)
    assert (error.path, error.hook, error.seconds, error.limit, error.scope) == ("Shop.database", "start", 5, 5, "hook")
    assert error.place == f"{__file__}:{Part.start.__code__.co_firstlineno}"
    assert error.waiting == ("Shop.orders", "Shop.desk")
    assert [line.rpartition(" in ")[2] for line in error.stack.splitlines()[::2]][:2] == ["start", "go"]
    assert "self.hang.wait()" in error.stack
    assert str(error).startswith(
        f"Shop.database has not returned from start ({error.place}) after 5.00 s, its limit is 5 s; "
        "Shop.orders, Shop.desk wait for it; it is at:\n"
    )


def test_a_start_that_exceeds_its_limit_is_rolled_back_and_can_be_repeated(parts: Parts) -> None:
    """Hook 5 of 10 hangs: 4 to 1 are stopped, and the bus is STOPPED until the second start."""
    shop = parts.container(
        Limits(hook=1),
        **{f"p{number}": parts.part(str(number), "start" if number == 5 else "") for number in range(1, 11)},
    )
    bus = shop.attach()

    failed = parts.overrun(bus.start, 1)

    assert (failed.goal, failed.state, bus.state) == (State.STARTED, State.STOPPED, State.STOPPED)
    assert parts.notes == [*(f"start {n}" for n in range(1, 6)), *(f"stop {n}" for n in range(4, 0, -1))]

    shop.p5().hangs = ""
    parts.hang.is_over.set()
    for late in list(parts_of(bus).machine.abandoned):
        assert late.is_over.wait(10)
    bus.start()

    assert bus.state is State.STARTED


def test_hooks_after_one_that_hangs_are_called(parts: Parts) -> None:
    """Each hook that hangs is reported; the others are called in order."""
    shop = parts.container(
        Limits(hook=2),
        a=parts.part("a"),
        b=parts.part("b", "stop"),
        c=parts.part("c"),
        d=parts.part("d", "stop"),
    )
    bus = shop.attach()
    bus.start()
    del parts.notes[:]

    failed = parts.overrun(bus.stop, 2, 2)

    assert parts.notes == ["stop d", "stop c", "stop b", "stop a"]
    assert [(error.path, error.hook) for error in timeouts(failed)] == [("Shop.d", "stop"), ("Shop.b", "stop")]
    assert bus.state is State.STOPPED


def test_the_dependencies_of_a_component_wait_for_its_stop(parts: Parts) -> None:
    """A component stops before its dependencies."""
    a = parts.part("a")
    b = parts.part("b", "", a.provided)
    shop = parts.container(Limits(hook=2), a=a, b=b, c=parts.part("c", "stop", b.provided), d=parts.part("d"))
    bus = shop.attach()
    bus.start()

    failed = parts.overrun(bus.stop, 2)

    assert timeouts(failed)[0].waiting == ("Shop.b", "Shop.a")


@pytest.mark.parametrize("workers", [1, 4])
def test_after_the_limit_of_a_stop_the_remaining_hooks_share_the_same_time_again(parts: Parts, workers: int) -> None:
    """All hooks are called, each with an equal share, and the whole takes at most twice the limit."""
    c = parts.part("c", "stop")
    b = parts.part("b", "stop", c.provided)
    shop = parts.container(Limits(stop=8), workers, c=c, b=b, a=parts.part("a", "stop", b.provided))
    bus = shop.attach()
    bus.start()
    del parts.notes[:]

    failed = parts.overrun(bus.stop, 8, 4, 4)

    assert parts.notes == ["stop a", "stop b", "stop c"]
    assert [(error.scope, error.limit, error.seconds) for error in timeouts(failed)] == [
        ("stop", 8, 8),
        ("stop", 8, 4),
        ("stop", 8, 4),
    ]


def test_unused_time_of_a_hook_is_available_to_the_next(parts: Parts) -> None:
    """After the limit the rest is divided equally among the remaining hooks, so that the last has all of it."""
    shop = parts.container(Limits(stop=8), c=parts.part("c", "stop"), b=parts.part("b"), a=parts.part("a", "stop"))
    bus = shop.attach()
    bus.start()

    caller = ThreadCall(bus.stop)
    for hung, seconds in ((True, 8), (True, 4), (False, 4)):
        assert not hung or parts.hang.hanging.acquire(timeout=10)
        parts.clock.advance(seconds)
    failed = caller.finished().error

    assert isinstance(failed, TransitionFailures)
    assert [error.seconds for error in timeouts(failed)] == [8, 8]


def test_after_the_limit_of_a_component_its_remaining_hooks_share_the_same_time_again(parts: Parts) -> None:
    """Of three, the first takes it all, and the second gets half of the same time."""

    class Thrice(Part):
        def first(self) -> None:
            parts.hang.wait()

        def last(self) -> None:
            parts.hang.wait()

    it = Component(Thrice, parts.notes, "it", parts.hang).on(STOP.calls(Thrice.last), STOP.calls(Thrice.first))
    shop = parts.container(Limits(), it=it.within(8))
    bus = shop.attach()
    bus.start()

    caller = ThreadCall(bus.stop)
    for hung, seconds in ((True, 8), (True, 3), (False, 1)):
        assert not hung or parts.hang.hanging.acquire(timeout=10)
        parts.clock.advance(seconds)
    failed = caller.finished().error

    assert isinstance(failed, TransitionFailures)
    assert [error.seconds for error in timeouts(failed)] == [8, 4]
    assert parts.notes == ["start it", "stop it"]


def test_a_start_calls_no_hook_after_its_limit(parts: Parts) -> None:
    """The started components are stopped within the limit of the rollback."""
    shop = parts.container(
        Limits(start=8, rollback=3, stop=100), a=parts.part("a", "stop"), b=parts.part("b", "start"), c=parts.part("c")
    )

    failed = parts.overrun(shop.attach().start, 8, 3)

    assert parts.notes == ["start a", "start b", "stop a"]
    assert [(error.path, error.scope, error.limit) for error in timeouts(failed)] == [
        ("Shop.b", "start", 8),
        ("Shop.a", "rollback", 3),
    ]
    assert "the limit of the whole start is 8 s" in str(timeouts(failed)[0])


def test_a_hook_without_remaining_time_is_not_called(parts: Parts) -> None:
    """An earlier hook has used all of it, and the error describes that."""

    class Slow:
        def start(self) -> None:
            parts.clock._now += 9

    shop = parts.container(Limits(start=8), a=Component(Slow), b=parts.part("b"))
    bus = shop.attach()

    with pytest.raises(TransitionFailures) as failed:
        bus.start()

    (error,) = timeouts(failed.value)
    assert (error.path, error.seconds) == ("Shop.b", 0)
    assert error.stack == "nowhere: the hooks before it had used up the time, and it was not called"
    assert parts.notes == []


def test_a_rollback_has_the_limit_of_a_stop_by_default(parts: Parts) -> None:
    """It may have its own."""
    shop = parts.container(Limits(hook=7, stop=2), a=parts.part("a", "stop"), b=parts.part("b", "start"))

    failed = parts.overrun(shop.attach().start, 7, 2)

    assert [(error.scope, error.limit) for error in timeouts(failed)] == [("hook", 7), ("rollback", 2)]


def test_an_exit_has_its_own_limit(parts: Parts) -> None:
    """The listeners of EXIT share it."""
    shop = parts.container(Limits(exit=3), a=parts.part("a"), b=parts.part("b", "exit"))
    bus = shop.attach()
    bus.start()

    failed = parts.overrun(bus.exit, 3)

    assert [(error.path, error.hook, error.scope) for error in timeouts(failed)] == [("Shop.b", "exit", "exit")]
    assert parts.notes[-2:] == ["exit b", "exit a"]
    assert bus.state is State.EXITED


def test_the_hooks_of_a_component_share_its_limit(parts: Parts) -> None:
    """After it the remaining hooks share the same time again."""

    class Twice(Part):
        @on(START)
        def prepare(self) -> None:
            parts.clock._now += 3

        @on(STOP)
        def release(self) -> None:
            parts.notes.append("release")

    made = Component(Twice, parts.notes, "it", parts.hang, "start").within(10)
    shop = parts.container(Limits(), it=made.on(START.calls(Twice.prepare, priority=50)))
    bus = shop.attach()
    bus[START].subscribe(lambda: None, priority=90)

    failed = parts.overrun(bus.start, 10)

    (error,) = timeouts(failed)
    assert (error.scope, error.limit, error.hook) == ("component", 10, "start")
    assert "the limit of its component is 10 s" in str(error)


def test_the_second_hook_of_a_component_has_the_remaining_time(parts: Parts) -> None:
    """Together they take at most the limit of the component."""

    class Twice:
        def start(self) -> None:
            parts.clock._now += 3

        @on(START)
        def serve(self) -> None:
            parts.hang.wait()

    shop = parts.container(Limits(), it=Component(Twice).within(10))

    failed = parts.overrun(shop.attach().start, 7)

    assert timeouts(failed)[0].seconds == 7


def test_the_smallest_limit_applies(parts: Parts) -> None:
    """A hook's limit replaces the general one; the limits of the component and of the transition bound it."""

    class One:
        def start(self) -> None:
            parts.hang.wait()

    def scope(limits: Limits, own: float | None, component: float | None) -> str:
        it = Component(One).on(START.calls(One.start, limit=own))
        shop = parts.container(limits, it=it if component is None else it.within(component))
        failed = parts.overrun(shop.attach().start, 4)
        return timeouts(failed)[0].scope

    assert scope(Limits(hook=100, start=200), 4, 50) == "hook"
    assert scope(Limits(hook=3.5, start=200), 4, None) == "hook"
    assert scope(Limits(hook=100, start=200), None, 4) == "component"
    assert scope(Limits(hook=100, start=4), 40, 50) == "start"


def test_a_mark_may_set_a_limit(parts: Parts) -> None:
    """`@on(START, limit=...)` on a method named `start` subscribes it once."""

    class One:
        @on(START, limit=6)
        def start(self) -> None:
            parts.notes.append("start")
            parts.hang.wait()

    shop = parts.container(Limits(), it=Component(One))

    failed = parts.overrun(shop.attach().start, 6)

    assert (timeouts(failed)[0].limit, parts.notes) == (6, ["start"])


def test_a_hook_without_a_limit_runs_in_the_thread_of_the_caller(parts: Parts) -> None:
    """A hook with a limit runs in another thread, with the context of the caller."""
    request = contextvars.ContextVar("request", default="none")
    calls: dict[str, tuple[bool, str]] = {}

    class One:
        def start(self) -> None:
            calls["start"] = (threading.current_thread() is threading.main_thread(), request.get())

        def stop(self) -> None:
            calls["stop"] = (threading.current_thread() is threading.main_thread(), request.get())

    token = request.set("7")
    with running(parts.container(Limits(), it=Component(One).on(STOP.calls(One.stop, limit=5)))):
        pass
    request.reset(token)

    assert calls == {"start": (True, "7"), "stop": (False, "7")}


def test_a_hook_that_returns_after_it_was_given_up_is_logged(parts: Parts) -> None:
    """The component may be started after the wait for it has ended, so the log reports it."""
    shop = parts.container(Limits(hook=5), a=parts.part("a", "start"))
    bus = shop.attach()
    messages: list[tuple[str, int]] = []
    is_logged = threading.Event()

    def hear(message: str, level: int, /) -> None:
        messages.append((message, level))
        is_logged.set()

    bus[LOG].subscribe(hear)
    parts.overrun(bus.start, 5)
    parts.clock._now = 12.5
    parts.hang.is_over.set()

    assert is_logged.wait(60)
    assert messages == [
        ("Shop.a.start returned after 12.50 s; it had been given up; now it is undone by Shop.a.stop", 30)
    ]


def test_a_hook_that_was_given_up_before_its_call_is_not_called() -> None:
    """Its thread began too late."""
    named, go_on, caller = threading.Event(), threading.Event(), threading.current_thread()
    threads: list[threading.Thread] = []
    calls: list[str] = []

    class Late:
        def __call__(self) -> None:
            calls.append("late")

        def __repr__(self) -> str:
            if threading.current_thread() is not caller:
                threads.append(threading.current_thread())
                named.set()
                go_on.wait(10)
            return "late"

    def overrun() -> None:
        named.wait(10)
        clock.advance(2)

    clock = FakeClock()
    bus = Bus(clock=clock, limits=Limits(hook=1))
    bus[START].subscribe(Late())
    timing = threading.Thread(target=overrun)
    timing.start()
    with pytest.raises(TransitionFailures, match="late"):
        bus.start()
    timing.join()
    go_on.set()
    threads[0].join(10)

    assert (calls, threads[0].is_alive()) == ([], False)


def test_a_hook_is_called_directly_if_no_thread_can_be_started() -> None:
    """At the end of the interpreter its time is not bounded."""
    threads: list[threading.Thread] = []
    bus = Bus(limits=Limits(hook=10))
    bus[START].subscribe(lambda: threads.append(threading.current_thread()))
    before = threading.stack_size(2**46)
    try:
        bus.start()
    finally:
        threading.stack_size(before)

    assert threads == [threading.current_thread()]
    assert bus.state is State.STARTED


def test_the_threads_of_hooks_end_with_the_transition(parts: Parts) -> None:
    """Except those that hang, which are daemon threads."""
    before = set(threading.enumerate())
    c = parts.part("c", "stop")
    others = {name: parts.part(name, "", c.provided) for name in "ab"}
    shop = parts.container(Limits(hook=5), 3, c=c, **others)
    bus = shop.attach()

    bus.start()
    while_started = set(threading.enumerate()) - before
    parts.overrun(bus.stop, 5)
    remaining = set(threading.enumerate()) - before

    assert while_started == set()
    assert [(thread.name, thread.daemon) for thread in remaining] == [("Shop.c.stop", True)]


def test_a_hook_in_its_own_thread_belongs_to_the_transition(parts: Parts) -> None:
    """Its calls of the bus are requests, and a wait for the bus would be a deadlock."""
    errors: list[object] = []

    class One:
        def __init__(self, bus: Bus) -> None:
            self.bus = bus

        def start(self) -> None:
            with pytest.raises(WaitError) as waiting:
                self.bus.wait(State.STARTED)
            errors.append(type(waiting.value))
            self.bus.stop()
            errors.append(self.bus.state)

    shop = parts.container(Limits(hook=5), after=parts.part("after"))
    bus = shop.attach()
    bus[START].subscribe(One(bus).start)

    with pytest.raises(RuntimeError, match=r"rolled back because stop\(\) was requested"):
        bus.start()

    assert errors == [WaitError, State.STARTING]


def test_a_constructor_that_hangs_is_named_and_no_other_component_is_built(parts: Parts) -> None:
    """The limit of the whole start includes construction."""
    late = threading.Event()

    class Hanging:
        def __init__(self) -> None:
            parts.hang.wait()

        def start(self) -> None: ...

    class After:
        def __init__(self, it: Hanging) -> None:
            parts.notes.append("built")

    it = Component(Hanging)
    shop = parts.container(Limits(start=4), it=it, after=Component(After, it.provided))
    bus = shop.attach()
    bus[LOG].subscribe(lambda message, level: late.set())

    failed = parts.overrun(bus.start, 4)
    parts.hang.is_over.set()

    (error,) = timeouts(failed)
    assert (error.path, error.hook, error.place) == ("Shop.it", "assemble", it.place)
    assert late.wait(60)
    assert parts.notes == []


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), "5", True])
def test_a_value_that_is_not_a_time_limit_is_refused(seconds: Any) -> None:
    """The error names the limit."""
    with pytest.raises(LimitError, match=re.escape(f"{seconds!r} is not a time limit for stop")):
        Limits(stop=seconds)
    with pytest.raises(LimitError, match="for .*Part"):
        Component(Part, [], "", Hang()).within(seconds)
    with pytest.raises(LimitError, match="for .*Part.start"):
        START.calls(Part.start, limit=seconds)
    with pytest.raises(LimitError):
        on(START, limit=seconds)(Part.start)


def test_a_component_within_none_is_refused() -> None:
    """Without `within` there is no limit."""
    nothing: Any = None

    with pytest.raises(LimitError):
        Component(Part, [], "", Hang()).within(nothing)


@pytest.mark.parametrize("workers", [0, -1, 1.5, "2", True])
def test_a_value_that_is_not_a_number_of_workers_is_refused(workers: Any) -> None:
    """Both in the constructor and when the limit is set later."""
    with pytest.raises(
        LimitError, match=re.escape(f"{workers!r} is not a number of workers: give a whole number from 1 up")
    ):
        Bus(workers=workers)
    with pytest.raises(LimitError):
        Bus().workers = workers


def test_a_time_out_survives_pickling() -> None:
    """It may come from a worker process."""
    error = HookTimeout("Shop.a", "stop", "shop.py:3", 5.0, None, "interrupt", "  File x", ("Shop.b",))

    copied = pickle.loads(pickle.dumps(error))

    assert str(copied) == str(error)
    assert "after 5.00 s, and waiting was interrupted again; Shop.b waits for it; it is at:\n  File x" in str(error)
    assert isinstance(error, TimeoutError)


def test_a_timeout_names_only_a_few_dependents() -> None:
    """A hundred names would hide the stack."""
    waiting = tuple(f"Shop.p{number}" for number in range(8))

    text = str(HookTimeout("Shop.a", "stop", "shop.py:3", 5.0, 5.0, "hook", "", waiting))

    assert "; Shop.p0, Shop.p1, Shop.p2, Shop.p3, Shop.p4 and 3 more wait for it;" in text
    assert EXIT.name == "exit"
