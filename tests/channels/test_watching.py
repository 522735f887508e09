"""Watchers of a channel: they receive each publish, and change nothing for it."""

from __future__ import annotations

import asyncio
import gc
import inspect
import itertools
import signal
import sys
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import pytest
from tests.doubles import LIMIT, ThreadCall

from typedbus import (
    EXIT,
    GRACEFUL,
    LOG,
    MAIN,
    START,
    STOP,
    AsyncChannel,
    AsyncPublishes,
    Bus,
    Channel,
    ChannelFailures,
    ListenerError,
    Publishes,
    Subscription,
    Watch,
    WatcherError,
)
from typedbus._channels.codegen import HEAT, UNROLLED
from typedbus.events import LIFECYCLE, LISTENER_FAILED, MOVED

HOT: Final = HEAT + 1
VERBS: Final = ("publish", "first", "fold", "attempt")

reserved = Channel[[str], str | None]("reserved")
untyped: Channel[[str], str | None] = Channel("untyped")
awaited = AsyncChannel[[str], str | None]("awaited")
together = AsyncChannel[[str], str | None]("together", concurrent=True)
awaited_untyped: AsyncChannel[[str], str | None] = AsyncChannel("awaited_untyped")


@Channel.declare
def everything(a: int, /, b: int = 3, *rest: int, c: int = 5, **others: int) -> int | None:
    """A channel with every kind of parameter."""


@AsyncChannel.declare
async def everything_awaited(a: int, /, b: int = 3, *rest: int, c: int = 5, **others: int) -> int | None:
    """An async channel with every kind of parameter."""


every_verb = pytest.mark.parametrize("verb", VERBS)
every_channel = pytest.mark.parametrize(
    "channel", [reserved, untyped, awaited, together, awaited_untyped], ids=lambda channel: channel.name
)
cold_and_hot = pytest.mark.parametrize("publishes", [0, HOT], ids=["cold", "hot"])
every_number = pytest.mark.parametrize("listeners", [0, 1, 5, UNROLLED + 1])


def call(bound: Any, verb: str, *args: Any, **kwargs: Any) -> Any:
    """Return the result of *verb*, which is awaited on an async channel."""
    result = getattr(bound, verb)(*args, **kwargs)
    return asyncio.run(result) if inspect.iscoroutine(result) else result


def warm_up(bound: Any, verb: str, publishes: int) -> None:
    """Call *verb* *publishes* times, on one event loop if the channel is async."""

    async def main() -> None:
        for _ in range(publishes):
            await getattr(bound, verb)("before")

    if bound.channel.is_async:
        asyncio.run(main())
        return
    for _ in range(publishes):
        getattr(bound, verb)("before")


def lines_of(bus: Bus) -> list[tuple[str, int]]:
    """Return a list that receives each message of *bus* with its level."""
    lines: list[tuple[str, int]] = []
    bus[LOG].subscribe(lambda text, level: lines.append((text, level)))
    return lines


@every_verb
@every_channel
@cold_and_hot
@every_number
def test_a_watcher_receives_a_publish_and_does_not_change_its_result(
    channel: Any, verb: str, publishes: int, listeners: int
) -> None:
    """It runs before the first listener, and a result of its own is dropped."""
    events: list[str] = []

    def listener(number: int) -> Callable[[str], str]:
        def function(sku: str) -> str:
            events.append(f"listener {number}")
            return f"{sku}{number}"

        return function

    def watcher(sku: str) -> str:
        events.append(f"watcher of {sku}")
        return "its own result"

    bus, plain = Bus(), Bus()
    for number in range(listeners):
        bus[channel].subscribe(listener(number))
        plain[channel].subscribe(listener(number))
    warm_up(bus[channel], verb, publishes)
    events.clear()

    results = []
    for bound in (plain[channel], bus[channel]):
        if bound is bus[channel]:
            bound.watch(watcher)
        result = call(bound, verb, "tea")
        results.append([answer.result for answer in result] if verb == "attempt" else result)

    assert results[0] == results[1]
    calls = events[: len(events) // 2]
    assert events == [*calls, "watcher of tea", *calls]


@every_verb
@pytest.mark.parametrize("channel", [everything, everything_awaited], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("args", "kwargs", "received"),
    [
        ((1,), {}, ((1, 3), {"c": 5})),
        ((1, 2, 4), {"c": 6, "d": 7}, ((1, 2, 4), {"c": 6, "d": 7})),
    ],
    ids=["defaults", "all"],
)
def test_a_watcher_receives_the_arguments_that_the_listeners_receive(
    channel: Any, verb: str, args: tuple[int, ...], kwargs: dict[str, int], received: object
) -> None:
    """Arguments that the publisher leaves out have the defaults of the declaration."""
    calls: list[object] = []
    bound = Bus()[channel]
    bound.watch(lambda *args, **kwargs: calls.append((args, kwargs)))
    bound.subscribe(lambda *args, **kwargs: calls.append((args, kwargs)))

    call(bound, verb, *args, **kwargs)

    assert calls == [received, received]


@every_verb
@every_channel
def test_watchers_run_in_the_order_of_their_watches_until_each_ends(channel: Any, verb: str) -> None:
    """A watcher that watches twice is called twice, and each watch ends on its own."""
    calls: list[str] = []
    bound = Bus()[channel]
    first = bound.watch(lambda _: calls.append("first"))

    def second(_: str) -> None:
        calls.append("second")

    with bound.watch(second) as watch:
        bound.watch(second)
        call(bound, verb, "tea")
    call(bound, verb, "tea")
    first.cancel()
    first.cancel()
    call(bound, verb, "tea")

    assert calls == ["first", "second", "second", "first", "second", "second"]
    assert watch.watcher is second


@every_verb
@every_channel
def test_a_method_that_was_read_before_the_watch_calls_the_watcher(channel: Any, verb: str) -> None:
    """A component may keep `bound.publish`, and an audit log receives these publishes as well."""
    calls: list[str] = []
    bound = Bus()[channel]
    method = getattr(bound, verb)

    bound.watch(calls.append)
    result = method("tea")
    if inspect.iscoroutine(result):
        asyncio.run(result)

    assert calls == ["tea"]


@every_verb
@every_channel
def test_changes_of_the_listeners_leave_the_watch_in_place(channel: Any, verb: str) -> None:
    """A subscription discards the compiled functions, but not those that call the watchers."""
    calls: list[str] = []
    bound = Bus()[channel]
    bound.watch(calls.append)

    warm_up(bound, verb, HOT)
    subscription = bound.subscribe(str.upper)
    call(bound, verb, "subscribed")
    subscription.cancel()
    call(bound, verb, "cancelled")

    assert calls == ["before"] * HOT + ["subscribed", "cancelled"]


@every_verb
@every_channel
def test_after_the_last_watch_the_channel_is_compiled_again(channel: Any, verb: str) -> None:
    """Its publishes are as fast as before, and call no watcher."""
    calls: list[str] = []
    bound = Bus()[channel]
    bound.subscribe(str.upper)
    bound.subscribe(str.lower)
    bound.watch(calls.append).cancel()
    assert (bound._unrolled, bound._verbs) == (None, None)

    warm_up(bound, verb, HOT)

    assert calls == []
    if verb == "publish" and channel in (reserved, awaited):
        assert bound._unrolled.__defaults__ == (str.upper, str.lower)


@every_verb
@every_channel
def test_a_failing_watcher_is_logged_and_changes_nothing(channel: Any, verb: str) -> None:
    """The log line is an error with the traceback, and names watcher, place and channel."""
    bus = Bus()
    lines = lines_of(bus)
    calls: list[str] = []
    bound = bus[channel]

    def broken(sku: str) -> None:
        raise ValueError(sku)

    bound.watch(broken)
    bound.watch(calls.append)
    bound.subscribe(lambda sku: calls.append("listener"))

    call(bound, verb, "tea")

    assert calls == ["tea", "listener"]
    [(text, level)] = lines
    head, *trace = text.splitlines()
    assert f"{broken.__qualname__} ({__file__}:{broken.__code__.co_firstlineno})" in head
    assert repr(channel.name) in head
    assert trace[-1] == "ValueError: tea"
    assert level == 40


@every_channel
def test_a_failing_watcher_is_not_a_failure_of_the_publish(channel: Any) -> None:
    """Only listeners are in `ChannelFailures` and on `LISTENER_FAILED`."""
    bus = Bus()
    failed: list[str] = []
    bus[LISTENER_FAILED].subscribe(lambda event: failed.append(str(event.error)))

    def fails(reason: str) -> Callable[[str], Any]:
        def function(_: str) -> None:
            raise ValueError(reason)

        return function

    bus[channel].watch(fails("watcher"))
    bus[channel].subscribe(fails("listener"))

    with pytest.raises(ChannelFailures) as caught:
        call(bus[channel], "publish", "tea")

    assert [str(error) for error in caught.value.exceptions] == ["listener"] == failed
    assert not hasattr(caught.value, "__notes__")


@every_verb
@every_channel
@pytest.mark.parametrize("leaving", [RecursionError, SystemExit, KeyboardInterrupt])
def test_exceptions_that_end_a_publish_propagate_from_a_watcher(
    channel: Any, verb: str, leaving: type[BaseException]
) -> None:
    """No listener and no other watcher is called, and nothing is logged."""
    bus = Bus()
    lines = lines_of(bus)
    calls: list[str] = []

    def leave(_: str) -> None:
        raise leaving

    bus[channel].watch(leave)
    bus[channel].watch(calls.append)
    bus[channel].subscribe(calls.append)

    with pytest.raises(leaving):
        call(bus[channel], verb, "tea")

    assert (calls, lines) == ([], [])


@every_verb
@cold_and_hot
@pytest.mark.parametrize("channel", [reserved, untyped], ids=["typed", "untyped"])
def test_a_watcher_that_publishes_on_its_channel_ends_with_a_recursion_error(
    channel: Channel[[str], str | None], verb: str, publishes: int
) -> None:
    """The stack is exhausted once, not once for each watcher at each level."""
    bound = Bus()[channel]
    calls = 0
    is_on = False

    def publish_again(_: str) -> None:
        nonlocal calls
        if is_on:
            calls += 1
            getattr(bound, verb)("again")

    bound.watch(publish_again)
    bound.watch(lambda _: publish_again("twice"))
    warm_up(bound, verb, publishes)
    is_on = True

    with pytest.raises(RecursionError):
        getattr(bound, verb)("tea")

    assert calls < 1100


@pytest.mark.parametrize("channel", [awaited, together], ids=["sequential", "concurrent"])
@every_verb
def test_a_watcher_of_an_async_channel_is_called_when_the_publish_begins_to_run(channel: Any, verb: str) -> None:
    """The call that makes the coroutine calls no watcher; it only decides which watchers and listeners are called."""
    calls: list[str] = []
    bound = Bus()[channel]

    async def main() -> None:
        early = bound.watch(lambda _: calls.append("early"))
        publish = getattr(bound, verb)("tea")
        early.cancel()
        bound.watch(lambda _: calls.append("late"))
        assert calls == []
        await publish

    asyncio.run(main())

    assert calls == ["early"]


@every_verb
def test_the_watches_of_a_concurrent_channel_without_listeners_may_change(verb: str) -> None:
    """Its plan of calls depends on the watches, even if the listeners are the same."""
    calls: list[str] = []
    bound = Bus()[together]

    for name in ("one", "two"):
        with bound.watch(lambda _: calls.append(name)):  # noqa: B023  # called in this round of the loop only
            call(bound, "first", "tea")
            call(bound, verb, "tea")
    call(bound, "first", "tea")
    call(bound, verb, "tea")

    assert calls == ["one", "one", "two", "two"]


@every_verb
@pytest.mark.parametrize("channel", [awaited, together], ids=["sequential", "concurrent"])
def test_a_watcher_that_meets_a_cancelled_future_does_not_cancel_the_publish(channel: Any, verb: str) -> None:
    """The cancellation is logged, as any other failure."""
    bus = Bus()
    lines = lines_of(bus)
    calls: list[str] = []

    async def main() -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        bus[channel].watch(lambda _: future.result())
        bus[channel].subscribe(calls.append)
        await getattr(bus[channel], verb)("tea")

    asyncio.run(main())

    assert calls == ["tea"]
    [(text, _)] = lines
    assert "ended with CancelledError" in text


def test_publishes_in_and_from_threads_call_the_watcher() -> None:
    """The watcher is called in the thread of the publish."""
    bus = Bus()
    threads: list[int] = []
    bus[reserved].watch(lambda _: threads.append(threading.get_ident()))
    bus[awaited].watch(lambda _: threads.append(threading.get_ident()))

    async def main() -> None:
        await bus.start_async()
        await bus[reserved].publish_in_thread("tea")
        await asyncio.to_thread(bus[awaited].publish_from_thread, "tea")
        bus.publish(reserved, "tea")
        await bus.publish(awaited, "tea")
        await bus.exit_async()

    asyncio.run(main())

    here = threading.get_ident()
    assert threads[0] != here
    assert threads[1:] == [here, here, here]


def test_a_decorated_function_watches_and_stays_itself() -> None:
    """`watch` without a watcher is a decorator, as `subscribe` is."""
    bus = Bus()
    calls: list[str] = []

    @bus[reserved].watch()
    def audit(sku: str, /) -> int:
        calls.append(sku)
        return len(sku)

    @bus[awaited].watch()
    def audit_later(sku: str, /) -> int:
        calls.append(sku)
        return len(sku)

    bus[reserved].publish("tea")
    asyncio.run(bus[awaited].publish("milk"))

    assert (audit("honey"), audit_later("oil")) == (5, 3)
    assert calls == ["tea", "milk", "honey", "oil"]


async def never_awaited(_: str) -> None:
    """Return a coroutine that no publish would await."""


def never_run(_: str) -> Iterator[None]:
    """Return a generator that no publish would run."""
    yield


@pytest.mark.parametrize("channel", [reserved, awaited], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("watcher", "reason"),
    [
        (never_awaited, "it is async"),
        (never_run, "it is a generator function"),
        ("audit", "it is not callable"),
        (None, "not callable"),
    ],
)
def test_a_watcher_that_would_not_run_is_refused(channel: Any, watcher: Any, reason: str) -> None:
    """The error has the channel, the watcher, the reason and the way out."""
    bound = Bus()[channel]

    for watch in (bound.watch, bound.watch()):
        with pytest.raises(
            WatcherError, match=f"cannot watch channel {channel.name!r} with .*{reason}.*; pass"
        ) as caught:
            watch(watcher)
        assert isinstance(caught.value, ListenerError)
        assert (caught.value.channel, caught.value.listener) == (channel.name, watcher)
    assert not bound


@pytest.mark.parametrize(
    "channel", [START, STOP, EXIT, GRACEFUL, MAIN, LOG, LIFECYCLE, MOVED], ids=lambda channel: channel.name
)
def test_channels_of_the_bus_itself_are_not_watched(channel: Any) -> None:
    """A transition calls their listeners, or their listeners change nothing for the publisher anyway."""
    with pytest.raises(WatcherError, match=f"channel '{channel.name}' .* subscribe"):
        Bus()[channel].watch(print)


@every_channel
def test_a_bound_channel_is_true_if_a_publish_would_call_a_listener_or_a_watcher(channel: Any) -> None:
    """Without listeners and watchers it is false."""
    bound = Bus()[channel]
    assert (bool(bound), bound.has_listeners) == (False, False)

    assert bound.watches == ()

    subscription: Subscription = bound.subscribe(str.upper)
    assert (bool(bound), bound.has_listeners) == (True, True)

    watch: Watch = bound.watch(print)
    subscription.cancel()
    assert bound.watches == (watch,)
    assert (bool(bound), bound.has_listeners) == (True, True)

    watch.cancel()
    assert (bool(bound), bound.has_listeners) == (False, False)


def test_an_object_that_replaces_a_bound_channel_keeps_its_own_truth() -> None:
    """A double in a test that derives from the type of a parameter is true, as any object."""

    class Fake(Publishes[Callable[[str], None]]):
        """Publishes nothing."""

    class AsyncFake(AsyncPublishes[Callable[[str], Awaitable[None]]]):
        """Publishes nothing."""

    assert Fake()
    assert AsyncFake()


def test_a_watcher_may_end_its_own_watch_and_begin_others() -> None:
    """The publish that is under way calls the watchers of its beginning."""
    bound = Bus()[reserved]
    calls: list[str] = []

    def once(_: str) -> None:
        calls.append("once")
        watch.cancel()
        bound.watch(lambda _: calls.append("later"))

    watch = bound.watch(once)
    bound.publish("tea")
    assert calls == ["once"]

    bound.publish("tea")
    assert calls == ["once", "later"]


@every_verb
@every_channel
@cold_and_hot
def test_a_listener_that_a_watcher_subscribes_is_called_by_the_next_publish(
    channel: Any, verb: str, publishes: int
) -> None:
    """A publish calls the listeners of its beginning, although its watchers run first."""
    bound = Bus()[channel]
    calls: list[str] = []
    warm_up(bound, verb, publishes)

    def listen(sku: str) -> None:
        calls.append(sku)

    bound.watch(lambda _: bound.subscribe(listen))
    call(bound, verb, "tea")
    call(bound, verb, "milk")

    assert calls == ["milk"]


def test_the_watchers_do_not_keep_a_bus_alive() -> None:
    """A watcher that refers to the bus is freed with it."""

    class Audit:
        def __init__(self, bus: Bus) -> None:
            self.bus = bus

        def record(self, _: str) -> None: ...

    bus = Bus()
    audit = Audit(bus)
    bus[reserved].watch(audit.record)
    bus[reserved].publish("tea")
    reference = weakref.ref(audit)

    del bus, audit
    gc.collect()

    assert reference() is None


@pytest.mark.parametrize("channel", [reserved, untyped, awaited, together], ids=lambda channel: channel.name)
def test_no_publish_passes_by_a_watcher_while_listeners_and_other_watches_change(channel: Any) -> None:
    """A watcher receives all publishes that begin after its watch, while other threads subscribe and watch."""
    bound = Bus()[channel]
    received: list[str] = []
    bound.watch(received.append)
    is_over = threading.Event()

    def change() -> None:
        while not is_over.is_set():
            with bound.subscribe(lambda _: None), bound.watch(lambda _: None):
                pass

    changing = [ThreadCall(change) for _ in range(2)]
    numbers = [str(number) for number in range(5000)]
    try:
        if channel in (awaited, together):

            async def main() -> None:
                for number in numbers:
                    await getattr(bound, VERBS[int(number) % 4])(number)

            asyncio.run(main())
        else:
            for number in numbers:
                getattr(bound, VERBS[int(number) % 4])(number)
    finally:
        is_over.set()
        for thread in changing:
            thread.finished()

    assert received == numbers


def interrupted(act: Callable[[], Any], number: int, interrupt: Callable[[], object]) -> tuple[Any, bool]:
    """Return the result of *act*, and whether it made so many calls; *interrupt* is called in the last one."""
    calls = 0

    # The interpreter runs a signal handler at the begin of a call, and not between any two lines.
    def trace(_frame: object, _event: str, _argument: object) -> None:
        nonlocal calls
        calls += 1
        if calls == number:
            sys.settrace(None)
            interrupt()
            sys.settrace(trace)

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        result = act()
    finally:
        sys.settrace(before)
    return result, calls >= number


@every_verb
@cold_and_hot
@pytest.mark.parametrize("is_watched", [False, True], ids=["begins", "ends"])
def test_a_watch_may_begin_and_end_at_any_point_of_a_publish(verb: str, publishes: int, is_watched: bool) -> None:
    """As in a signal handler: the result is the same, and the next publish calls the watcher, or not."""
    for number in itertools.count(1):
        bound = Bus()[reserved]
        bound.subscribe(str.upper)
        received: list[str] = []
        watches = [bound.watch(received.append)] if is_watched else []
        warm_up(bound, verb, publishes)
        received.clear()
        bound.subscribe(str.upper, priority=20)

        def change() -> None:
            if watches:
                watches.pop().cancel()
            else:
                watches.append(bound.watch(received.append))

        result, came = interrupted(lambda: getattr(bound, verb)("tea"), number, change)
        getattr(bound, verb)("milk")

        assert "TEA" in (str(list(result)) if verb == "attempt" else str(result))
        if not came:
            break
        assert ("milk" in received) is not is_watched
        assert len(set(received)) == len(received)


@pytest.mark.parametrize("begins", [True, False])
def test_a_watch_may_begin_and_end_while_another_does(begins: bool) -> None:
    """At any point, as in a signal handler."""
    for number in itertools.count(1):
        bus = Bus()
        received: list[str] = []
        lasting = bus[reserved].watch(lambda _: received.append("lasting"))
        ending = bus.watch(lambda _: received.append("ending"))

        act = (lambda: bus.watch(lambda _: received.append("second"))) if begins else lasting.cancel

        def change() -> None:
            ending.cancel()
            bus[reserved].watch(lambda _: received.append("third"))
            bus[untyped].publish("first use")

        _, came = interrupted(act, number, change)
        received.clear()
        bus[reserved].publish("tea")
        bus[untyped].publish("tea")

        if not came:
            break
        assert sorted(received) == (["lasting", "second", "second", "third"] if begins else ["third"])


@pytest.mark.parametrize("begins", [True, False])
def test_watches_may_change_while_a_channel_is_first_used(begins: bool) -> None:
    """At any point, as in a signal handler: its publishes call the watchers of the bus, and no former ones."""
    for number in itertools.count(1):
        bus = Bus()
        received: list[str] = []
        bus.watch(lambda _: received.append("lasting"))
        ending = bus.watch(lambda _: received.append("ending"))

        def change() -> None:
            if begins:
                bus.watch(lambda _: received.append("later"))
            else:
                ending.cancel()

        _, came = interrupted(lambda: bus[reserved], number, change)
        bus[reserved].publish("tea")

        if not came:
            break
        assert received == (["lasting", "ending", "later"] if begins else ["lasting"])


@pytest.mark.parametrize("verb", ["first", "fold", "attempt"])
def test_a_watch_that_begins_while_a_publish_waits_for_the_lock_lasts(verb: str) -> None:
    """The publish in the other thread arranges the listeners, and leaves the watch in place."""
    bus = Bus()
    bound: Any = bus[reserved]
    bound.subscribe(str.upper)
    getattr(bound, verb)("generate the methods")
    bound.subscribe(str.lower)
    received: list[str] = []
    deadline = time.monotonic() + LIMIT
    with bus._parts.registry.lock:
        thread = ThreadCall(lambda: getattr(bound, verb)("tea"))
        while True:
            frame = sys._current_frames().get(thread.ident or 0)
            if frame is not None and frame.f_code.co_name == "_warm_up_verb":
                break
            assert time.monotonic() < deadline
        bound.watch(received.append)
    thread.finished()

    getattr(bound, verb)("milk")

    assert received == ["milk"]


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers")
def test_a_signal_handler_may_watch_at_any_point() -> None:
    """No watch is lost, of the main thread or of the handler."""
    bound = Bus()[reserved]
    watches: list[Watch] = []
    former = signal.signal(signal.SIGALRM, lambda *_: watches.append(bound.watch(lambda _: None)))
    own = 0
    signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
    try:
        while len(watches) < 200:
            bound.watch(lambda _: None)
            own += 1
            bound.publish("tea")
            if own % 2:
                bound.watch(lambda _: None).cancel()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)

    assert len(bound._watches) == own + len(watches)
