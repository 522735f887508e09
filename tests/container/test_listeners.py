"""`Listeners` as a component: its functions are hooks of the container."""

from __future__ import annotations

import asyncio
import functools
import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis.strategies import booleans, integers, lists
from tests.doubles import HookRecorder, ThreadCall

from typedbus import (
    EXIT,
    LOG,
    START,
    STOP,
    AsyncChannel,
    BoundChannel,
    Bus,
    Channel,
    ChannelFailures,
    Component,
    Container,
    DeclarationError,
    InvalidContainer,
    Listeners,
    RegistrationError,
    Resource,
    Scoped,
    TransitionFailures,
    on,
    running,
)
from typedbus.faults import BusFault, HookFault

placed = Channel[[str], str]("placed")
counted = AsyncChannel[[str], int]("counted")


@Channel.declare
def stock_low(sku: str, /, *, left: int = 0) -> str:
    return ""


def record(order: str, /) -> str:
    return f"record {order}"


def reorder(sku: str, /, *, left: int = 0) -> str:
    return f"reorder {sku} {left}"


def registered() -> Listeners:
    """Return listeners of two channels."""
    listeners = Listeners()
    listeners.on(placed)(record)
    listeners.on(stock_low)(reorder)
    return listeners


def shop_of(listeners: Listeners) -> type[Container]:
    """Return a container with *listeners* as its component ``analytics``."""

    class Shop(Container):
        bus = Component(Bus)
        analytics = Component(listeners)

    return Shop


def paths(bus: Bus, channel: Any) -> list[str]:
    """Return the names of the listeners of *channel* on *bus*."""
    return [subscription.name for subscription in bus[channel].subscriptions]


def test_functions_of_a_module_listen_in_each_run_of_each_container() -> None:
    """Containers with and without the bus as an argument call the functions once, in every run."""
    listeners = registered()

    class Shop(Container):
        bus = Component(Bus)
        analytics = Component(listeners, bus.provided)

    class Market(Container):
        bus = Component(Bus)
        analytics = Component(listeners)

    shop, market = Shop(), Market()
    for _ in range(2):
        with running(shop), running(market):
            for bus in (shop.bus(), market.bus()):
                assert bus[placed].publish("x") == ["record x"]
                assert bus[stock_low].publish("tea", left=2) == ["reorder tea 2"]


def test_the_component_is_the_object_itself() -> None:
    """`Component(listeners)` provides the `Listeners`."""
    listeners = registered()

    class Shop(Container):
        bus = Component(Bus)
        analytics = Component(listeners)

    with running(Shop) as shop:
        assert shop.analytics() is listeners


def test_functions_are_named_after_the_component() -> None:
    """Subscriptions and failures have the path of the component and the name of the function."""
    listeners = registered()

    @listeners.on(placed)
    def fail(order: str, /) -> str:
        raise OSError(order)

    with running(shop_of(listeners)) as shop:
        bus: Bus = shop.bus()  # type: ignore[attr-defined]
        assert paths(bus, placed) == ["Shop.analytics.record", "Shop.analytics.fail"]
        assert {subscription.path for subscription in bus[placed].subscriptions} == {"Shop.analytics"}
        with pytest.raises(ChannelFailures) as raised:
            bus[placed].publish("x")

    (failure,) = raised.value.failures
    assert (failure.name, failure.listener) == ("Shop.analytics.fail", fail)


def test_functions_and_methods_are_called_in_one_order() -> None:
    """Priorities order functions and marked methods; ties are in order of declaration."""
    notes: list[str] = []
    listeners = Listeners()

    def note(name: str, priority: int | None = None) -> None:
        @listeners.on(placed, priority=priority)
        def add(order: str, /) -> str:
            notes.append(name)
            return name

    class Clerk:
        @on(placed, priority=20)
        def early(self, order: str, /) -> str:
            return self.note("early method")

        def note(self, name: str) -> str:
            notes.append(name)
            return name

        @on(placed)
        def bill(self, order: str, /) -> str:
            return self.note("method")

    class Shop(Container):
        bus = Component(Bus)
        clerk = Component(Clerk)
        analytics = Component(listeners)

    note("function")
    note("late function", 60)
    note("early function", 10)
    with running(Shop) as shop:
        shop.bus()[placed].publish("x")

    assert notes == ["early function", "early method", "method", "function", "late function"]


def test_a_publisher_starts_after_the_functions_and_stops_before_them() -> None:
    """A component that is given the channel is ordered after the `Listeners`, as after any listener."""
    notes: list[str] = []
    listeners = Listeners()
    listeners.on(placed)(record)
    listeners.on(START)(lambda: notes.append("start functions"))
    listeners.on(STOP)(lambda: notes.append("stop functions"))

    class Orders(HookRecorder):
        def __init__(self, notes: list[str], placed: BoundChannel[[str], str]) -> None:
            super().__init__(notes, "orders")

    class Shop(Container):
        bus = Component(Bus)
        orders = Component(Orders, notes, bus.provided[placed])
        analytics = Component(listeners)

    with running(Shop):
        pass

    assert notes == ["start functions", "start orders", "stop orders", "stop functions", "exit orders"]


def test_functions_listen_to_the_life_cycle() -> None:
    """Functions of `START`, `STOP` and `EXIT`, async ones included, are hooks of the component."""
    notes: list[str] = []
    listeners = Listeners()

    @listeners.on(START)
    async def connect() -> None:
        await asyncio.sleep(0)
        notes.append("connect")

    listeners.on(STOP)(lambda: notes.append("disconnect"))
    listeners.on(EXIT)(lambda: notes.append("close"))

    with running(shop_of(listeners)):
        assert notes == ["connect"]

    assert notes == ["connect", "disconnect", "close"]


def test_functions_of_stop_are_not_called_if_the_start_of_the_component_has_failed() -> None:
    """The functions stop as one component: if its start fails, the rollback leaves them out."""
    notes: list[str] = []
    listeners = Listeners()

    @listeners.on(START)
    def connect() -> None:
        raise OSError("no connection")

    listeners.on(STOP)(lambda: notes.append("disconnect"))

    with pytest.raises(TransitionFailures) as raised, running(shop_of(listeners)):
        pass

    assert raised.value.failures[0].name == "Shop.analytics.connect"
    assert notes == []


def test_a_rollback_stops_the_functions_of_the_components_that_had_started() -> None:
    """Functions of two components start and stop apart from each other."""
    notes: list[str] = []
    first, second = Listeners(), Listeners()
    first.on(START)(lambda: notes.append("start first"))
    first.on(STOP)(lambda: notes.append("stop first"))
    second.on(STOP)(lambda: notes.append("stop second"))

    @second.on(START)
    def fail() -> None:
        raise OSError("no connection")

    class Shop(Container):
        bus = Component(Bus)
        one = Component(first)
        two = Component(second)

    with pytest.raises(TransitionFailures), running(Shop):
        pass

    assert notes == ["start first", "stop first"]


def test_validate_reports_a_function_that_does_not_fit() -> None:
    """The fault has the place of the registration, and nothing is built."""
    listeners = Listeners()
    wrong: Any = lambda: "no order"
    listeners.on(placed)(wrong)

    with pytest.raises(InvalidContainer) as raised:
        shop_of(listeners)().validate()

    (fault,) = raised.value.exceptions
    assert isinstance(fault, HookFault)
    assert fault.path == "Shop.analytics"
    assert "test_listeners.py:" in fault.place
    assert int(fault.place.rpartition(":")[2]) == wrong.__code__.co_firstlineno + 1
    assert "does not fit channel 'placed'" in fault.problem
    assert fault.remedy == "correct the function, or remove @listeners.on above it"


def test_functions_need_a_bus() -> None:
    """A container whose only listeners are functions, and which has no bus, is reported."""
    listeners = registered()

    class Shop(Container):
        analytics = Component(listeners)

    with pytest.raises(InvalidContainer) as raised:
        Shop().validate()

    assert [type(fault) for fault in raised.value.exceptions] == [BusFault]


def test_functions_of_the_life_cycle_have_one_priority() -> None:
    """Two priorities for `START` are a fault, as for two methods of one component."""
    listeners = Listeners()
    listeners.on(START, priority=10)(lambda: None)
    listeners.on(START, priority=20)(lambda: None)

    with pytest.raises(InvalidContainer) as raised:
        shop_of(listeners)().validate()

    (fault,) = raised.value.exceptions
    assert isinstance(fault, HookFault)
    assert "priority 10" in fault.problem


def test_a_channel_may_be_left_out() -> None:
    """`without` leaves out the functions of a channel, also those that are registered later."""
    listeners = registered()

    class Shop(Container):
        bus = Component(Bus)
        analytics = Component(listeners).without(placed)

    with running(Shop) as shop:
        listeners.on(placed)(lambda order, /: "late")
        assert shop.bus()[placed].publish("x") == []
        assert shop.bus()[stock_low].publish("tea") == ["reorder tea 0"]


def test_a_disabled_component_does_not_listen() -> None:
    """With `enabled(False)` no function is subscribed."""
    listeners = registered()

    class Shop(Container):
        bus = Component(Bus)
        analytics = Component(listeners).enabled(False, reason="analytics = false")

    with running(Shop) as shop:
        assert shop.bus()[placed].publish("x") == []


def test_a_component_of_functions_can_be_overridden() -> None:
    """An override with other `Listeners`, as an object or as a component, takes the place of the functions."""
    listeners, quiet = registered(), Listeners()
    quiet.on(placed)(lambda order, /: f"quiet {order}")

    class Shop(Container):
        bus = Component(Bus)
        analytics = Component(listeners)

    shop = Shop()
    for replacement in (quiet, Component(quiet)):
        with shop.override(Shop.analytics).by(replacement), running(shop):
            assert shop.bus()[placed].publish("x") == ["quiet x"]
            assert shop.bus()[stock_low].publish("tea") == []
    with running(shop):
        assert shop.bus()[placed].publish("x") == ["record x"]


def test_validate_checks_the_functions_of_an_override() -> None:
    """A function of the replacement that does not fit is a fault."""
    listeners, wrong = registered(), Listeners()
    function: Any = lambda: "no order"
    wrong.on(placed)(function)

    class Shop(Container):
        bus = Component(Bus)
        analytics = Component(listeners)

    shop = Shop()
    with shop.override(Shop.analytics).by(wrong), pytest.raises(InvalidContainer) as raised:
        shop.validate()

    assert [type(fault) for fault in raised.value.exceptions] == [HookFault]


def test_two_components_of_one_object_call_a_function_once() -> None:
    """The functions are subscribed for the first of the components on a bus."""
    listeners = registered()

    class Reports(Container):
        analytics = Component(listeners)

    class Shop(Container):
        bus = Component(Bus)
        inner = Reports()
        analytics = Component(listeners)

    with running(Shop) as shop:
        assert shop.bus()[placed].publish("x") == ["record x"]
        assert paths(shop.bus(), placed) == ["Shop.inner.analytics.record"]


def test_containers_that_run_together_call_a_function_once() -> None:
    """Of two containers on one bus, the first subscribes the functions; they end with the exit of the bus."""
    listeners = registered()
    shop, market = shop_of(listeners)(), shop_of(listeners)()

    with running(shop, market):
        bus: Bus = shop.bus()  # type: ignore[attr-defined]
        assert bus[placed].publish("x") == ["record x"]
    with running(market):
        assert market.bus()[placed].publish("x") == ["record x"]  # type: ignore[attr-defined]


def test_a_guest_that_leaves_ends_its_subscriptions() -> None:
    """After `running`, a container that was a guest on the bus has no function there, nor any that comes later."""
    listeners = registered()

    class Host(Container):
        bus = Component(Bus)

    class Guest(Container):
        analytics = Component(listeners)

    host = Host()
    with running(host, Guest()):
        assert host.bus()[placed].publish("x") == ["record x"]

    listeners.on(placed)(lambda order, /: "late")
    assert host.bus()[placed].publish("x") == []


def test_a_function_that_is_registered_while_containers_run_listens_at_once() -> None:
    """It is subscribed on the bus of each running container, under the name of its component, and in later runs."""
    listeners = Listeners()
    shop, market = shop_of(listeners)(), shop_of(listeners)()

    with running(shop), running(market):
        listeners.on(placed)(record)
        for container in (shop, market):
            bus: Bus = container.bus()  # type: ignore[attr-defined]
            assert bus[placed].publish("x") == ["record x"]
            assert paths(bus, placed) == ["Shop.analytics.record"]
    with running(shop):
        assert shop.bus()[placed].publish("x") == ["record x"]  # type: ignore[attr-defined]


def test_a_late_function_that_does_not_fit_is_refused_where_it_is_registered() -> None:
    """While a container runs, the registration itself fails, and the function is not registered."""
    listeners = registered()
    wrong: Any = lambda: "no order"

    with running(shop_of(listeners)) as shop:
        with pytest.raises(RegistrationError, match=r"test_listeners.py:\d+\) cannot listen .* too many positional"):
            listeners.on(placed)(wrong)
        assert shop.bus()[placed].publish("x") == ["record x"]  # type: ignore[attr-defined]
        with pytest.raises(RegistrationError, match="the bus has started"):
            listeners.on(START)(lambda: None)
    assert "with 2 function(s)" in repr(listeners)


def test_functions_that_constructors_register_are_hooks_of_the_same_start() -> None:
    """A constructor that imports a module of functions, before or after the component is built, loses none."""
    notes: list[str] = []
    listeners = Listeners()

    class Plugin:
        def __init__(self, name: str) -> None:
            @listeners.on(START)
            def start() -> None:
                notes.append(f"start {name}")

            @listeners.on(placed)
            def listen(order: str, /) -> str:
                return f"{name} {order}"

    class Shop(Container):
        bus = Component(Bus)
        before = Component(Plugin, "before")
        analytics = Component(listeners)
        after = Component(Plugin, "after")

    shop = Shop()
    with running(shop):
        assert notes == ["start before", "start after"]
        assert shop.bus()[placed].publish("x") == ["before x", "after x"]
    notes.clear()
    with running(shop):  # which builds the plugins again
        assert notes == ["start before", "start after"] * 2


def test_a_component_takes_over_functions_that_are_subscribed_by_hand() -> None:
    """On a bus with subscriptions by hand the functions are called once, in the name of the component."""
    listeners = registered()
    shop = shop_of(listeners)()
    bus: Bus = shop.bus()  # type: ignore[attr-defined]

    with listeners.subscribe(bus), running(shop):
        assert bus[placed].publish("x") == ["record x"]
        assert paths(bus, placed) == ["Shop.analytics.record"]
        with listeners.subscribe(bus):
            pass
        assert bus[placed].publish("x") == ["record x"]


def test_listeners_keep_no_container_alive() -> None:
    """A container that has run is collected, although the module keeps its `Listeners`."""
    listeners = registered()
    shop = shop_of(listeners)()
    with running(shop):
        pass
    references = weakref.ref(shop), weakref.ref(shop.bus())  # type: ignore[attr-defined]

    del shop
    gc.collect()

    assert [reference() for reference in references] == [None, None]


def test_a_function_may_build_the_listeners() -> None:
    """The functions of `Listeners` that a function returns are hooks as well, and are checked when it has returned."""

    class Shop(Container):
        bus = Component(Bus)
        analytics = Component(registered)

    with running(Shop) as shop:
        assert paths(shop.bus(), placed) == ["Shop.analytics.record"]


def test_functions_of_an_async_channel_are_awaited() -> None:
    """A publish on an `AsyncChannel` awaits async functions of a component."""
    listeners = Listeners()

    @listeners.on(counted)
    async def count(order: str, /) -> int:
        await asyncio.sleep(0)
        return len(order)

    async def publish() -> list[int]:
        async with running(shop_of(listeners)) as shop:
            return await shop.bus()[counted].publish("tea")  # type: ignore[attr-defined, no-any-return]

    assert asyncio.run(publish()) == [3]


def test_functions_may_log() -> None:
    """A function that listens to `LOG` receives the messages of the bus."""
    messages: list[str] = []
    listeners = Listeners()

    @listeners.on(LOG)
    def write(message: str, level: int, /) -> None:
        messages.append(message)

    with running(shop_of(listeners)) as shop:
        shop.bus().log("hello")  # type: ignore[attr-defined]

    assert "hello" in messages


class Ledger:
    """An object whose methods listen as functions do."""

    def record(self, order: str, /) -> str:
        return f"ledger {order}"

    def forget(self) -> str:
        return "ledger"


def test_methods_of_objects_listen_as_functions() -> None:
    """A bound method has its object, and is called with the published arguments alone."""
    listeners = Listeners()
    listeners.on(placed)(Ledger().record)

    with running(shop_of(listeners)) as shop:
        assert shop.bus()[placed].publish("tea") == ["ledger tea"]  # type: ignore[attr-defined]


def test_methods_of_objects_are_validated_as_functions() -> None:
    """The parameters of a bound method are those that a caller sees."""
    listeners = Listeners()
    method: Any = Ledger().forget
    listeners.on(placed)(method)

    with pytest.raises(InvalidContainer) as raised:
        shop_of(listeners)().validate()

    (fault,) = raised.value.exceptions
    assert isinstance(fault, HookFault)
    assert fault.problem.endswith("is called with (arg0: str, /) and takes (): too many positional arguments")


def test_a_start_warns_of_listeners_without_a_function() -> None:
    """A module that was never imported leaves a trace in the log; an override that silences the functions does not."""
    messages: list[str] = []
    listeners = Listeners()

    class Shop(Container):
        bus = Component(Bus)
        analytics = Component(listeners)

    shop = Shop()
    shop.bus()[LOG].subscribe(lambda message, level, /: messages.append(f"{level} {message}"))
    with shop.override(Shop.analytics).by(Listeners()), running(shop):
        pass
    assert messages == []
    with running(shop):
        pass

    (message,) = messages
    assert message.startswith("30 Shop.analytics (")
    assert message.endswith(
        "listens to nothing: no module has registered a function; import the modules whose functions must listen"
    )


def test_validate_checks_functions_that_were_registered_since_the_last_time() -> None:
    """A valid container is validated again after a registration, by `validate` and before a start."""
    for check in (Container.validate, lambda shop: running(shop).__enter__()):
        listeners = registered()
        shop = shop_of(listeners)()
        shop.validate()

        wrong: Any = lambda: "no order"
        listeners.on(placed)(wrong)

        with pytest.raises(InvalidContainer):
            check(shop)


def test_listeners_in_the_body_of_a_container_must_be_a_component() -> None:
    """An attribute that is not declared as a component, so that its functions would not listen, is an error."""
    listeners = registered()

    with pytest.raises(DeclarationError, match=r"Shop.analytics \(.*\): it is a Listeners, .* analytics = Component"):

        class Shop(Container):
            bus = Component(Bus)
            analytics = listeners


def test_a_container_may_hold_the_listeners_of_its_component() -> None:
    """Functions may be registered with an attribute of the class: `@Shop.listeners.on(placed)`."""

    class Shop(Container):
        bus = Component(Bus)
        listeners = Listeners()
        functions = Component(listeners)

    Shop.listeners.on(placed)(record)
    with running(Shop) as shop:
        assert shop.bus()[placed].publish("x") == ["record x"]


def test_listeners_of_a_scope_are_a_fault() -> None:
    """A `Scoped` declaration of functions would not listen."""

    class Shop(Container):
        bus = Component(Bus)
        functions = Scoped(registered())

    with pytest.raises(InvalidContainer) as raised:
        Shop().validate()

    (fault,) = raised.value.exceptions
    assert isinstance(fault, HookFault)
    assert fault.problem == "it is a Listeners, and no bus calls the functions of an object of a scope"


def test_an_argument_is_the_object_itself() -> None:
    """`Listeners` that are passed to a component, alone or in a list, are not copied."""
    listeners = registered()

    class Plugins:
        def __init__(self, listeners: Listeners, others: list[Listeners]) -> None:
            self.all = [listeners, *others]

    class Shop(Container):
        bus = Component(Bus)
        functions = Component(listeners)
        plugins = Component(Plugins, listeners, [functions.provided, listeners])

    assert all(each is listeners for each in Shop().plugins().all)


def test_functions_that_a_component_in_need_of_a_resource_provides_are_hooks() -> None:
    """They start and stop at the turn of the component, and late ones are called as well."""
    notes: list[str] = []
    listeners = Listeners()
    listeners.on(START)(lambda: notes.append("start"))
    listeners.on(STOP)(lambda: notes.append("stop"))
    listeners.on(placed)(record)

    def opened() -> Iterator[str]:
        notes.append("open")
        yield "resource"
        notes.append("close")

    def chosen(name: str) -> Listeners:
        return listeners

    class Shop(Container):
        bus = Component(Bus)
        resource = Resource(opened)
        functions = Component(chosen, resource.provided)

    with running(Shop) as shop:
        listeners.on(placed)(lambda order, /: "late")
        listeners.on(STOP)(lambda: notes.append("late stop"))
        assert shop.bus()[placed].publish("x") == ["record x", "late"]

    assert notes == ["open", "start", "late stop", "stop", "close"]


@pytest.mark.slow
@given(
    functions=lists(integers(0, 3), max_size=8),
    methods=lists(integers(0, 3), max_size=8),
    is_first=booleans(),
    late=lists(integers(0, 3), max_size=3),
)
def test_functions_are_called_in_the_order_of_methods(
    functions: list[int], methods: list[int], is_first: bool, late: list[int]
) -> None:
    """The running order is that of priorities, then of components, then of registrations, late ones last."""
    listeners = Listeners()

    def register(priority: int, name: str) -> None:
        listeners.on(placed, priority=priority)(lambda order, /: name)

    for number, priority in enumerate(functions):
        register(priority, f"function {number}")
    marked = {
        f"method{number}": on(placed, priority=priority)(_method(f"method {number}"))
        for number, priority in enumerate(methods)
    }
    component, own = Component(type("Marked", (), marked)), Component(listeners)

    class Shop(Container):
        bus = Component(Bus)
        first, second = (own, component) if is_first else (component, own)

    with running(Shop) as shop:
        for number, priority in enumerate(late):
            register(priority, f"late {number}")
        results = shop.bus()[placed].publish("x")

    groups = [
        [(priority, f"function {number}") for number, priority in enumerate(functions)],
        [(priority, f"method {number}") for number, priority in enumerate(methods)],
    ]
    entries = [entry for group in (groups if is_first else groups[::-1]) for entry in group]
    entries += [(priority, f"late {number}") for number, priority in enumerate(late)]
    assert results == [name for _, name in sorted(entries, key=lambda entry: entry[0])]


def _method(name: str) -> Any:
    def listen(self: object, order: str, /) -> str:
        return name

    return listen


def test_registrations_in_threads_while_containers_start_are_not_lost() -> None:
    """Functions that other threads register during starts and exits listen in the next run, each once."""
    listeners = Listeners()
    shop, market = shop_of(listeners)(), shop_of(listeners)()
    functions = [functools.partial(record) for _ in range(60)]

    def run(container: Container) -> None:
        for _ in range(5):
            with running(container):
                pass

    def register(some: list[functools.partial[str]]) -> None:
        for function in some:
            listeners.on(placed)(function)

    calls = [ThreadCall(functools.partial(run, container)) for container in (shop, market)]
    calls += [ThreadCall(functools.partial(register, functions[number::2])) for number in range(2)]
    for call in calls:
        assert call.finished().error is None

    for container in (shop, market):
        with running(container):
            assert len(container.bus()[placed].publish("x")) == len(functions)  # type: ignore[attr-defined]
