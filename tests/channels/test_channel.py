"""Channels, the promises of a publish, and subscriptions."""

from __future__ import annotations

import contextlib
import copy
import functools
import gc
import inspect
import pickle
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from typedbus import (
    Bus,
    Channel,
    ChannelError,
    ChannelFailures,
    Component,
    Container,
    ListenerError,
    State,
    TransitionFailures,
    on,
    running,
)

if TYPE_CHECKING:
    from decimal import Decimal

ring = Channel[[], None]("ring")
toll = Channel[[], None]("toll")
square = Channel[[int], int]("square")


@Channel.declare
def stock_low(sku: str, /, *, left: int = 0) -> None:
    """Fewer than the reorder level are left of `sku`."""


def refuse(number: int, /) -> int:
    """Fail, in a way that can be pickled."""
    raise ValueError(number)


def multiply(number: int, /) -> int:
    """Answer as the channel `square` asks."""
    return number * number


def shut(number: int, /) -> int:
    """Fail in another way than `refuse`."""
    raise LookupError(number)


class Thing:
    """Something to hold a weak reference to."""


class Answer:
    """A listener that equals every other and so has no hash."""

    def __init__(self, answer: int) -> None:
        self.answer = answer

    def __call__(self, number: int, /) -> int:
        """Answer."""
        return self.answer

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Answer)

    __hash__ = None  # type: ignore[assignment]  # as a dataclass has it


class Clerk:
    """An owner of listeners."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    def note(self) -> None:
        """Listen."""
        self.noted.append("note")


class Strict(Clerk):
    """Overrides what its base listens with."""

    def note(self) -> None:
        """Listen in another way."""
        self.noted.append("strict")


class Robot:
    """No clerk, and can do what a clerk can."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    def note(self) -> None:
        """Listen."""
        self.noted.append("robot")


def note(clerk: Clerk) -> None:
    """Listen for a clerk, and be called as a method of it."""
    clerk.noted.append("function")


def failing() -> ChannelFailures:
    """Return what a publish to one listener that works and two that fail raises."""
    bound = Bus()[square]
    for listener in (refuse, multiply, shut):
        bound.subscribe(listener)
    with pytest.raises(ChannelFailures) as caught:
        bound.publish(3)
    return caught.value


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Let nothing be freed but by its reference count."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


# Publishing


def test_a_lower_priority_runs_first() -> None:
    """Listeners run by priority, whatever the order of their subscriptions."""
    bound, ran = Bus()[ring], list[int]()
    for priority in (70, -1, 50, 0):
        bound.subscribe(functools.partial(ran.append, priority), priority=priority)

    bound.publish()

    assert ran == [-1, 0, 50, 70]


def test_the_default_priority_is_50() -> None:
    """A listener without a priority runs between 49 and 51."""
    bound, ran = Bus()[ring], list[str]()
    bound.subscribe(lambda: ran.append("51"), priority=51)
    bound.subscribe(lambda: ran.append("none given"))
    bound.subscribe(lambda: ran.append("49"), priority=49)

    bound.publish()

    assert ran == ["49", "none given", "51"]


def test_equal_priorities_run_in_order_of_subscription() -> None:
    """Ties keep the order in which they were subscribed."""
    bound, ran = Bus()[ring], list[str]()
    for name in "dacb":
        bound.subscribe(functools.partial(ran.append, name))

    bound.publish()

    assert ran == ["d", "a", "c", "b"]


def test_results_come_in_running_order() -> None:
    """A publish returns what each listener returned."""
    bound = Bus()[square]
    bound.subscribe(lambda number: number + 1, priority=60)
    bound.subscribe(multiply)

    assert bound.publish(3) == [9, 4]


def test_a_publish_without_listeners_returns_an_empty_list() -> None:
    """There are no results and no failures."""
    assert Bus()[square].publish(3) == []


def test_a_listener_receives_the_published_arguments() -> None:
    """Arguments that are left out take the defaults of the channel."""
    bound, calls = Bus()[stock_low], list[object]()

    def note(sku: str, /, *, left: int = -1) -> None:
        calls.append((sku, left))

    bound.subscribe(note)
    bound.publish("A-1", left=2)
    bound.publish("A-2")

    assert calls == [("A-1", 2), ("A-2", 0)]


def test_buses_share_no_listeners() -> None:
    """A channel on one bus has none of the listeners of the same channel on another."""
    one, other = Bus(), Bus()
    one[square].subscribe(multiply)

    assert (one[square].publish(2), other[square].publish(2)) == ([4], [])


def test_a_failing_listener_does_not_prevent_later_ones() -> None:
    """The listeners after it are called as well."""
    bound, ran = Bus()[ring], list[str]()

    def fail() -> None:
        ran.append("fail")
        raise ValueError

    bound.subscribe(fail)
    bound.subscribe(lambda: ran.append("after"))
    with pytest.raises(ChannelFailures):
        bound.publish()

    assert ran == ["fail", "after"]


def test_failures_name_each_listener_that_raised() -> None:
    """The group has a failure for each of them, in running order, with all its data."""
    failed = failing()

    assert [(one.name, one.channel, one.listener) for one in failed.failures] == [
        (f"{__name__}.refuse", "square", refuse),
        (f"{__name__}.shut", "square", shut),
    ]


def test_failures_are_the_members_of_the_group() -> None:
    """`except*` and tracebacks see the exceptions of the listeners."""
    failed = failing()

    assert failed.exceptions == tuple(one.error for one in failed.failures)
    assert [type(member) for member in failed.exceptions] == [ValueError, LookupError]


def test_failures_have_the_results_of_the_other_listeners() -> None:
    """And the name of the channel."""
    failed = failing()

    assert (failed.channel, failed.results) == ("square", (9,))


def test_each_failure_has_a_note_with_listener_and_channel() -> None:
    """Also if it is taken out of the group."""
    first, second = failing().exceptions

    assert first.__notes__ == [f"raised by {__name__}.refuse on channel 'square'"]
    assert second.__notes__ == [f"raised by {__name__}.shut on channel 'square'"]


def test_an_exception_that_is_raised_again_gets_one_note() -> None:
    """One exception object does not collect a note with each publish."""
    bound, error = Bus()[ring], ValueError()

    def fail() -> None:
        raise error

    bound.subscribe(fail)
    for _ in range(3):
        with pytest.raises(ChannelFailures):
            bound.publish()

    assert len(error.__notes__) == 1


def test_an_exception_raised_by_two_listeners_gets_a_note_for_each() -> None:
    """Only a note that exists already is left out."""
    bound, error = Bus()[ring], ValueError()

    def one() -> None:
        raise error

    def other() -> None:
        raise error

    bound.subscribe(one)
    bound.subscribe(other)
    with pytest.raises(ChannelFailures):
        bound.publish()

    assert [note.split()[2].rpartition(".")[2] for note in error.__notes__] == ["one", "other"]


def test_failures_of_a_nested_publish_fail_the_outer_one() -> None:
    """They are the failure of the listener that publishes."""
    bus = Bus()
    bus[square].subscribe(refuse)

    def pass_on() -> None:
        bus[square].publish(3)

    bus[ring].subscribe(pass_on)
    with pytest.raises(ChannelFailures) as caught:
        bus[ring].publish()

    (inner,) = caught.value.exceptions
    assert isinstance(inner, ChannelFailures)
    assert (inner.channel, caught.value.channel) == ("square", "ring")


def test_split_keeps_channel_results_and_failures() -> None:
    """Each half has the failures of its own members."""
    matching, rest = failing().split(ValueError)

    assert isinstance(matching, ChannelFailures)
    assert isinstance(rest, ChannelFailures)
    assert (matching.channel, matching.results, rest.results) == ("square", (9,), (9,))
    assert [one.listener for one in matching.failures] == [refuse]
    assert [one.listener for one in rest.failures] == [shut]


def test_except_star_receives_the_failures_of_its_type() -> None:
    """The rest propagates as `ChannelFailures`."""
    seen: list[object] = []

    with pytest.raises(ChannelFailures) as rest:
        try:
            raise failing()
        except* ValueError as some:
            seen.append(some)

    (matching,) = seen
    assert isinstance(matching, ChannelFailures)
    assert [one.listener for one in matching.failures] == [refuse]
    assert [one.listener for one in rest.value.failures] == [shut]


def test_a_part_of_a_nested_group_keeps_its_listener() -> None:
    """A listener that raised a group is named for each part that `split` takes out of it."""
    bound, several = Bus()[ring], ExceptionGroup("several", [ValueError(), LookupError()])

    def fail() -> None:
        raise several

    bound.subscribe(fail)
    with pytest.raises(ChannelFailures) as caught:
        bound.publish()
    part = caught.value.subgroup(LookupError)

    assert isinstance(part, ChannelFailures)
    assert [one.listener for one in part.failures] == [fail]
    assert part.exceptions[0].__notes__ == several.__notes__


def test_channel_failures_can_be_pickled() -> None:
    """Members, notes and results are kept in another process."""
    failed = failing()

    copied = pickle.loads(pickle.dumps(failed))

    assert (str(copied), copied.channel, copied.results) == (str(failed), "square", (9,))
    assert repr(copied.failures) == repr(failed.failures)
    assert [one.listener for one in copied.failures] == [refuse, shut]
    assert [one.__notes__ for one in copied.exceptions] == [one.__notes__ for one in failed.exceptions]


def test_transition_failures_can_be_pickled() -> None:
    """Goal, state and members are kept in another process."""
    failed = TransitionFailures(State.STARTED, State.STOPPED, failing().failures)

    copied = pickle.loads(pickle.dumps(failed))

    assert (str(copied), copied.goal, copied.state) == (str(failed), State.STARTED, State.STOPPED)
    assert repr(copied.failures) == repr(failed.failures)


@pytest.mark.parametrize("leaving", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=repr)
def test_exceptions_that_are_not_an_exception_propagate_at_once(leaving: BaseException) -> None:
    """After `SystemExit` and similar exceptions no listener is called, and nothing is wrapped."""
    bound, ran = Bus()[ring], list[str]()

    def leave() -> None:
        raise leaving

    bound.subscribe(leave)
    bound.subscribe(lambda: ran.append("after"))
    with pytest.raises(type(leaving)) as caught:
        bound.publish()

    assert caught.value is leaving
    assert (ran, leaving.__cause__) == ([], None)


def test_earlier_failures_are_the_cause_of_a_system_exit() -> None:
    """An exit during a publish does not hide them."""
    bound = Bus()[square]

    def interrupt(number: int, /) -> int:
        raise KeyboardInterrupt

    for listener in (refuse, multiply, interrupt):
        bound.subscribe(listener)
    with pytest.raises(KeyboardInterrupt) as caught:
        bound.publish(3)

    failed = caught.value.__cause__
    assert isinstance(failed, ChannelFailures)
    assert ([one.listener for one in failed.failures], failed.results) == ([refuse], (9,))


@pytest.mark.parametrize(("asked", "given"), [(None, 1), (0, 1), (3, 3), ("no disk", "no disk")])
def test_a_system_exit_after_a_failure_has_status_1(asked: object, given: object) -> None:
    """Only if its status was 0; any other status is kept."""
    bound = Bus()[ring]

    def fail() -> None:
        raise ValueError

    def leave() -> None:
        raise SystemExit(asked)

    bound.subscribe(fail)
    bound.subscribe(leave)
    with pytest.raises(SystemExit) as caught:
        bound.publish()

    assert caught.value.code == given


@pytest.mark.parametrize("asked", [None, 0])
def test_a_system_exit_without_a_failure_keeps_its_status(asked: int | None) -> None:
    """Also a status of 0."""
    bound = Bus()[ring]

    def leave() -> None:
        raise SystemExit(asked)

    bound.subscribe(leave)
    with pytest.raises(SystemExit) as caught:
        bound.publish()

    assert caught.value.code is asked


def test_the_cause_of_a_system_exit_is_kept_behind_the_failures() -> None:
    """A ``raise ... from`` of the listener is at the end of the chain."""
    bound, reason = Bus()[ring], OSError("no disk")

    def fail() -> None:
        raise ValueError

    def leave() -> None:
        raise SystemExit(3) from reason

    bound.subscribe(fail)
    bound.subscribe(leave)
    with pytest.raises(SystemExit) as caught:
        bound.publish()

    failed = caught.value.__cause__
    assert isinstance(failed, ChannelFailures)
    assert failed.__cause__ is reason


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("leave", [False, True], ids=["failures", "an exit after failures"])
def test_a_handled_failure_is_freed_by_its_reference_count(leave: bool) -> None:
    """Objects of a failing listener are freed with the exception."""
    bound, refs = Bus()[ring], list[weakref.ref[Thing]]()

    def fail() -> None:
        held = Thing()
        refs.append(weakref.ref(held))
        raise ValueError

    def end() -> None:
        if leave:
            raise SystemExit

    bound.subscribe(fail)
    bound.subscribe(end)
    with contextlib.suppress(ChannelFailures, SystemExit):
        bound.publish()

    assert [ref() for ref in refs] == [None]


# Who listens


def test_a_listener_subscribed_during_a_publish_receives_the_next_one() -> None:
    """Even if its place in the order is still to come."""
    bound, ran = Bus()[ring], list[str]()

    def late() -> None:
        ran.append("late")

    def invite() -> None:
        bound.subscribe(late, priority=90)

    bound.subscribe(invite)
    bound.publish()
    assert ran == []
    bound.publish()
    assert ran == ["late"]


def test_a_listener_unsubscribed_during_a_publish_still_receives_it() -> None:
    """Its place in the order was still to come."""
    bound, ran = Bus()[ring], list[str]()

    def going() -> None:
        ran.append("going")

    bound.subscribe(lambda: bound.unsubscribe(going))
    bound.subscribe(going)

    bound.publish()
    bound.publish()

    assert ran == ["going"]


def test_a_nested_publish_calls_the_present_listeners() -> None:
    """Also the listeners that were subscribed after the outer publish began."""
    bus, ran = Bus(), list[str]()

    def outer() -> None:
        if not ran:
            ran.append("outer")
            bus[ring].subscribe(lambda: ran.append("inner"))
            bus[ring].publish()

    bus[ring].subscribe(outer)
    bus[ring].publish()

    assert ran == ["outer", "inner"]


def test_a_listener_subscribed_during_the_sort_is_not_lost() -> None:
    """A finaliser or a signal handler may subscribe during the sort."""
    bound, ran = Bus()[ring], list[str]()
    coming: list[Callable[[], None]] = [lambda: ran.append("late")]

    class Intruding(int):
        def __lt__(self, other: int) -> bool:
            while coming:
                bound.subscribe(coming.pop())
            return int(self) < int(other)

    bound.subscribe(lambda: ran.append("first"), priority=Intruding(1))
    bound.subscribe(lambda: ran.append("second"), priority=Intruding(2))

    bound.publish()

    assert ran == ["first", "second", "late"]


def test_subscribing_twice_is_subscribing_once() -> None:
    """The second call returns the existing subscription."""
    bound = Bus()[square]

    first, second = bound.subscribe(multiply), bound.subscribe(multiply)

    assert first is second
    assert bound.publish(3) == [9]


def test_subscribing_again_takes_the_new_priority() -> None:
    """The subscription moves to its new place."""
    bound = Bus()[square]
    subscription = bound.subscribe(multiply, priority=10)
    bound.subscribe(lambda number: number, priority=20)

    bound.subscribe(multiply, priority=30)

    assert (subscription.priority, bound.publish(3)) == (30, [3, 9])


def test_bound_methods_are_compared_by_equality() -> None:
    """Each access creates a new method object; all of one owner are the same listener."""
    bound, one, other = Bus()[ring], Clerk(), Clerk()
    bound.subscribe(one.note)
    bound.subscribe(one.note)
    bound.subscribe(other.note)
    bound.unsubscribe(other.note)

    bound.publish()

    assert (one.noted, other.noted) == (["note"], [])


def test_listeners_without_a_hash_are_compared_by_identity() -> None:
    """Two equal objects are two listeners."""
    bound, one, other = Bus()[square], Answer(1), Answer(2)
    for listener in (one, other, one):
        bound.subscribe(listener)

    assert bound.publish(0) == [1, 2]
    bound.unsubscribe(one)
    assert bound.publish(0) == [2]


def test_unsubscribing_an_unknown_listener_does_nothing() -> None:
    """It is not an error."""
    bound = Bus()[square]
    bound.subscribe(multiply)

    bound.unsubscribe(refuse)

    assert bound.publish(3) == [9]


def test_a_cancelled_subscription_receives_nothing() -> None:
    """Cancelling it again does nothing."""
    bound = Bus()[square]
    subscription = bound.subscribe(multiply)

    subscription.cancel()
    subscription.cancel()

    assert (bound.publish(3), bound.subscriptions) == ([], ())


def test_an_ended_subscription_does_not_end_a_later_one() -> None:
    """A listener that is subscribed again stays if its first subscription is cancelled."""
    bound = Bus()[square]
    first = bound.subscribe(multiply)
    first.cancel()
    second = bound.subscribe(multiply)

    first.cancel()

    assert first is not second
    assert bound.publish(3) == [9]


def test_a_subscription_ends_with_its_block() -> None:
    """As a context manager it returns itself, and is cancelled even if the block raises."""
    bound = Bus()[square]

    with contextlib.suppress(OSError), bound.subscribe(multiply) as subscription:
        assert bound.subscriptions == (subscription,)
        raise OSError

    assert bound.subscriptions == ()


def test_subscribe_as_a_decorator_returns_the_function() -> None:
    """The function listens at the given priority."""
    bound = Bus()[square]
    bound.subscribe(multiply)

    @bound.subscribe(priority=5)
    def double(number: int, /) -> int:
        return 2 * number

    assert (double(4), bound.publish(4)) == (8, [8, 16])


def test_subscriptions_are_listed_in_running_order() -> None:
    """Each has its listener, its priority and its channel."""
    bound = Bus()[square]
    bound.subscribe(multiply)
    bound.subscribe(refuse, priority=7)

    assert [(one.listener, one.priority, one.channel) for one in bound.subscriptions] == [
        (refuse, 7, square),
        (multiply, 50, square),
    ]


@pytest.mark.parametrize(
    ("listener", "name"),
    [
        (refuse, f"{__name__}.refuse"),
        (Clerk().note, f"{__name__}.Clerk.note"),
        (Clerk, f"{__name__}.Clerk"),
        ([].append, "list.append"),
        (print, "builtins.print"),
        (functools.partial(print, 1), "functools.partial(<built-in function print>, 1)"),
    ],
    ids=["function", "method", "class", "method of a built-in", "built-in", "partial"],
)
def test_a_subscription_has_the_qualified_name_of_its_listener(listener: Callable[..., object], name: str) -> None:
    """With the module; without such a name it has the repr. The path is the same."""
    subscription = Bus()[Channel[..., object]("any")].subscribe(listener)

    assert (subscription.name, subscription.path) == (name, name)


def test_the_reprs_of_subscriptions_and_bound_channels_have_their_data() -> None:
    """Listener, channel, priority and number of listeners."""
    bound = Bus()[square]
    subscription = bound.subscribe(multiply, priority=7)

    assert repr(subscription) == f"<Subscription of {__name__}.multiply to 'square', priority 7>"
    assert repr(bound) == "<BoundChannel 'square' with 1 listener(s)>"


@pytest.mark.parametrize(
    ("listener", "reason"),
    [
        (None, "cannot subscribe None to channel 'square': it is not callable; pass a function or a method"),
        (3, "cannot subscribe 3 to channel 'square': it is not callable; pass a function or a method"),
    ],
)
def test_a_listener_that_is_not_callable_is_refused(listener: Callable[[int], int], reason: str) -> None:
    """When it is subscribed, and not at the first publish."""
    bound = Bus()[square]

    with pytest.raises(ListenerError) as caught:
        bound.subscribe(listener)

    assert (str(caught.value), bound.subscriptions) == (reason, ())


@pytest.mark.parametrize("priority", ["high", None, 1.5])
def test_a_priority_that_is_not_an_int_is_refused(priority: int) -> None:
    """Before it can fail in the sort."""
    bound = Bus()[square]

    with pytest.raises(ListenerError, match=f"its priority {priority!r} is not an int$"):
        bound.subscribe(multiply, priority=priority)

    assert bound.subscriptions == ()


# Channels


def test_two_channels_of_the_same_name_are_different() -> None:
    """A channel is equal only to itself; the name is for messages."""
    twin = Channel[[int], int]("square")
    bus = Bus()
    bus[square].subscribe(multiply)

    assert (twin.name, twin == square, bus[twin].publish(3)) == ("square", False, [])
    assert repr(twin) == "<Channel 'square'>"


@pytest.mark.parametrize("name", ["", "  ", None, 3])
def test_a_channel_without_a_readable_name_is_refused(name: str) -> None:
    """Empty names, blanks and names that are not strings."""
    with pytest.raises(ChannelError, match="is not a channel name: pass a string such as 'order_placed'"):
        Channel[[], None](name)


@pytest.mark.parametrize("copied", [copy.copy(square), copy.deepcopy(square), copy.deepcopy([square])[0]])
def test_copying_a_channel_returns_the_channel(copied: object) -> None:
    """It is compared by identity."""
    assert copied is square


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_channel_cannot_be_pickled(protocol: int) -> None:
    """In another process it would be another channel."""
    with pytest.raises(ChannelError, match="cannot be pickled: a copy would be another channel; import it by name"):
        pickle.dumps({"channel": square}, protocol)


def test_a_declared_channel_has_the_name_and_the_docstring_of_its_function() -> None:
    """The signature is that of the function as well."""
    assert (stock_low.name, stock_low.doc) == ("stock_low", "Fewer than the reorder level are left of `sku`.")
    assert str(stock_low.signature()) == "(sku: str, /, *, left: int = 0) -> None"


def test_a_channel_without_a_docstring_has_an_empty_one() -> None:
    """A docstring that is not there is an empty one."""

    @Channel.declare
    def bare() -> None: ...

    assert (bare.doc, square.doc) == ("", "")


def test_a_declared_channel_can_have_variadic_parameters() -> None:
    """They are published like any others."""

    @Channel.declare
    def anything(*args: int, **kwargs: str) -> int:
        raise AssertionError

    bound = Bus()[anything]
    bound.subscribe(lambda *args, **kwargs: len(args) + len(kwargs))

    assert bound.publish(1, 2, self="x", channel="y") == [4]
    assert str(anything.signature()) == "(*args: int, **kwargs: str) -> int"


@pytest.mark.parametrize("nameless", [lambda: None, functools.partial(refuse, 1)], ids=["lambda", "partial"])
def test_a_function_without_a_name_declares_no_channel(nameless: Callable[[], None]) -> None:
    """A channel is named after its function."""
    with pytest.raises(
        ChannelError, match=r"has no name for the channel: decorate a function, `def order_placed\(\.\.\.\)`"
    ):
        Channel.declare(nameless)


def test_annotations_that_cannot_be_evaluated_stay_text() -> None:
    """For example names that are imported only for checkers."""

    @Channel.declare
    def priced(price: Decimal, /) -> None: ...

    signature = priced.signature()

    assert signature is not None
    assert signature.parameters["price"].annotation == "Decimal"


@pytest.mark.parametrize(
    ("channel", "arguments", "result"),
    [
        (Channel[[int, str], bytes]("x"), [int, str], bytes),
        (Channel[[], None]("x"), [], type(None)),
        (Channel[[list[int]], int | None]("x"), [list[int]], int | None),
    ],
    ids=str,
)
def test_a_subscripted_channel_has_a_signature(
    channel: Channel[..., object], arguments: list[object], result: object
) -> None:
    """The type arguments are positional-only parameters."""
    signature = channel.signature()

    assert signature is not None
    assert [one.annotation for one in signature.parameters.values()] == arguments
    assert {one.kind for one in signature.parameters.values()} <= {inspect.Parameter.POSITIONAL_ONLY}
    assert signature.return_annotation == result


def test_the_result_type_can_be_left_out() -> None:
    """The listeners of such a channel return None."""
    channel = Channel[[int]]("x")

    assert str(channel.signature()) == "(arg0: int, /) -> None"


@pytest.mark.parametrize("channel", [Channel("x"), Channel[..., None]("x")], ids=["bare", "of any arguments"])
def test_a_channel_without_type_arguments_has_no_signature(channel: Channel[..., None]) -> None:
    """An annotation of the variable is not available at run time."""
    assert channel.signature() is None


# Marks and hooks


def in_a_container(clerk: type[Clerk]) -> Clerk:
    """Return a clerk that has listened to `ring` and `toll`, in this order, once each."""

    class Office(Container):
        bus = Component(Bus)
        member = Component(clerk)

    with running(Office()) as office:
        office.bus()[ring].publish()
        office.bus()[toll].publish()
        return office.member()


def test_marking_a_method_does_not_change_it() -> None:
    """It is called as before."""

    def note(self: Clerk) -> None:
        self.note()

    assert on(ring)(note) is note


def test_a_method_can_have_several_marks() -> None:
    """It listens to each of these channels."""

    class Marked(Clerk):
        @on(ring)
        @on(toll)
        def listen(self) -> None:
            self.noted.append("called")

    assert in_a_container(Marked).noted == ["called", "called"]


def test_an_override_of_a_marked_method_is_called() -> None:
    """A subclass needs no mark of its own."""

    class Marked(Clerk):
        @on(toll)
        def listen(self) -> None:
            self.noted.append("base")

    class Overriding(Marked):
        def listen(self) -> None:
            self.noted.append("override")

    assert in_a_container(Overriding).noted == ["override"]


def test_a_mark_can_have_a_priority() -> None:
    """It determines the place of the method among the listeners of the channel."""

    class Marked(Clerk):
        @on(ring)
        def second(self) -> None:
            self.noted.append("second")

        @on(ring, priority=5)
        def first(self) -> None:
            self.noted.append("first")

    assert in_a_container(Marked).noted == ["first", "second"]


@pytest.mark.parametrize("channel", ["ring", None, multiply], ids=["name", "None", "method"])
def test_a_mark_without_a_channel_is_refused(channel: Channel[[], None]) -> None:
    """A name, or a forgotten channel; the error has its place."""
    with pytest.raises(ChannelError, match=r"is not a channel: pass one to @on, as in @on\(order_placed\)"):
        on(channel)


def test_a_hook_calls_the_override_of_a_subclass() -> None:
    """The method is looked up on the owner, as in a call."""
    strict = Strict()

    ring.calls(Clerk.note).bind(strict)()

    assert strict.noted == ["strict"]


def test_a_hook_calls_a_method_of_a_fake_by_its_name() -> None:
    """A fake need not inherit from the class that it replaces."""
    robot = Robot()

    ring.calls(Clerk.note).bind(robot)()  # type: ignore[arg-type]  # what checkers refuse, an override may bring about

    assert robot.noted == ["robot"]


def test_a_hook_passes_the_owner_to_a_plain_function() -> None:
    """Even if the owner has a method of the same name."""

    def inner() -> Callable[[Clerk], None]:
        def note(clerk: Clerk) -> None:
            clerk.noted.append("inner function")

        return note

    clerk = Clerk()
    ring.calls(note).bind(clerk)()
    ring.calls(inner()).bind(clerk)()

    assert clerk.noted == ["function", "inner function"]


def test_a_hook_calls_the_method_with_an_owner_that_lacks_it() -> None:
    """The owner has no attribute of that name."""
    thing = Robot()

    def hidden(self: Clerk) -> None:
        self.noted.append("hidden")

    hidden.__qualname__ = "Clerk.hidden"
    ring.calls(hidden).bind(thing)()  # type: ignore[arg-type]  # a stand-in, as above

    assert thing.noted == ["hidden"]


def test_a_hook_has_channel_method_and_priority() -> None:
    """It is a declaration whose data can be read."""
    hook = ring.calls(Clerk.note, priority=7)

    assert (hook.channel, hook.method, hook.priority) == (ring, Clerk.note, 7)
    assert ring.calls(Clerk.note).priority is None
    assert repr(hook) == f"<Hook ring calls {__name__}.Clerk.note>"


def test_a_bound_channel_has_the_number_of_its_listeners() -> None:
    """Without calling or sorting them."""
    bound = Bus()[Channel[[], None]("channel")]
    assert bound.listener_count == 0

    with bound.subscribe(lambda: None), bound.subscribe(lambda: None):
        assert bound.listener_count == 2

    assert bound.listener_count == 0
