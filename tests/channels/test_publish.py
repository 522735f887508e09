"""Each path of a publish: the generated method, and the function that is compiled for frequent publishes."""

from __future__ import annotations

import gc
import inspect
import linecache
import sys
import traceback
import types
import typing
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from typedbus import BoundChannel, Bus, Channel, ChannelFailures
from typedbus._channels.codegen import HEAT, UNROLLED
from typedbus.wspbus import Bus as OldBus

Listener = Callable[[int], int]
HOT = HEAT + 1
PLAIN = -1
"""Given instead of a number of publishes: a channel with a signature only for checkers."""


@Channel.declare
def everything(a: int, /, b: int, c: int = 3, *rest: int, d: int, e: int = 5, **others: int) -> object:
    """Every kind of parameter there is."""


def bound_with(count: int, publishes: int) -> tuple[BoundChannel[[int], int], list[int]]:
    """Return a bound channel whose listeners write their number, after so many publishes."""
    calls: list[int] = []

    def listener(number: int) -> Listener:
        def listen(value: int, /) -> int:
            calls.append(number)
            if value == number:
                raise ValueError(value)
            if value == -number:
                raise SystemExit
            return number

        return listen

    plain: Channel[[int], int] = Channel("numbers")
    bound = Bus()[plain if publishes == PLAIN else Channel[[int], int]("numbers")]
    for number in range(1, count + 1):
        bound.subscribe(listener(number))
    for _ in range(publishes):
        bound.publish(0)
    calls.clear()
    return bound, calls


every_path = pytest.mark.parametrize(
    ("count", "publishes"),
    [(1, 0), (1, HOT), (3, 0), (3, HOT), (40, HOT), (UNROLLED + 1, HOT), (3, PLAIN)],
    ids=["one", "one, hot", "a loop", "unrolled", "many, unrolled", "too many to unroll", "a plain loop"],
)


@every_path
def test_the_results_come_in_running_order(count: int, publishes: int) -> None:
    """A publish returns what each listener returned."""
    bound, calls = bound_with(count, publishes)

    results = bound.publish(0)

    assert results == calls == list(range(1, count + 1))


@every_path
def test_a_failing_listener_does_not_prevent_other_listeners_and_results(count: int, publishes: int) -> None:
    """Every listener is called once; the failure names the listener that raised, and has the other results."""
    bound, calls = bound_with(count, publishes)
    everybody = list(range(1, count + 1))
    middle = (count + 1) // 2

    with pytest.raises(ChannelFailures) as caught:
        bound.publish(middle)

    assert calls == everybody
    assert list(caught.value.results) == [number for number in everybody if number != middle]
    assert [failure.error.args for failure in caught.value.failures] == [(middle,)]
    assert caught.value.__context__ is None


@every_path
def test_system_exit_propagates_at_once(count: int, publishes: int) -> None:
    """No later listener is called, and the status is kept."""
    bound, calls = bound_with(count, publishes)
    middle = (count + 1) // 2

    with pytest.raises(SystemExit) as caught:
        bound.publish(-middle)

    assert calls == list(range(1, middle + 1))
    assert (caught.value.code, caught.value.__cause__) == (None, None)


@pytest.mark.parametrize("publishes", [0, HOT, PLAIN], ids=["cold", "hot", "plain"])
def test_system_exit_is_raised_from_earlier_failures(publishes: int) -> None:
    """A status of 0 becomes 1."""
    bound, _ = bound_with(3, min(publishes, 0))

    @bound.subscribe(priority=60)
    def leave(value: int, /) -> int:
        raise SystemExit(0) if value else None  # type: ignore[misc]  # raise None is never reached

    bound.unsubscribe(leave)
    for _ in range(publishes):
        bound.publish(0)
    bound.subscribe(leave, priority=60)

    with pytest.raises(SystemExit) as caught:
        bound.publish(2)

    assert caught.value.code == 1
    assert isinstance(caught.value.__cause__, ChannelFailures)
    assert caught.value.__cause__.results == (1, 3)


@pytest.mark.parametrize(("others", "publishes"), [(0, 0), (1, 0), (1, HOT)], ids=["one", "cold", "hot"])
def test_every_kind_of_parameter_reaches_the_listener(others: int, publishes: int) -> None:
    """Positional, named, default and variadic arguments; the declaration has the defaults."""
    seen: list[object] = []
    bound = Bus()[everything]

    def listen(a: int, /, b: int, c: int = 0, *rest: int, d: int, e: int = 0, **others: int) -> object:
        seen.append((a, b, c, rest, d, e, others))
        return None

    bound.subscribe(listen)
    if others:
        bound.subscribe(lambda *_, **__: None)
    for _ in range(publishes):
        bound.publish(0, 0, d=0)
    seen.clear()

    bound.publish(1, 2, d=4)
    bound.publish(1, b=2, d=4, f=6)
    bound.publish(1, 2, 30, 31, 32, d=4, e=50)

    assert seen == [
        (1, 2, 3, (), 4, 5, {}),
        (1, 2, 3, (), 4, 5, {"f": 6}),
        (1, 2, 30, (31, 32), 4, 50, {}),
    ]


def test_a_change_of_the_listeners_applies_to_the_next_publish_of_a_hot_channel() -> None:
    """The function that was compiled for the former listeners is not used."""
    bound, calls = bound_with(3, HOT)

    with bound.subscribe(lambda value: value):
        assert bound.publish(0) == [1, 2, 3, 0]
    assert bound.publish(0) == [1, 2, 3]

    assert calls == [1, 2, 3] * 2


def test_a_listener_can_publish_on_its_own_channel() -> None:
    """Hot or not."""
    bound = Bus()[Channel[[int], int]("countdown")]
    bound.subscribe(lambda value: sum(bound.publish(value - 1)) if value else 1)
    bound.subscribe(lambda value: 1)

    totals = {sum(bound.publish(3)) for _ in range(HOT)}

    assert totals == {5}


def test_a_subscription_during_the_publish_that_compiles_is_not_lost() -> None:
    """The new listener receives the next publish."""
    bound, _ = bound_with(2, HEAT - 1)
    late: list[int] = []

    @bound.subscribe
    def subscribe_another(value: int, /) -> int:
        bound.subscribe(late.append)  # type: ignore[arg-type]  # its result is of no matter here
        return value

    for _ in range(3):
        bound.publish(0)

    assert late == [0, 0]


@pytest.mark.parametrize(
    ("publishes", "line"),
    [(0, "_tb_results.append(_tb_listener(arg0))"), (HOT, "(_tb_1 := _tb_1(arg0)),")],
    ids=["cold", "hot"],
)
def test_a_traceback_shows_the_line_that_called_the_listener(publishes: int, line: str) -> None:
    """The generated code has source lines; after many publishes there is a line for each listener."""
    bound, _ = bound_with(2, publishes)

    with pytest.raises(ChannelFailures) as caught:
        bound.publish(2)

    frames = traceback.extract_tb(caught.value.exceptions[0].__traceback__)
    assert [frame.name for frame in frames][-1] == "listen"
    assert frames[-2].line == line


def test_a_channel_becomes_hot_again_after_a_change() -> None:
    """The publishes are counted from 0 for the new listeners."""
    bound, _ = bound_with(2, HOT)
    bound.subscribe(lambda value: value)
    for _ in range(HOT):
        bound.publish(0)

    with pytest.raises(ChannelFailures) as caught:
        bound.publish(2)

    assert traceback.extract_tb(caught.value.exceptions[0].__traceback__)[-2].line == "(_tb_1 := _tb_1(arg0)),"


@pytest.mark.parametrize("publishes", [0, HOT], ids=["cold", "hot"])
def test_a_debugger_steps_from_the_publish_into_each_listener(publishes: int) -> None:
    """Every line on the way has a source."""
    bound, _ = bound_with(2, publishes)
    seen: list[tuple[str, str]] = []

    def trace(frame: types.FrameType, event: str, arg: object) -> Any:
        if event == "line":
            line = linecache.getline(frame.f_code.co_filename, frame.f_lineno)
            seen.append((frame.f_code.co_name, line.strip()))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        bound.publish(0)
    finally:
        sys.settrace(before)

    stepped = [one for one in seen if one[0] in ("publish", "loop", "listen")]
    assert "" not in [line for _, line in stepped]
    assert stepped.count(("listen", "return number")) == 2


def test_an_error_between_two_listeners_of_a_hot_publish_is_raised_unchanged() -> None:
    """For example a MemoryError; it names no listener, and no listener is called again."""
    bound, calls = bound_with(3, HOT)

    def trace(frame: types.FrameType, event: str, arg: object) -> Any:
        if frame.f_code.co_name not in ("publish", "listen"):
            return None
        if event == "line" and linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip() == "return [":
            raise MemoryError
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        with pytest.raises(MemoryError) as caught:
            bound.publish(0)
    finally:
        sys.settrace(before)

    assert calls == [1, 2, 3]
    assert not hasattr(caught.value, "__notes__")


def test_publish_has_the_signature_of_its_channel() -> None:
    """`help` and `inspect` see the channel's parameters, defaults, annotations and result."""
    signature = inspect.signature(Bus()[everything].publish, eval_str=True)

    assert str(signature) == (
        "(a: int, /, b: int, c: int = 3, *rest: int, d: int, e: int = 5, **others: int) -> list[object]"
    )


def test_publish_of_a_subscripted_channel_has_its_types() -> None:
    """The signature has the type arguments, and the docstring the contract."""
    publish = Bus()[Channel[[int, str], bytes]("typed")].publish

    assert str(inspect.signature(publish)) == "(arg0: int, arg1: str, /) -> list[bytes]"
    assert (publish.__doc__ or "").strip().startswith("Call every listener")


def test_channels_of_one_signature_share_the_code_of_publish() -> None:
    """A class for each channel would weigh more than the channel."""
    bus = Bus()
    named = [type(bus[Channel[[int], str](name)]) for name in ("one", "other")]
    another: object = type(bus[Channel[[str], str]("another")])

    assert named[0] is named[1]
    assert named[0] is not another


def test_channels_that_differ_in_a_default_keep_their_own() -> None:
    """Even if the defaults are equal."""

    def declare(default: object) -> Channel[..., object]:
        def item(what: object = default, /) -> object:
            """Never called."""

        return Channel.declare(item)

    bus = Bus()
    values: list[object] = []
    for channel in (declare(1), declare(True)):
        bus[channel].subscribe(values.append)
        bus[channel].publish()

    assert [type(value) for value in values] == [int, bool]


def test_a_wrong_call_is_a_type_error_that_names_the_channel() -> None:
    """Python itself refuses the call, with listeners or without."""
    publish: Callable[..., object] = Bus()[everything].publish

    with pytest.raises(TypeError, match=r"^everything: publish\(\) missing 1 required positional argument: 'b'$"):
        publish(1, d=4)


def test_a_wrong_call_names_the_channel_among_those_of_one_signature() -> None:
    """A signature is compiled once."""
    bus = Bus()
    for name in ("first", "second"):
        publish: Callable[..., object] = bus[Channel[[int, str, bytes]](name)].publish

        with pytest.raises(TypeError, match=name):
            publish()


@pytest.mark.parametrize("publishes", [0, HOT, PLAIN], ids=["cold", "hot", "plain"])
def test_a_handled_failure_is_freed_at_once(publishes: int) -> None:
    """No frame of a publish keeps a failure alive until a garbage collection."""

    class Freed(Exception):
        pass

    plain: Channel[[], None] = Channel("freed")
    bound = Bus()[plain if publishes == PLAIN else Channel[[]]("freed")]
    failing = False

    def listen() -> None:
        if failing:
            raise Freed

    bound.subscribe(listen)
    bound.subscribe(lambda: None)
    for _ in range(publishes):
        bound.publish()
    failing = True
    gone: list[weakref.ref[Exception]] = []
    gc.disable()
    try:
        try:
            bound.publish()
        except ChannelFailures as failures:
            gone.append(weakref.ref(failures.exceptions[0]))
        assert [reference() for reference in gone] == [None]
    finally:
        gc.enable()


def test_a_listener_that_fails_and_ends_its_subscription_is_freed() -> None:
    """The cached description of a failing listener does not keep it alive."""

    class Once:
        def __init__(self, bound: BoundChannel[[], None]) -> None:
            self.subscription = bound.subscribe(self.listen)

        def listen(self) -> None:
            self.subscription.cancel()
            raise ValueError

    def publish_once(bound: BoundChannel[[], None]) -> weakref.ref[Once]:
        once = Once(bound)
        with pytest.raises(ChannelFailures, match=r"Once\.listen"):
            bound.publish()
        return weakref.ref(once)

    bound = Bus()[Channel[[]]("once")]
    bound.subscribe(lambda: None)

    gone = publish_once(bound)

    gc.collect()
    assert gone() is None


def test_a_listener_that_fails_repeatedly_is_described_once() -> None:
    """So a channel with a failing listener stays fast."""

    class Described:
        times = 0

        def __call__(self) -> None:
            raise ValueError

        def __repr__(self) -> str:
            self.times += 1
            return "described"

    listener = Described()
    bound = Bus()[Channel[[]]("always")]
    bound.subscribe(listener)

    for _ in range(3):
        with pytest.raises(ChannelFailures, match="described"):
            bound.publish()

    assert listener.times == 1


def test_a_failing_listener_that_is_subscribed_again_has_its_new_name() -> None:
    """The cached description is dropped with the subscription."""
    bound = Bus()[Channel[[]]("renamed")]

    def listen() -> None:
        raise ValueError

    def note() -> str:
        with bound.subscribe(listen), pytest.raises(ChannelFailures) as caught:
            bound.publish()
        return caught.value.failures[0].name

    listen.__qualname__ = "before"
    assert note().endswith(".before")
    listen.__qualname__ = "after"
    assert note().endswith(".after")


def test_a_hot_channel_whose_listeners_hold_the_bus_can_be_collected() -> None:
    """The garbage collector sees a cycle through the compiled function."""

    class Component:
        def __init__(self, bus: Bus) -> None:
            self.bus = bus

        def listen(self) -> None:
            """Hear it."""

    tick = Channel[[]]("tick")
    component = Component(Bus())
    component.bus[tick].subscribe(component.listen)
    component.bus[tick].subscribe(lambda: None)
    for _ in range(HOT):
        component.bus[tick].publish()
    gone = weakref.ref(component)

    del component
    gc.collect()

    assert gone() is None


MODULE = """
from typedbus import Channel

class Order:
    pass

class Default(Order):
    pass

def placed(order: Order, /, *rest: Order, by: Order = Default(), **others: Order) -> Order: ...
def priced(order: Order = Default(), count: int = 1) -> Order: ...

subscripted = Channel[[Order], None]("subscripted")
"""


def load_and_publish(make: Callable[[], Any], publishes: int) -> list[weakref.ref[Any]]:
    """Run MODULE, publish on its channels on a new bus, and return references to what must be freed."""
    names: dict[str, Any] = {"__name__": "reloaded"}
    exec(compile(MODULE, "reloaded.py", "exec", dont_inherit=True), names)
    bus = make()
    order = names["Order"]()
    references = [weakref.ref(names[name]) for name in ("Order", "Default", "placed", "priced")]
    references += [weakref.ref(names["placed"].__kwdefaults__["by"]), weakref.ref(names["priced"].__defaults__[0])]
    for channel, arguments in (
        (Channel.declare(names["placed"]), (order,)),
        (Channel.declare(names["priced"]), ()),
        (names["subscripted"], (order,)),
    ):
        bound = bus[channel]
        bound.subscribe(lambda *_, **__: None)
        bound.subscribe(names["Order"].mro)
        references.append(weakref.ref(type(bound)))
        for _ in range(publishes):
            with pytest.raises(ChannelFailures):
                bound.publish(*arguments)
    return references


@pytest.mark.parametrize("publishes", [1, HOT], ids=["cold", "hot"])
@pytest.mark.parametrize("make", [Bus, OldBus], ids=["typed", "old names"])
def test_a_module_can_be_collected_with_its_channels(make: Callable[[], Any], publishes: int) -> None:
    """With its namespace, and the defaults, annotations and classes of its channels."""
    references = load_and_publish(make, publishes)

    # `typing` keeps what stood in brackets last.
    for clear in typing._cleanups:  # type: ignore[attr-defined]  # as the tests of Python do
        clear()
    gc.collect()

    assert [reference() for reference in references] == [None] * len(references)


def test_channels_of_one_signature_share_a_class_while_one_of_them_exists() -> None:
    """On any bus, in any order."""
    first, second = Channel[[int, float], str]("first"), Channel[[int, float], str]("second")
    one, other = Bus(), Bus()
    kind: weakref.ref[Any] = weakref.ref(type(one[first]))
    assert type(other[second]) is kind()

    del one, first
    gc.collect()

    assert kind() is not None
    assert type(Bus()[Channel[[int, float], str]("third")]) is kind()


def test_a_channel_without_type_arguments_at_run_time_accepts_any_arguments() -> None:
    """It has no signature to check them with."""
    plain: Channel[[int], int] = Channel("plain")
    bound = Bus()[plain]
    bound.subscribe(lambda value: value + 1)

    assert bound.publish(1) == [2]
    assert str(inspect.signature(bound.publish)).startswith("(*args")


class Nameless:
    """Cannot even be shown."""

    def __call__(self, value: int, /) -> int:
        raise Unnoted

    def __repr__(self) -> str:
        raise ValueError("shy")


class Unnoted(Exception):
    """Takes no attribute, as an exception that is a frozen class."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)

    def add_note(self, note: str, /) -> None:
        raise AttributeError(note)


def test_a_failure_that_cannot_be_described_does_not_prevent_other_listeners() -> None:
    """A repr that raises, or an exception that accepts no note."""
    bound = Bus()[Channel[[int], int]("odd")]
    bound.subscribe(Nameless())
    bound.subscribe(lambda value: value)

    with pytest.raises(ChannelFailures) as caught:
        bound.publish(1)

    assert caught.value.results == (1,)
    assert "Nameless object at" in caught.value.failures[0].name
