"""Every exception: when it is raised, its text, and its base class."""

import asyncio
import inspect
import pickle
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from dependency_injector import providers
from tests.doubles import until_waiting

import typedbus
import typedbus.faults
import typedbus.observe
import typedbus.testing
from typedbus import (
    EXIT,
    RUN,
    START,
    STOP,
    AsyncChannel,
    AsyncNeeded,
    Bus,
    Channel,
    ChannelError,
    ChannelFailures,
    ChannelNameError,
    Choice,
    Component,
    ComponentDisabled,
    ConstructionCycle,
    Container,
    DeclarationError,
    Failure,
    Given,
    HookCancelled,
    HookTimeout,
    InvalidContainer,
    LimitError,
    Limits,
    ListenerCancelled,
    ListenerError,
    Listeners,
    LoopError,
    NoContainer,
    NotAMethod,
    NotGiven,
    NotInContainer,
    NotMainThread,
    NotOpen,
    OutsideContainer,
    OutsideScope,
    OverrideError,
    RegistrationError,
    ResetError,
    Resource,
    ResourceError,
    Restart,
    RestartError,
    RestartPolicyError,
    RunFailed,
    RunReturned,
    Scope,
    ScopeBusy,
    ScopeClosed,
    Scoped,
    StartCancelled,
    StartPending,
    State,
    StillRunning,
    Stopping,
    TransitionError,
    TransitionFailures,
    WaitError,
    WatcherError,
    on,
    provided,
    run,
    running,
)
from typedbus._base.failures import chain_failure
from typedbus.events import COMPONENT_STARTING, RunBroke
from typedbus.faults import (
    ArgumentFault,
    BuildFault,
    BusFault,
    ChannelFault,
    ChoiceFault,
    ContributionFault,
    CycleFault,
    DependencyFault,
    DisabledFault,
    Fault,
    HiddenFault,
    HookFault,
    LibraryFault,
    LifetimeFault,
    MisspeltFault,
    OpenerFault,
    OverrideFault,
    ReferenceFault,
    ReplacementFault,
    TypeFault,
)
from typedbus.observe import ObserveError
from typedbus.plugins._thread_ends import NotEnded
from typedbus.servers.serving import NotStopped
from typedbus.testing import FakeClock, NoAnswer, NoRunEvent, Recorder, RunRecorder
from typedbus.wspbus.servers import PortError

ERRORS: Final = Path(__file__).parents[2] / "docs" / "errors.md"
square = Channel[[int], int]("square")


class Database:
    """A component that is built with an address."""

    def __init__(self, url: str, /) -> None:
        self.url = url


class Orders:
    """A component that needs a database, and listens."""

    def __init__(self, database: Database | None) -> None:
        self.database = database

    def start(self) -> None:
        """Listen."""


class Early:
    """A component whose start has a parameter."""

    def start(self, soon: bool) -> None:
        """Do not listen: the bus passes no argument."""


class Late:
    """A component whose listener does not fit its channel."""

    @on(square)  # type: ignore[arg-type]  # what checkers would have refused
    def hear(self, number: str, /) -> int:
        """Listen."""
        return len(number)


class Shop(Container):
    """A container without a fault."""

    bus = Component(Bus)
    database = Component(Database, "memory:")
    orders = Component(Orders, database.provided)


def fail() -> None:
    """Fail as a listener does."""
    raise ValueError("no disk")


def refuse(number: int, /) -> int:
    """Fail as a listener of `square` does."""
    raise ValueError(number)


def met_in(situation: Callable[[], object]) -> BaseException:
    """Return what *situation* raises."""
    with pytest.raises(Exception) as caught:
        situation()
    return caught.value


def first_fault(container: type[Container]) -> Fault:
    """Return the first thing wrong with *container*."""
    invalid = met_in(container().validate)
    assert isinstance(invalid, InvalidContainer)
    fault = invalid.exceptions[0]
    assert isinstance(fault, Fault)
    return fault


def without_places(text: object) -> str:
    """Return *text* with HERE for each line of this file, without this module's name and without stacks."""
    here = re.sub(re.escape(__file__) + r":\d+", "HERE", str(text)).replace(f"{__name__}.", "")
    return re.sub(r"(thread .* is at:|it is at:)\n.*", r"\1 ...", here, flags=re.DOTALL)


@attrs.frozen
class Situation:
    """A failure, and its text."""

    meet: Callable[[], BaseException]
    kind: type[BaseException]
    builtin: type[BaseException]
    text: str


SITUATIONS: Final[list[Situation]] = []


def said_by(
    kind: type[BaseException], builtin: type[BaseException], text: str
) -> Callable[[Callable[[], BaseException]], Callable[[], BaseException]]:
    """Let a function meet an exception of *kind*, to be caught as *builtin*, which says *text*."""

    def keep(meet: Callable[[], BaseException]) -> Callable[[], BaseException]:
        SITUATIONS.append(Situation(meet, kind, builtin, text))
        return meet

    return keep


@said_by(
    ArgumentFault,
    Exception,
    "Wrong.database (HERE): Database(url: str, /) takes 1 positional argument(s) and is given 2; "
    "correct the declaration",
)
def an_argument_fault() -> BaseException:
    class Wrong(Container):
        database = Component(Database, "memory:", 3)  # type: ignore[call-arg]  # the fault

    return first_fault(Wrong)


@said_by(
    BuildFault,
    Exception,
    "Wrong.database (HERE): connect is async: the component would be a coroutine that has not run; "
    "declare a Resource, which is opened when the bus starts, and add closed_by(...)",
)
def a_build_fault() -> BaseException:
    async def connect() -> None: ...

    connect.__qualname__ = "connect"

    class Wrong(Container):
        database = Component(connect)

    return first_fault(Wrong)


@said_by(
    BusFault,
    Exception,
    "Wrong (HERE): it has no bus, and Wrong.orders listens to channels; declare one: bus = Component(Bus)",
)
def a_bus_fault() -> BaseException:
    class Wrong(Container):
        orders = Component(Orders, None)

    return first_fault(Wrong)


@said_by(
    BusFault,
    Exception,
    "Wrong (HERE): it has several buses: Wrong.bus (HERE), Wrong.other (HERE); "
    "keep one, and pass it to the others as bus.provided",
)
def a_bus_fault_of_several() -> BaseException:
    class Wrong(Container):
        bus = Component(Bus)
        other = Component(Bus)

    return first_fault(Wrong)


@said_by(
    CycleFault,
    Exception,
    "Wrong.orders (HERE): components need each other in a cycle: Wrong.orders -> Wrong.database -> Wrong.orders; "
    "remove one of these arguments, or pass it later, on a channel or in start()",
)
def a_cycle_fault() -> BaseException:
    class Wrong(Container):
        later = providers.Dependency[str]()
        database = Component(Database, provided(later))
        orders = Component(Orders, database.provided)
        later.override(orders)

    return first_fault(Wrong)


@said_by(
    DependencyFault,
    Exception,
    "Wrong.database (HERE): its argument 'url' needs Wrong.url, a Dependency() that has no provider; "
    "give it a default, or a provider: wrong.url.override(providers.Object(...))",
)
def a_dependency_fault() -> BaseException:
    class Wrong(Container):
        url = providers.Dependency[str]()
        database = Component(Database, provided(url))

    return first_fault(Wrong)


@said_by(
    LibraryFault,
    Exception,
    "Wrong.index (HERE): the bus calls only methods of components, and a_library_fault.<locals>.Index.start would never be called; "
    "declare a Component(Index, ...); if the program calls the method itself, exclude it: Component(...).without(START)",
)
def a_library_fault() -> BaseException:
    class Index:
        def start(self) -> None: ...

    class Wrong(Container):
        bus = Component(Bus)
        index = providers.Singleton(Index)

    return first_fault(Wrong)


@said_by(
    HookFault,
    Exception,
    "Wrong.early (HERE): Early.start does not fit channel 'start': it is called with () and "
    "takes (self, soon: bool): missing a required argument: 'soon'; "
    "rename it, or declare that it does not listen: Component(...).without(START)",
)
def a_hook_fault() -> BaseException:
    class Wrong(Container):
        bus = Component(Bus)
        early = Component(Early)

    return first_fault(Wrong)


@said_by(
    HookFault,
    Exception,
    "Wrong.late (HERE): Late.hear does not fit channel 'square': it takes 'number' as str and "
    "is given int; correct the method (HERE), or remove the mark or declaration that makes it a listener",
)
def a_hook_fault_of_a_mark() -> BaseException:
    class Wrong(Container):
        bus = Component(Bus)
        late = Component(Late)

    return first_fault(Wrong)


@said_by(
    ChannelFault,
    Exception,
    "Wrong.told (HERE): it is given a channel 'start' that is not the life-cycle channel of this name; "
    "use typedbus.START, or give your channel another name",
)
def a_channel_fault() -> BaseException:
    start = Channel[[], None]("start")

    class Wrong(Container):
        bus = Component(Bus)
        told = Component(Recorder[[], None], bus.provided[start])

    return first_fault(Wrong)


@said_by(
    HiddenFault,
    Exception,
    "Wrong.orders (HERE): its argument 1 holds Wrong.database where the container does not search, "
    "so that the provider itself would be passed, not its instance; pass database.provided, as an argument or in a list, tuple or dict; "
    "or database.lazy to a parameter that takes a function, to be called later",
)
def a_hidden_fault() -> BaseException:
    class Wrong(Container):
        database = Component(Database, "memory:")
        orders = Component(set[object], [database])

    return first_fault(Wrong)


@said_by(
    LifetimeFault,
    Exception,
    "Wrong.orders (HERE): it would keep one instance of Database, although each thread has its own "
    "(ThreadLocalSingleton); pass lazy(x), and call it where it is used; "
    "or declare x as a Component",
)
def a_lifetime_fault() -> BaseException:
    class Wrong(Container):
        database = providers.ThreadLocalSingleton(Database, "memory:")
        bus = Component(Bus)
        orders = Component(Orders, provided(database))

    return first_fault(Wrong)


class Nearly:
    """A component whose hook has a wrong name."""

    def on_start(self) -> None:
        """Is never called."""


@said_by(
    MisspeltFault,
    Exception,
    "Wrong.nearly (HERE): Nearly.on_start will not be called: a component listens to channel 'start' "
    "by a method named 'start'; rename it, or declare that it does not listen: Component(...).without(START)",
)
def a_misspelt_fault() -> BaseException:
    class Wrong(Container):
        nearly = Component(Nearly)

    return first_fault(Wrong)


@said_by(
    OpenerFault,
    Exception,
    "Wrong.orders (HERE): it receives Wrong.session.opener, whose scope needs Wrong.session (HERE), "
    "which is an async generator; pass Wrong.session.async_opener, and open it with async with",
)
def an_opener_fault() -> BaseException:
    async def connect() -> AsyncIterator[Database]:
        yield Database("memory:")

    class Wrong(Container):
        bus = Component(Bus)
        session = Scoped(connect)
        orders = Component(list[object], [session.opener])

    return first_fault(Wrong)


@said_by(
    OverrideFault,
    Exception,
    "Shop.database (HERE): it is overridden by int and was declared as Database; "
    "override it with one of these, or with a Component that builds one",
)
def an_override_fault() -> BaseException:
    wrong: Any = 42

    shop = Shop()
    with shop.override(Shop.database).by(wrong), pytest.raises(InvalidContainer) as caught:
        shop.validate()
    fault = caught.value.exceptions[0]
    assert isinstance(fault, OverrideFault)
    return fault


@said_by(
    ReferenceFault,
    Exception,
    "Package.orders (HERE): it refers to Shop.database (HERE), and no instance of Shop is in a container around it, "
    "or runs together with it; nest one, as in shop = Shop(), or pass one to run(...) or running(...)",
)
def a_reference_fault() -> BaseException:
    class Package(Container):
        bus = Component(Bus)
        orders = Component(Orders, Shop.database.provided)

    return first_fault(Package)


@said_by(
    ReplacementFault,
    Exception,
    "Wrong.database (HERE): Database has the same name but does not replace it: the declaration of the base class stays in force; "
    "declare database = Component(...), or take another name",
)
def a_replacement_fault() -> BaseException:
    class Wrong(Shop):
        database = Database  # type: ignore[assignment]  # the fault

    return first_fault(Wrong)


@said_by(
    TypeFault,
    Exception,
    "Wrong.orders (HERE): Orders takes 'database' as Database | None and is given Early (Wrong.early); "
    "pass a matching argument, or correct the annotation",
)
def a_type_fault() -> BaseException:
    class Wrong(Container):
        bus = Component(Bus)
        early = Component(Early).without(START)
        orders = Component(Orders, early.provided)  # type: ignore[arg-type]  # the fault

    return first_fault(Wrong)


@said_by(
    InvalidContainer,
    ExceptionGroup,
    "Wrong cannot be wired: 2 fault(s), nothing was built\n"
    "- Wrong.database (HERE): Database(url: str, /) misses 'url'; correct the declaration\n"
    "- Wrong (HERE): it has no bus, and Wrong.orders listens to channels; declare one: bus = Component(Bus)",
)
def an_invalid_container() -> BaseException:
    class Wrong(Container):
        database = Component(Database)  # type: ignore[call-arg]  # a fault
        orders = Component(Orders, database.provided)

    return met_in(Wrong().validate)


@said_by(
    ChannelError, TypeError, "'square' is not a channel: a bus is indexed with the channel object, as in bus[START]"
)
def a_channel_error() -> BaseException:
    return met_in(lambda: Bus()["square"])  # type: ignore[index]  # the error


@said_by(
    ChannelNameError,
    ChannelError,
    "'squere' is not the name of a channel of this bus; similar names are 'square'; "
    "a bus has the built-in channels, and those that were looked up with bus[channel]",
)
def a_channel_name_error() -> BaseException:
    bus = Bus()
    bus[square].subscribe(lambda number: number**2)
    return met_in(lambda: bus.channel("squere"))


@said_by(
    ListenerError,
    TypeError,
    "cannot subscribe None to channel 'square': it is not callable; pass a function or a method",
)
def a_listener_error() -> BaseException:
    return met_in(lambda: Bus()[square].subscribe(None))  # type: ignore[call-overload]  # the error


@said_by(
    WatcherError,
    ListenerError,
    "cannot watch channel 'square' with None: it is not callable; pass a function or a method",
)
def a_watcher_error() -> BaseException:
    return met_in(lambda: Bus()[square].watch(None))  # type: ignore[call-overload]  # the error


@said_by(
    ObserveError,
    ValueError,
    "cannot observe channel 'start': the bus calls its listeners itself; `typedbus.report.Report` records the durations "
    "and failures of a start",
)
def an_observe_error() -> BaseException:
    return met_in(lambda: Bus().observe(START))


@said_by(
    RegistrationError,
    TypeError,
    "'circle' (HERE) cannot listen to channel 'square': it is not callable; decorate a function",
)
def a_registration_error() -> BaseException:
    return met_in(lambda: Listeners().on(square)("circle"))  # type: ignore[arg-type]  # the error


@said_by(
    ListenerCancelled,
    RuntimeError,
    "the listener ended with CancelledError although its publisher was not cancelled: a task or future that it awaited "
    "was cancelled; catch CancelledError around that await",
)
def a_listener_that_was_cancelled() -> BaseException:
    asked = AsyncChannel[[], None]("asked")
    bus = Bus()

    @bus[asked].subscribe()
    async def ask() -> None:
        answer = asyncio.get_running_loop().create_future()
        answer.cancel()
        await answer

    failed = met_in(lambda: asyncio.run(bus[asked].publish()))
    assert isinstance(failed, ChannelFailures)
    return failed.exceptions[0]


@said_by(ChannelFailures, ExceptionGroup, "1 of 2 listeners of channel 'square' failed: refuse (1 sub-exception)")
def channel_failures() -> BaseException:
    bound = Bus()[square]
    bound.subscribe(refuse)
    bound.subscribe(abs)
    return met_in(lambda: bound.publish(3))


@said_by(
    DeclarationError, TypeError, "Wrong.validate (HERE): containers use the name 'validate' themselves; take another"
)
def a_declaration_error() -> BaseException:
    def declare() -> None:
        class Wrong(Container):
            validate = Component(Bus)  # type: ignore[assignment]  # the error

    return met_in(declare)


@said_by(
    DeclarationError,
    TypeError,
    "Database.provided.url (HERE): no instance exists while a container is declared; "
    "pass it to a component, or to a function that Component(function, ...) calls",
)
def a_declaration_error_of_an_argument() -> BaseException:
    def declare() -> None:
        class Wrong(Container):
            database = Component(Database, "memory:")
            copied = Component(Database, f"{database.provided.url}")

    return met_in(declare)


@said_by(
    OutsideContainer,
    RuntimeError,
    "Shop.database (HERE) is a declaration and builds nothing; "
    "call it on an instance of its container: Shop().database()",
)
def a_component_outside_its_container() -> BaseException:
    return met_in(Shop.database)


@said_by(
    NotOpen,
    RuntimeError,
    "Cached.cache (HERE) is not open: a resource is opened when the bus starts, and closed when it stops; "
    "use it in between, or pass it to a component and use it in the hooks of that component",
)
def a_resource_before_the_start() -> BaseException:
    def opened() -> Iterator[dict[str, str]]:
        yield {}

    class Cached(Container):
        cache = Resource(opened)

    return met_in(Cached().cache)


@said_by(
    ResetError,
    RuntimeError,
    "cannot reset Shop: its container runs, and components that have started would keep running beside new ones; "
    "exit the bus first",
)
def a_reset_of_a_running_container() -> BaseException:
    shop = Shop()
    with running(shop):
        return met_in(shop.reset_singletons)


@said_by(
    ConstructionCycle,
    RuntimeError,
    "Shop.database (HERE) is under construction: its constructor or one of its arguments asked the container for "
    "it again; ask for Shop.database later, in start(), or declare it as an argument",
)
def a_constructor_that_asks_for_its_own_component() -> BaseException:
    class Asking:
        def __init__(self) -> None:
            shops[0].database()

    class Shop(Container):
        database = Component(Asking)

    shops = [Shop()]
    return met_in(shops[0].database)


@said_by(
    ConstructionCycle,
    RuntimeError,
    "Shop.left (shop.py:3) is under construction in thread 'worker', which waits for this thread, and this thread "
    "asked for Shop.right, which needs it; ask for Shop.right later, in start(), or declare it as an argument",
)
def two_constructors_that_wait_for_each_other() -> BaseException:
    return ConstructionCycle("Shop.left", "shop.py:3", "Shop.right", "worker")


@said_by(OverrideError, RuntimeError, "cannot override Shop.bus (HERE): it is not a component of Infra")
def an_override_of_a_stranger() -> BaseException:
    class Infra(Container):
        bus = Component(Bus)

    return met_in(lambda: Infra().override(Shop.bus))


@said_by(
    OverrideError,
    RuntimeError,
    "cannot override Shop.database (HERE): Shop.database is built already; override before that",
)
def an_override_too_late() -> BaseException:
    shop = Shop()
    shop.orders()

    def override() -> None:
        with shop.override(Shop.database).by(Database("other:")):
            raise AssertionError

    return met_in(override)


@said_by(
    TransitionError,
    RuntimeError,
    "a bus that is STARTED cannot go to STARTING; "
    "only a STOPPED or EXITED bus can be started: stop() it first, or wait(State.STOPPED)",
)
def a_second_start() -> BaseException:
    bus = Bus()
    bus.start()
    return met_in(bus.start)


@said_by(
    StartCancelled,
    RuntimeError,
    "the start was cancelled and rolled back because stop() was requested during it; the bus is STOPPED now",
)
def a_start_broken_off_by_stop() -> BaseException:
    bus = Bus()
    bus[START].subscribe(bus.stop)
    return met_in(bus.start)


@said_by(
    StartCancelled,
    RuntimeError,
    "the start was cancelled and rolled back because exit() was requested during it; the bus is EXITED now",
)
def a_start_broken_off_by_exit() -> BaseException:
    bus = Bus()
    bus[START].subscribe(bus.exit)
    return met_in(bus.start)


@said_by(
    TransitionFailures,
    ExceptionGroup,
    "the start failed and was rolled back; the bus is STOPPED now; "
    "failed: fail (start), fail (stop) (2 sub-exceptions)",
)
def a_failed_start() -> BaseException:
    bus = Bus()
    bus[START].subscribe(fail)
    bus[STOP].subscribe(fail)
    return met_in(bus.start)


@said_by(
    TransitionFailures,
    ExceptionGroup,
    "listeners failed during the stop; the bus is STOPPED now; failed: fail (stop) (1 sub-exception)",
)
def a_failed_stop() -> BaseException:
    bus = Bus()
    bus[STOP].subscribe(fail)
    bus.start()
    return met_in(bus.stop)


@said_by(
    TransitionFailures,
    ExceptionGroup,
    "listeners failed during the exit; the bus is EXITED now; failed: fail (exit) (1 sub-exception)",
)
def a_failed_exit() -> BaseException:
    bus = Bus()
    bus[EXIT].subscribe(fail)
    return met_in(bus.exit)


@said_by(WaitError, RuntimeError, "cannot wait for no state: give at least one state")
def a_wait_for_nothing() -> BaseException:
    return met_in(lambda: Bus().wait(()))


@said_by(
    WaitError,
    RuntimeError,
    "cannot wait for EXITED, STARTED: the bus is STARTING and goes on only when this listener returns; "
    "wait in a thread of your own",
)
def a_wait_for_oneself() -> BaseException:
    bus = Bus()

    @bus[START].subscribe()
    def wait() -> None:
        bus.wait({State.STARTED, State.EXITED})

    failed = met_in(bus.start)
    assert isinstance(failed, TransitionFailures)
    return failed.exceptions[0]


@said_by(
    StillRunning,
    RuntimeError,
    "1 thread(s) still run 0.01 s after the bus has exited; "
    "end each of them in the stop() or exit() of the component that began it\n"
    "thread 'pump' is at: ...",
)
def a_thread_that_does_not_end() -> BaseException:
    bus, end = Bus(), threading.Event()
    pump = threading.Thread(target=end.wait, name="pump")
    bus.own(pump)
    pump.start()
    until_waiting(pump)
    bus.request_exit()
    try:
        return met_in(lambda: bus.block(patience=0.01))
    finally:
        end.set()
        pump.join()


@said_by(
    NotAMethod,
    TypeError,
    "a_marked_function.<locals>.mark.<locals>.record (HERE) is a function outside a class, "
    "and `@on` marks methods of components: no publish on channel 'square' would call it; use `@listeners.on(...)` of a "
    "`Listeners` object, or `bus[channel].subscribe(record)`",
)
def a_marked_function() -> BaseException:
    def mark() -> None:
        @on(square)  # type: ignore[arg-type]  # the error
        def record(number: int, /) -> int:
            return number

    return met_in(mark)


@said_by(
    NotMainThread,
    RuntimeError,
    "run() handles the signals of the process, and Python allows that only in the main thread; "
    "in another thread use `with running(container):`, which handles no signals",
)
def a_run_beside_the_main_thread() -> BaseException:
    with ThreadPoolExecutor() as threads:
        error = threads.submit(run, Shop).exception()
    assert error is not None
    return error


@said_by(
    RestartError,
    RuntimeError,
    "this process cannot be restarted: bus.replacement is not set; run the container with run(), which sets it",
)
def a_restart_of_a_bus_alone() -> BaseException:
    return met_in(Bus().restart)


@said_by(
    NoAnswer,
    TypeError,
    "this recorder has no answer, but listeners of channel 'square' return int; "
    "pass a function that returns the answer: Recorder(bound).answering(function)",
)
def a_recorder_without_an_answer() -> BaseException:
    return met_in(lambda: Recorder(Bus()[square]).__enter__())  # type: ignore[misc]  # the checkers refuse it, too


@said_by(
    NoRunEvent,
    TimeoutError,
    "no new RunBroke of run 'Shop.consumer' came within 0.01 s; the recorded events: none",
)
def a_wait_for_an_event_of_a_run() -> BaseException:
    return met_in(lambda: RunRecorder(Bus()).wait(RunBroke, "Shop.consumer", patience=0.01))


@said_by(
    HookTimeout,
    TimeoutError,
    "Slow.search has not returned from start (HERE) after 1.00 s, its limit is 1 s; Slow.orders waits for it; it is at: ...",
)
def a_hook_that_overran() -> BaseException:
    """Return the time-out among the failures of a start."""
    clock, begun, over = FakeClock(), threading.Event(), threading.Event()

    def wait(owner: Database) -> None:
        begun.set()
        over.wait()

    class Slow(Container):
        bus = Component(Bus, clock=clock, limits=Limits(hook=1))
        search = Component(Database, "").on(START.calls(wait))
        orders = Component(Orders, search.provided)

    with ThreadPoolExecutor() as pool:
        starting = pool.submit(met_in, Slow().attach().start)
        begun.wait()
        clock.advance(1)
        failed = starting.result()
    over.set()
    assert isinstance(failed, TransitionFailures)
    return failed.exceptions[0]


@said_by(
    HookCancelled,
    RuntimeError,
    "Slow.search ended start (HERE) with CancelledError, and the bus had not cancelled it: other code cancelled its task, "
    "or a task or future that it awaited",
)
def a_hook_that_ended_with_a_cancelled_error() -> BaseException:
    """Return the error of a hook that awaited a cancelled task."""
    return HookCancelled("Slow.search", "start", "HERE")


@said_by(
    LoopError,
    RuntimeError,
    "bus.run_on_loop(): the bus has exited, and its event loop has ended; call it before that",
)
def a_coroutine_after_the_exit() -> BaseException:
    """Run a coroutine on a bus that has exited."""
    bus = Bus()
    bus.exit()

    async def answer() -> None:
        """Is never awaited."""

    return met_in(lambda: bus.run_on_loop(answer()))


@said_by(
    StartPending,
    TimeoutError,
    "Slow.search cannot start: its start (HERE) that was called 2.00 s ago, and was given up, has not been undone "
    "within 1 s, the limit of the hook; give it a longer limit, or have it return sooner; it is at: ...",
)
def a_start_beside_one_that_was_given_up() -> BaseException:
    """Return the failure of the second of two starts."""
    clock, begun, over = FakeClock(), threading.Semaphore(0), threading.Event()

    def wait(owner: Database) -> None:
        begun.release()
        over.wait()

    class Slow(Container):
        bus = Component(Bus, clock=clock, limits=Limits(hook=1))
        search = Component(Database, "").on(START.calls(wait))

    bus = Slow().attach()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(met_in, bus.start)
        begun.acquire()
        clock.advance(1)
        first.result()
        bus[COMPONENT_STARTING].subscribe(lambda event: begun.release())
        second = pool.submit(met_in, bus.start)
        begun.acquire()
        clock.advance(1)
        failed = second.result()
        over.set()
    assert isinstance(failed, TransitionFailures)
    return failed.exceptions[0]


@said_by(
    LimitError,
    ValueError,
    "0 is not a time limit for stop: give a number of seconds above 0, or None for no limit",
)
def a_limit_of_no_time() -> BaseException:
    """Bound a stop by nothing."""
    return met_in(lambda: Limits(stop=0))


@said_by(LimitError, ValueError, "0 is not a number of workers: give a whole number from 1 up")
def nobody_to_work() -> BaseException:
    """Make a bus without workers."""
    return met_in(lambda: Bus(workers=0))


class Off(Container):
    """One that is off, and one that needs it."""

    bus = Component(Bus)
    database = Component(Database, "").enabled(False, reason="no disk here")
    orders = Component(Orders, database.provided)


@said_by(ComponentDisabled, LookupError, "Off.database (HERE) is not enabled: no disk here")
def a_component_that_is_off() -> BaseException:
    """Call one that needs it."""
    return met_in(Off().orders)


@said_by(
    ChoiceFault,
    Exception,
    "Wrong.store (HERE): it has no branch for 'sqlite'; its branches are: 'memory'; correct the key, or add a branch",
)
def a_choice_fault() -> BaseException:
    class Wrong(Container):
        database = Component(Database, "memory:")
        store = Choice[Database]("sqlite", {"memory": database})

    return first_fault(Wrong)


@said_by(
    NoContainer,
    TypeError,
    "None is not a container; a function that makes a container has to return it",
)
def no_container() -> BaseException:
    """Run what a function forgot to return."""
    forgotten: Any = None
    return met_in(running(forgotten).__enter__)


@said_by(
    DisabledFault,
    Exception,
    "Off.orders (HERE): it needs Off.database, which is not enabled: no disk here; "
    "enable it on the same condition, or pass database.optional to a parameter that accepts None",
)
def a_disabled_fault() -> BaseException:
    """Need what is off."""
    return first_fault(Off)


@said_by(
    ContributionFault,
    Exception,
    "Shop.plugins[shop-metrics:gauges] (HERE): shop.metrics:Gauges of distribution shop-metrics cannot be loaded; mend it",
)
def a_contribution_fault() -> BaseException:
    """Make one; real distributions are contributed in `test_contributed`."""
    problem = "shop.metrics:Gauges of distribution shop-metrics cannot be loaded"
    return ContributionFault("Shop.plugins[shop-metrics:gauges]", f"{__file__}:1", problem, "mend it")


class User:
    """A value for scopes."""


async def open_user() -> User:
    return User()


def open_twice() -> Iterator[User]:
    yield User()
    yield User()


class Site(Container):
    """A container with objects for scopes."""

    user = Given(User)
    guest = Scoped(open_user)
    twice = Scoped(open_twice)


def met_in_a_scope(ask: Callable[[Scope], object]) -> BaseException:
    def open_and_ask() -> None:
        with Site().scope() as scope:
            ask(scope)

    return met_in(open_and_ask)


@said_by(
    AsyncNeeded,
    RuntimeError,
    "Site.guest is opened with await (HERE); open the scope with `async with`, and write: await scope.get(Site.guest)",
)
def an_object_that_must_be_awaited() -> BaseException:
    return met_in_a_scope(lambda scope: scope[Site.guest])


@said_by(
    NotGiven,
    LookupError,
    "the scope was opened without Site.user (HERE); pass it: container.scope(Site.user.given(value))",
)
def a_value_that_was_not_given() -> BaseException:
    return met_in_a_scope(lambda scope: scope[Site.user])


@said_by(
    NotInContainer,
    LookupError,
    "Shop.bus is not declared in Site; give an attribute of the container's class, as in scope[Shop.orders]",
)
def an_object_of_another_container() -> BaseException:
    return met_in_a_scope(lambda scope: scope[Shop.bus])


@said_by(
    OutsideScope,
    RuntimeError,
    "Site.guest (HERE) has an object in each scope and none outside; open a scope: "
    "with container.scope() as scope: scope[Site.guest]",
)
def an_object_outside_a_scope() -> BaseException:
    return met_in(Site().guest)


@said_by(
    ResourceError,
    RuntimeError,
    "Site.twice (HERE): it yields twice; yield the object once, and close it after the yield",
)
def a_generator_that_yields_twice() -> BaseException:
    return met_in_a_scope(lambda scope: scope[Site.twice])


@said_by(
    ScopeBusy,
    RuntimeError,
    "the scope is building Busy.greedy, and was asked for Busy.user meanwhile; a scope belongs to one unit of work: "
    "give each task or thread a scope of its own, for example by .opener, and declare the arguments of a constructor "
    "instead of asking for them in it",
)
def a_scope_that_is_asked_while_it_builds() -> BaseException:
    scopes: list[Scope] = []

    class Busy(Container):
        user = Scoped(User)
        greedy = Scoped(lambda: scopes[0][Busy.user])

    def open_and_ask() -> None:
        with Busy().scope() as scope:
            scopes.append(scope)
            scope[Busy.greedy]

    return met_in(open_and_ask)


@said_by(ScopeClosed, RuntimeError, "the scope of Site has ended")
def a_scope_after_its_block() -> BaseException:
    with Site().scope() as scope:
        pass
    return met_in(lambda: scope[Site.user])


@said_by(
    RestartPolicyError,
    ValueError,
    "this restart policy cannot work: fatal=<class 'OSError'> is not a tuple; write fatal=(PermissionError,)",
)
def a_policy_that_cannot_work() -> BaseException:
    return met_in(lambda: Restart(fatal=OSError))  # type: ignore[arg-type]  # the fault


@said_by(RunFailed, RuntimeError, "run Shop.importer failed with OSError('no disk')")
def a_run_that_failed() -> BaseException:
    class Importer:
        @on(RUN)
        def work(self, stopping: Stopping) -> None:
            raise OSError("no disk")

    class Shop(Container):
        bus = Component(Bus)
        importer = Component(Importer)

    def run_it() -> None:
        with running(Shop) as shop:
            shop.bus().block()

    return met_in(run_it)


@said_by(
    RunReturned,
    RuntimeError,
    "run Shop.importer returned after 0.00 s, before it was asked to end; make it wait for its `stopping` argument",
)
def a_run_that_returned() -> BaseException:
    class Importer:
        @on(RUN)
        def work(self, stopping: Stopping) -> None: ...

    class Shop(Container):
        bus = Component(Bus, clock=FakeClock())
        importer = Component(Importer).supervised(Restart("always", most=1, first=1e-9, jitter=0))

    def run_it() -> None:
        with running(Shop) as shop:
            shop.bus().clock.advance(1.0)  # type: ignore[attr-defined]  # it is a FakeClock
            shop.bus().block()

    cause = met_in(run_it).__cause__
    assert cause is not None
    return cause


WITH_ATTRIBUTES: Final = [one for one in SITUATIONS if not issubclass(one.kind, (BaseExceptionGroup, NotMainThread))]
PUBLIC: Final = sorted(
    {
        one.__name__
        for module in (typedbus, typedbus.faults, typedbus.observe, typedbus.testing)
        for one in (getattr(module, name) for name in module.__all__)
        if isinstance(one, type) and issubclass(one, BaseException)
    }
)


in_each_situation = pytest.mark.parametrize("situation", SITUATIONS, ids=lambda one: one.meet.__name__)


@in_each_situation
def test_an_exception_names_the_problem_its_place_and_the_remedy(situation: Situation) -> None:
    """Each is raised through the public interface, with this text."""
    error = situation.meet()

    assert type(error) is situation.kind
    assert without_places(error) == situation.text


@in_each_situation
def test_an_exception_is_a_subclass_of_the_fitting_built_in_exception(situation: Situation) -> None:
    """A wrong use is a TypeError, a wrong moment a RuntimeError, and several failures are a group."""
    assert isinstance(situation.meet(), situation.builtin)


def shown(error: BaseException) -> dict[str, object]:
    """Return the attributes of *error*: as text, since errors in them are equal to themselves alone, but for sets."""
    return {name: value if isinstance(value, frozenset) else repr(value) for name, value in vars(error).items()}


@in_each_situation
def test_an_exception_can_be_pickled(situation: Situation) -> None:
    """Its class, text and attributes are kept."""
    error = situation.meet()

    copied = pickle.loads(pickle.dumps(error))

    assert type(copied) is type(error)
    assert (str(copied), shown(copied)) == (str(error), shown(error))


@pytest.mark.parametrize("situation", WITH_ATTRIBUTES, ids=lambda one: one.meet.__name__)
def test_an_exception_constructed_by_keyword_can_be_pickled(situation: Situation) -> None:
    """Its attributes are the same as with positional arguments."""
    error = situation.meet()
    kind: Any = situation.kind
    parameters = inspect.signature(kind).parameters if "__init__" in vars(kind) else kind.__match_args__

    made = kind(**{name: getattr(error, name) for name in parameters})

    assert str(pickle.loads(pickle.dumps(made))) == str(error)


def test_a_thread_that_does_not_end_is_reported_with_its_stack() -> None:
    """The innermost line is the line at which it waits."""
    *_, innermost = str(a_thread_that_does_not_end()).splitlines()

    assert innermost.strip() == "waiter.acquire()"


def test_every_public_exception_is_tested_here() -> None:
    """Except the base classes `Fault` and `OperatorError`, which are never raised themselves."""
    assert sorted({situation.kind.__name__ for situation in SITUATIONS} | {"Fault", "OperatorError"}) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_exception_has_a_section_in_the_docs(name: str) -> None:
    """docs/errors.md has a heading for each."""
    if not ERRORS.exists():
        pytest.skip("docs/errors.md is not written yet")

    assert re.search(rf"^#+ .*\b{name}\b", ERRORS.read_text(encoding="utf-8"), re.MULTILINE)


def test_a_fault_has_the_parts_of_its_text() -> None:
    """Path, place, problem and remedy are attributes."""
    fault = first_fault_of_a_missing_argument()

    assert (fault.path, fault.problem, fault.remedy) == (
        "Wrong.database",
        f"{__name__}.Database(url: str, /) misses 'url'",
        "correct the declaration",
    )


def first_fault_of_a_missing_argument() -> Fault:
    """Return a fault whose declaration stands in the second line of this function's body."""

    class Wrong(Container):
        database = Component(Database)  # type: ignore[call-arg]  # the fault

    return first_fault(Wrong)


def test_a_place_is_file_and_line_of_the_declaration() -> None:
    """An editor can open it."""
    function = first_fault_of_a_missing_argument

    assert function().place == f"{__file__}:{function.__code__.co_firstlineno + 4}"


def test_a_cycle_fault_has_its_cycle() -> None:
    """Each component of it once."""
    fault = a_cycle_fault()

    assert isinstance(fault, CycleFault)
    assert fault.cycle == ("Wrong.orders", "Wrong.database")


def test_a_group_of_faults_can_be_split_by_type() -> None:
    """`split` and `except*` keep the container's name and the text."""
    invalid = an_invalid_container()
    assert isinstance(invalid, InvalidContainer)

    matching, rest = invalid.split(BusFault)

    assert isinstance(matching, InvalidContainer)
    assert isinstance(rest, InvalidContainer)
    assert (matching.container, rest.container) == ("Wrong", "Wrong")
    assert str(rest).startswith("Wrong cannot be wired: 1 fault(s), nothing was built\n- Wrong.database ")


def test_transition_failures_can_be_split_by_type() -> None:
    """`split` and `except*` keep goal and state, and the failures of the members."""
    bus = Bus()
    bus[START].subscribe(fail)
    bus[STOP].subscribe(bus.start)
    failed = met_in(bus.start)
    assert isinstance(failed, TransitionFailures)

    part = failed.subgroup(ValueError)

    assert isinstance(part, TransitionFailures)
    assert (part.goal, part.state) == (State.STARTED, State.STOPPED)
    assert [(one.name, one.channel) for one in part.failures] == [(f"{__name__}.fail", "start")]


def test_a_chain_of_causes_loses_no_link() -> None:
    """The first exception that propagates has the next one as its cause, and that one the earlier failures with their causes."""
    first, second, cause = SystemExit(2), KeyboardInterrupt(), OSError("disk")
    second.__cause__ = cause
    failed = ChannelFailures("ring", [Failure("a", "ring", ValueError(), print)], [])

    chain_failure(second, failed)
    chain_failure(first, second)

    assert [first.__cause__, second.__cause__, failed.__cause__, cause.__cause__] == [second, failed, cause, None]


def test_a_chain_of_causes_has_no_cycle() -> None:
    """One exception object may be raised several times."""
    leaving, failed = SystemExit(2), ValueError()

    for _ in range(3):
        chain_failure(leaving, failed)

    assert [leaving.__cause__, failed.__cause__] == [failed, None]

    chain_failure(SystemExit(3), leaving)
    failed.__cause__ = leaving
    chain_failure(leaving, failed)

    assert [leaving.__cause__, failed.__cause__] == [failed, None]


@pytest.mark.parametrize(
    "error",
    [
        PortError("127.0.0.1", 8080, "not free"),
        NotEnded("poller", 5.0, "  File 'x.py', line 1\n"),
        NotStopped("http://127.0.0.1:8080", 5.0),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_os_error_of_ours_has_its_text_in_its_repr_and_no_false_errno(error: OSError) -> None:
    """Code that prints the repr of a failure, as the old bus does, shows the reason; a pickled copy has it as well."""
    copied = pickle.loads(pickle.dumps(error))

    assert repr(error) == f"{type(error).__name__}({str(error)!r})"
    assert (error.errno, error.strerror, error.filename) == (None, None, None)
    assert (str(copied), vars(copied)) == (str(error), vars(error))
