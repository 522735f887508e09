"""`first`, `fold` and `attempt`, on each of their paths."""

from __future__ import annotations

import contextvars
import gc
import inspect
import linecache
import sys
import threading
import types
import weakref
from collections.abc import Callable
from typing import Any, Final

import pytest

from typedbus import (
    LOG,
    Answer,
    BoundChannel,
    Bus,
    Channel,
    ChannelError,
    ChannelFailures,
    Component,
    Container,
    Failure,
    Publishes,
    on,
)
from typedbus._channels.codegen import HEAT, UNROLLED
from typedbus._channels.verbs import Unrolled
from typedbus.events import LISTENER_FAILED, ListenerFailed

HOT: Final = HEAT + 1
UNTYPED: Final = -1
"""In place of a number of calls: a channel whose signature only checkers know."""

Step = Callable[[str, int], str | None]


@Channel.declare
def page_read(text: str, /, number: int = 7, *rest: int, strict: bool = False, **options: int) -> str | None:
    """Every kind of parameter."""


def bound_with(calls: int, *listeners: Step) -> BoundChannel[[str, int], str | None]:
    """Return a bound channel with *listeners*, on which each verb was called so often."""
    untyped: Channel[[str, int], str | None] = Channel("page_read")
    bound = Bus()[untyped if calls == UNTYPED else Channel[[str, int], str | None]("page_read")]
    for listener in listeners:
        bound.subscribe(listener)
    for _ in range(HOT if calls == UNTYPED else calls):
        bound.attempt("", 0)
        bound.first("", 0)
        bound.fold("", 0)
    return bound


def adding(letter: str) -> Step:
    """Return a listener that adds *letter*, or does nothing for an empty text."""
    return lambda text, _number, /: text + letter if text else None


def silent(_text: str, _number: int, /) -> None:
    """Return no answer."""


def refusing(text: str, number: int, /) -> str | None:
    """Raise unless the text is empty."""
    if text:
        raise ValueError(text, number)
    return None


def leaving(text: str, _number: int, /) -> str | None:
    """Raise an exception that is not an Exception, unless the text is empty."""
    if text:
        raise SystemExit
    return None


def recursing(text: str, _number: int, /) -> str | None:
    """Exhaust the stack, unless the text is empty."""
    if text:
        raise RecursionError
    return None


on_every_path = pytest.mark.parametrize("calls", [0, HOT, UNTYPED], ids=["loop", "unrolled", "untyped"])
with_every_verb = pytest.mark.parametrize("verb", ["first", "fold", "attempt"])


@on_every_path
def test_the_first_result_that_is_not_none_is_the_answer(calls: int) -> None:
    """Later listeners are not called."""
    called: list[str] = []

    def late(text: str, _number: int, /) -> str | None:
        called.append(text)
        return None

    bound = bound_with(calls, silent, adding("a"), late)
    called.clear()

    assert bound.first("x", 1) == "xa"
    assert called == []


@on_every_path
def test_first_returns_a_falsy_result(calls: int) -> None:
    """Only None is no answer."""
    bound = bound_with(calls, silent, lambda _text, _number, /: "", adding("a"))

    assert bound.first("x", 1) == ""


@on_every_path
@pytest.mark.parametrize("listeners", [(), (silent,), (silent, silent, silent)], ids=["none", "one", "three"])
def test_first_returns_none_without_an_answer(calls: int, listeners: tuple[Step, ...]) -> None:
    """As does a channel without listeners."""
    bound = bound_with(calls, *listeners)

    assert bound.first("x", 1) is None


@on_every_path
def test_first_raises_after_the_answer_if_a_listener_before_it_failed(calls: int) -> None:
    """The results are those of all listeners that returned; the answer is the last."""
    bound = bound_with(calls, silent, refusing, adding("a"), adding("b"))

    with pytest.raises(ChannelFailures) as caught:
        bound.first("x", 1)

    assert caught.value.results == (None, "xa")
    assert [failure.listener for failure in caught.value.failures] == [refusing]
    assert caught.value.message.startswith("1 of 3 listeners of channel 'page_read' failed")
    assert caught.value.__context__ is None


@on_every_path
def test_a_failure_after_the_answer_cannot_occur(calls: int) -> None:
    """The listener is not called."""
    bound = bound_with(calls, adding("a"), refusing)

    assert bound.first("x", 1) == "xa"


@on_every_path
@pytest.mark.parametrize("count", [0, 1, 3, 40, UNROLLED + 1])
def test_fold_passes_the_value_through_all_listeners(calls: int, count: int) -> None:
    """Each receives the result of the previous one, and the same other arguments."""
    letters = [chr(ord("a") + number % 26) for number in range(count)]
    bound = bound_with(calls, *map(adding, letters))

    assert bound.fold("x", 1) == "x" + "".join(letters)


@on_every_path
def test_none_leaves_the_value_of_a_fold(calls: int) -> None:
    """Also as the last result, and alone."""
    assert bound_with(calls, silent, adding("a"), silent, adding("b"), silent).fold("x", 1) == "xab"
    assert bound_with(calls, silent).fold("x", 1) == "x"


@on_every_path
def test_the_value_of_a_fold_skips_a_failing_listener(calls: int) -> None:
    """The others are called, and the failure is raised after the last one."""
    bound = bound_with(calls, adding("a"), refusing, silent, adding("b"))

    with pytest.raises(ChannelFailures) as caught:
        bound.fold("x", 1)

    assert caught.value.results == ("xa", None, "xab")
    assert [failure.error.args for failure in caught.value.failures] == [("xa", 1)]
    assert caught.value.__context__ is None


@on_every_path
@pytest.mark.parametrize("count", [1, 2, 40, UNROLLED + 1])
def test_attempt_returns_the_answer_of_each_listener(calls: int, count: int) -> None:
    """In running order, each with its listener."""
    listeners = [adding(str(number)) for number in range(count)]
    bound = bound_with(calls, *listeners)

    attempt = bound.attempt("x", 1)

    assert [answer.listener for answer in attempt] == listeners
    assert attempt.results == tuple(f"x{number}" for number in range(count))
    assert [answer.result for answer in attempt if isinstance(answer, Answer)] == list(attempt.results)
    assert (len(attempt), attempt.failures) == (count, ())


@on_every_path
def test_attempt_returns_failures_in_their_places(calls: int) -> None:
    """Every listener is called, and no exception is raised."""
    bound = bound_with(calls, refusing, adding("a"), lambda text, number, /: refusing(text, number), silent)

    attempt = bound.attempt("x", 1)

    assert [type(answer) for answer in attempt] == [Failure, Answer, Failure, Answer]
    assert [None if answer.error is None else answer.error.args for answer in attempt] == [
        ("x", 1),
        None,
        ("x", 1),
        None,
    ]
    assert attempt.results == ("xa", None)
    assert attempt.failures == tuple(answer for answer in attempt if answer.error is not None)
    assert [answer.channel for answer in attempt] == ["page_read"] * 4
    assert repr(attempt) == "<Attempt on 'page_read': 2 answer(s), 2 failure(s)>"


def test_an_attempt_is_what_happened_at_its_time() -> None:
    """Later subscriptions and cancellations change nothing."""
    bound = bound_with(0, adding("a"), refusing)
    attempt = bound.attempt("x", 1)

    bound.unsubscribe(refusing)
    bound.subscribe(adding("b"))
    bound.attempt("y", 1)

    assert attempt.results == ("xa",)
    assert [failure.listener for failure in attempt.failures] == [refusing]
    assert len(list(attempt)) == 2


@on_every_path
@with_every_verb
@pytest.mark.parametrize("leaves", [leaving, recursing])
def test_an_exception_that_ends_a_publish_ends_the_verb(calls: int, verb: str, leaves: Step) -> None:
    """No later listener is called, and the failures before it are its cause."""
    called: list[str] = []

    def late(text: str, _number: int, /) -> None:
        called.append(text)

    kind = SystemExit if leaves is leaving else RecursionError
    with pytest.raises(kind) as alone:
        getattr(bound_with(calls, silent, leaves), verb)("x", 1)
    bound = bound_with(calls, refusing, leaves, late)
    called.clear()

    with pytest.raises(kind) as caught:
        getattr(bound, verb)("x", 1)

    assert alone.value.__cause__ is None
    assert isinstance(caught.value.__cause__, ChannelFailures)
    assert called == []
    assert getattr(caught.value, "code", 1) == 1


@on_every_path
@with_every_verb
def test_listeners_may_subscribe_and_cancel_during_a_verb(calls: int, verb: str) -> None:
    """The call that is under way goes on with the listeners that it began with."""
    called: list[str] = []

    def changing(text: str, _number: int, /) -> None:
        if text:
            bound.unsubscribe(last)
            bound.subscribe(added)
            called.append("changing")

    def last(text: str, _number: int, /) -> None:
        called.append("last")

    def added(text: str, _number: int, /) -> None:
        called.append("added")

    bound = bound_with(calls, changing, last)
    called.clear()

    getattr(bound, verb)("x", 1)
    getattr(bound, verb)("x", 1)

    assert called == ["changing", "last", "changing", "added"]


@with_every_verb
def test_listeners_run_in_order_of_priority(verb: str) -> None:
    """Ties run in order of subscription; a change of the listeners is seen by the next call."""
    called: list[str] = []
    bound = bound_with(0)

    def recording(name: str) -> Step:
        return lambda text, _number, /: called.append(name)

    bound.subscribe(recording("b"))
    bound.subscribe(recording("c"))
    for _ in range(HOT):
        getattr(bound, verb)("x", 1)
    bound.subscribe(recording("a"), priority=10)
    called.clear()

    getattr(bound, verb)("x", 1)

    assert called == ["a", "b", "c"]


@pytest.mark.parametrize("calls", [0, HOT], ids=["loop", "unrolled"])
def test_verbs_pass_every_kind_of_argument(calls: int) -> None:
    """Arguments that are left out take the defaults of the declaration."""
    received: list[object] = []

    def listen(text: str, /, number: int = 0, *rest: int, strict: bool = True, **options: int) -> str | None:
        received.append((text, number, rest, strict, options))
        return text.upper() if strict else None

    bound = Bus()[page_read]
    bound.subscribe(listen)
    bound.subscribe(lambda text, *_, **__: f"{text}!")
    for _ in range(calls):
        bound.first("")
        bound.fold("")
        bound.attempt("")
    received.clear()

    assert bound.first("x") == "x!"
    assert bound.first("x", 1, 2, 3, strict=True, extra=4) == "X"
    assert bound.fold("x") == "x!"
    assert bound.fold("x", 1, 2, strict=True) == "X!"
    assert bound.attempt("x", number=3).results == (None, "x!")
    assert received == [
        ("x", 7, (), False, {}),
        ("x", 1, (2, 3), True, {"extra": 4}),
        ("x", 7, (), False, {}),
        ("x", 1, (2,), True, {}),
        ("x", 3, (), False, {}),
    ]


def test_a_verb_has_the_parameters_of_publish() -> None:
    """A wrong call is a TypeError that names the channel and the verb."""
    bound = Bus()[page_read]
    bound.first("x")

    assert inspect.signature(bound.first).parameters == inspect.signature(bound.publish).parameters
    assert bound.fold.__doc__ == BoundChannel.fold.__doc__
    with pytest.raises(TypeError, match=r"page_read: first\(\) missing 1 required positional argument"):
        bound.first()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def test_channels_of_one_signature_share_the_verbs() -> None:
    """Their names are in the TypeError of a wrong call, also if one is used later."""
    bus = Bus()
    one, other = bus[Channel[[bytes], bytes]("one")], bus[Channel[[bytes], bytes]("other")]
    one.first(b"")
    third = bus[Channel[[bytes], bytes]("third")]

    assert other.fold(b"x") == b"x"
    assert type(one) is type(other)
    with pytest.raises(TypeError, match=r"one or other or third: attempt\(\)"):
        third.attempt()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def test_a_fold_without_a_positional_parameter_is_refused() -> None:
    """The other verbs of the channel work."""

    @Channel.declare
    def labelled(*, text: str) -> str:
        return text

    bound: Any = Bus()[labelled]
    bound.subscribe(lambda *, text: text * 2)

    for _ in range(2):
        with pytest.raises(ChannelError, match="'labelled' has no positional parameter"):
            bound.fold(text="x")
        assert bound.first(text="x") == "xx"


@with_every_verb
@pytest.mark.parametrize("calls", [0, HOT], ids=["loop", "unrolled"])
def test_a_failure_in_a_verb_is_reported_with_the_name_of_its_component(verb: str, calls: int) -> None:
    """A `ListenerFailed` is published for each, and the failure has a note."""
    failed: list[ListenerFailed] = []
    placed = Channel[[str], str | None]("placed")

    class Billing:
        @on(placed)
        def bill(self, order: str) -> str | None:
            if order:
                raise OSError(order)
            return None

    class Shop(Container):
        bus = Component(Bus)
        billing = Component(Billing)

    shop = Shop()
    bus = shop.bus()
    shop.billing()
    bus.start()
    bus[LISTENER_FAILED].subscribe(failed.append)
    for _ in range(calls):
        getattr(bus[placed], verb)("")

    try:
        failures = getattr(bus[placed], verb)("tea").failures
    except ChannelFailures as caught:
        failures = caught.failures
    bus.exit()

    assert [(event.name, event.channel) for event in failed] == [("Shop.billing.bill", "placed")]
    assert [failure.name for failure in failures] == ["Shop.billing.bill"]
    assert failures[0].error.__notes__ == ["raised by Shop.billing.bill on channel 'placed'"]


def test_an_answer_has_the_name_of_its_component() -> None:
    """As a failure has."""
    placed = Channel[[str], str]("placed")

    class Billing:
        @on(placed)
        def bill(self, order: str) -> str:
            return order

    class Shop(Container):
        bus = Component(Bus)
        billing = Component(Billing)

    shop = Shop()
    shop.billing()
    bus = shop.bus()
    bus.start()
    (answer,) = bus[placed].attempt("tea")
    bus.exit()

    assert (answer.name, answer.channel) == ("Shop.billing.bill", "placed")


@with_every_verb
def test_a_verb_runs_in_the_thread_and_the_context_of_the_caller(verb: str) -> None:
    """A context variable that a listener sets is set for the caller."""
    mark = contextvars.ContextVar[str]("mark")
    threads: list[threading.Thread] = []

    def listen(text: str, _number: int, /) -> None:
        threads.append(threading.current_thread())
        mark.set(text)

    getattr(bound_with(0, listen), verb)("x", 1)

    assert threads == [threading.current_thread()]
    assert mark.get() == "x"


@with_every_verb
@pytest.mark.parametrize("calls", [0, HOT], ids=["loop", "unrolled"])
def test_a_failure_in_a_verb_leaves_no_cycle(verb: str, calls: int) -> None:
    """The exception is freed with its last reference, without the garbage collector."""

    class Refused(Exception):
        pass

    def refuse(text: str, _number: int, /) -> str | None:
        if text:
            raise Refused
        return None

    bound = bound_with(calls, refuse, adding("a"))
    gc.collect()
    gc.disable()
    try:
        try:
            failures = getattr(bound, verb)("x", 1).failures
        except ChannelFailures as caught:
            failures = caught.failures
        error = weakref.ref(failures[0].error)
        del failures
        assert error() is None
    finally:
        gc.enable()


@with_every_verb
def test_a_listener_is_freed_after_its_subscription(verb: str) -> None:
    """Also one that many calls have called."""
    listener = adding("a")
    bound = bound_with(HOT, listener, adding("b"))
    reference = weakref.ref(listener)

    bound.unsubscribe(listener)
    del listener

    assert reference() is None


@pytest.mark.parametrize(
    ("verb", "line"),
    [("first", "return None"), ("fold", "return arg0"), ("attempt", "_tb_attempt = _tb_Attempt()")],
)
def test_an_error_after_the_last_listener_is_raised_unchanged(verb: str, line: str) -> None:
    """For example a MemoryError; it names no listener, and no listener is called again."""
    called: list[str] = []

    def listen(text: str, _number: int, /) -> None:
        called.append(text)

    bound = bound_with(HOT, listen, silent)
    called.clear()

    def trace(frame: types.FrameType, event: str, _arg: object) -> Any:
        if event == "line" and linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip() == line:
            raise MemoryError
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with pytest.raises(MemoryError) as caught:
            getattr(bound, verb)("x", 1)
    finally:
        sys.settrace(before)

    assert called == ["x"]
    assert not hasattr(caught.value, "__notes__")


@with_every_verb
def test_a_listener_that_a_signal_handler_subscribes_during_a_call_is_not_lost(verb: str) -> None:
    """It is called by the next call."""
    called: list[str] = []
    bound = bound_with(0, silent, silent)

    def late(text: str, _number: int, /) -> None:
        called.append(text)

    def trace(frame: types.FrameType, _event: str, _arg: object) -> None:
        if frame.f_code is Unrolled.__init__.__code__:
            bound.subscribe(late)

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        getattr(bound, verb)("x", 1)
    finally:
        sys.settrace(before)
    called.clear()
    getattr(bound, verb)("y", 1)

    assert called == ["y"]


@pytest.mark.parametrize(("count", "is_unrolled"), [(UNROLLED, True), (UNROLLED + 1, False)])
def test_no_function_is_compiled_for_very_many_listeners(count: int, is_unrolled: bool) -> None:
    """The traceback of a failure shows the line of the call, which a loop has for all listeners."""
    bound = bound_with(HOT, *map(adding, "x" * (count - 1)), refusing)

    (failure,) = bound.attempt("x", 1).failures

    trace = failure.error.__traceback__
    assert trace is not None
    line = linecache.getline(trace.tb_frame.f_code.co_filename, trace.tb_lineno).strip()
    assert (line != "_tb_result = _tb_listener(arg0, arg1)") is is_unrolled


@with_every_verb
def test_a_verb_on_the_log_calls_its_listeners(verb: str) -> None:
    """The channels of the bus itself have the verbs too."""
    messages: list[str] = []
    bus = Bus()
    bus[LOG].subscribe(lambda message, _level: messages.append(message))

    getattr(bus[LOG], verb)("hello", 20)

    assert messages == ["hello"]


def test_an_injected_publisher_has_the_verbs() -> None:
    """It is given the bound channel itself."""
    bound: Publishes[Callable[[str, int], str | None]] = bound_with(0, adding("a"), adding("b"))

    assert bound.first("x", 1) == "xa"
    assert bound.fold("x", 1) == "xab"
    assert bound.attempt("x", 1).results == ("xa", "xb")
