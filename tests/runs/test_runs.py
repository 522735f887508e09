"""Runs in threads: when they begin and end, when they are called again, and how they exit the bus."""

import os
import sys
import threading
from collections.abc import Iterator

import pytest
from tests.doubles import LIMIT, ThreadCall, raising
from tests.runs.shops import Events, Worker

from typedbus import (
    LOG,
    RUN,
    RUNS,
    START,
    STOP,
    Bus,
    ChannelError,
    Component,
    Container,
    DeclarationError,
    HookTimeout,
    InvalidContainer,
    Limits,
    Listeners,
    Resource,
    Restart,
    RunFailed,
    RunReturned,
    RunState,
    StartCancelled,
    State,
    Stopping,
    TransitionFailures,
    on,
    run,
    running,
)
from typedbus.events import RunBegan, RunBroke, RunEnded, RunGaveUp, RunReady
from typedbus.testing import FakeClock

POLICY = Restart(most=3, first=1.0, jitter=0)


class Consumer(Worker):
    """A component with a run."""

    @on(RUN)
    def consume(self, stopping: Stopping) -> None:
        self.work(stopping)


class Waiter:
    """A component that records its hooks, and whose run waits until it is asked to end."""

    def __init__(self, notes: list[str], name: str = "", *needs: object) -> None:
        self.notes = notes
        self.name = name

    def start(self) -> None:
        self.notes.append(f"start {self.name}")

    def stop(self) -> None:
        self.notes.append(f"stop {self.name}")

    @on(RUN)
    def wait(self, stopping: Stopping) -> None:
        self.notes.append(f"run {self.name}")
        stopping.wait()
        self.notes.append(f"end {self.name}")


def test_a_run_is_ready_as_soon_as_the_start_returns() -> None:
    """A health check may come before the thread of the run has taken its first step."""

    class Shop(Container):
        bus = Component(Bus)
        consumer = Component(Waiter, [])

    shop, interval = Shop(), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        are_ready = set()
        for _ in range(100):
            with running(shop):
                are_ready.add(shop.bus().runs["Shop.consumer"].is_ready)
    finally:
        sys.setswitchinterval(interval)

    assert are_ready == {True}


def test_runs_begin_when_the_bus_has_started_and_end_before_any_component_stops() -> None:
    """They begin in the order of the start, and end in the reverse order."""
    notes: list[str] = []

    class Shop(Container):
        bus = Component(Bus)
        database = Component(Waiter, notes, "database")
        page = Component(Waiter, notes, "page", database.provided)

    shop = Shop()
    bus = shop.attach()
    events = Events(bus)
    with running(shop):
        assert list(bus.runs) == ["Shop.database", "Shop.page"]
        assert [record.state for record in bus.runs.values()] == [RunState.RUNNING] * 2
        events.until(RunBegan, 2)
    assert notes[:2] == ["start database", "start page"]
    assert sorted(notes[2:4]) == ["run database", "run page"]
    assert notes[4:] == ["end page", "end database", "stop page", "stop database"]
    assert [event.path for event in events.all[2:]] == ["Shop.page", "Shop.database"]


def test_a_run_has_a_thread_of_its_own_with_its_path() -> None:
    """The thread is not a daemon, so that the end of the process waits for it."""
    threads: list[threading.Thread] = []
    begun = threading.Event()

    class Importer:
        @on(RUN)
        def read(self, stopping: Stopping) -> None:
            threads.append(threading.current_thread())
            begun.set()
            stopping.wait()

    class Shop(Container):
        bus = Component(Bus)
        importer = Component(Importer)

    with running(Shop):
        assert begun.wait(LIMIT)
    (thread,) = threads
    assert (thread.name, thread.daemon, thread.is_alive()) == ("Shop.importer", False, False)


def test_a_run_that_breaks_is_called_again_until_its_limit() -> None:
    """The pauses are 1, 2 and 4 s; the fourth failure exits the bus, with the last error as the cause."""
    clock = FakeClock()

    class Shop(Container):
        bus = Component(Bus, clock=clock)
        consumer = Component(Consumer).supervised(POLICY)

    errors = [OSError(f"broker gone {number}") for number in range(4)]
    shop = Shop()
    bus, consumer = shop.attach(), shop.consumer()
    events = Events(bus)
    with pytest.raises(RunFailed) as failed, running(shop):
        for number, error in enumerate(errors):
            consumer.until_called()
            consumer.fail(error)
            if number < 3:
                events.until(RunBroke, number + 1)
                assert bus.runs["Shop.consumer"].next_at == clock.now() + 2**number
                clock.advance(2**number)
        events.until(RunGaveUp)
        record = bus.runs["Shop.consumer"]
        assert (record.state, record.attempt, record.restarts) == (RunState.FAILED, 4, 3)
        assert record.last_error == "OSError('broker gone 3')"
        assert bus.is_exit_requested

    assert (failed.value.path, failed.value.attempts) == ("Shop.consumer", 4)
    assert failed.value.errors == tuple(errors)
    assert failed.value.__cause__ is errors[-1]
    assert consumer.calls == 4
    path = "Shop.consumer"
    assert events.all == [
        RunBegan(path, 1),
        RunBroke(path, 0.0, errors[0], 1, 1.0),
        RunBegan(path, 2),
        RunBroke(path, 0.0, errors[1], 2, 2.0),
        RunBegan(path, 3),
        RunBroke(path, 0.0, errors[2], 3, 4.0),
        RunBegan(path, 4),
        RunGaveUp(path, 4, errors[3]),
    ]
    broke = [line for line in events.lines if " broke " in line]
    assert broke[0].splitlines()[0] == (
        "run Shop.consumer broke after 0.0 s: OSError('broker gone 0'); again in 1.0 s (1 of 3 in 60 s)"
    )
    assert broke[0].splitlines()[1] == "Traceback (most recent call last):"
    assert broke[1:] == [
        "run Shop.consumer broke after 0.0 s: OSError('broker gone 1'); again in 2.0 s (2 of 3 in 60 s)",
        "run Shop.consumer broke after 0.0 s: OSError('broker gone 2'); again in 4.0 s (3 of 3 in 60 s)",
    ]


def test_a_stop_ends_a_pause_at_once() -> None:
    """The run ends although the clock does not advance."""
    clock = FakeClock()

    class Shop(Container):
        bus = Component(Bus, clock=clock)
        consumer = Component(Consumer).supervised(POLICY)

    with running(Shop) as shop:
        events = Events(shop.bus())
        shop.consumer().fail(OSError())
        events.until(RunBroke)
        assert shop.bus().runs["Shop.consumer"].state is RunState.WAITING
        ThreadCall(shop.bus().stop).finished()
        assert shop.bus().runs["Shop.consumer"].state is RunState.ENDED
    assert shop.bus().state is State.EXITED


def test_without_a_policy_a_failure_exits_the_process_with_status_70(capfd: pytest.CaptureFixture[str]) -> None:
    """Stderr has the failure and its cause."""

    class Shop(Container):
        bus = Component(Bus)
        consumer = Component(Consumer)

    shop = Shop()
    shop.consumer().fail(OSError("broker gone"))

    assert run(shop) == 70
    shown = capfd.readouterr().err
    assert "OSError: broker gone" in shown
    assert "RunFailed: run Shop.consumer failed with OSError('broker gone')" in shown


def test_system_exit_exits_the_process_with_its_status() -> None:
    """The run is not called again, even under ``Restart("always")``."""

    class Shop(Container):
        bus = Component(Bus)
        consumer = Component(Consumer).supervised(Restart("always"))

    shop = Shop()
    shop.consumer().fail(SystemExit(3))

    assert run(shop) == 3


def test_a_run_that_fails_under_unready_leaves_the_bus_started() -> None:
    """The run stays FAILED, and the log has the traceback."""

    class Shop(Container):
        bus = Component(Bus)
        consumer = Component(Consumer).supervised(Restart("never", then="unready"))

    with running(Shop) as shop:
        events = Events(shop.bus())
        shop.consumer().fail(OSError("broker gone"))
        events.until(RunGaveUp)
        record = shop.bus().runs["Shop.consumer"]
        assert (record.state, record.is_ready) == (RunState.FAILED, False)
        assert not shop.bus().is_exit_requested
    (line,) = [line for line in events.lines if "not called again" in line]
    assert line.startswith("run Shop.consumer failed, and is not called again: OSError('broker gone')\nTraceback")


def test_a_run_that_returns_has_ended() -> None:
    """It counts as ready, and the bus continues."""

    class Shop(Container):
        bus = Component(Bus)
        consumer = Component(Consumer).supervised(Restart("failure"))

    with running(Shop) as shop:
        events = Events(shop.bus())
        shop.consumer().end()
        events.until(RunEnded)
        record = shop.bus().runs["Shop.consumer"]
        assert (record.state, record.is_ready) == (RunState.ENDED, True)
    assert shop.consumer().calls == 1


def test_a_return_before_the_stop_is_a_failure_under_always() -> None:
    """The failure is a `RunReturned`, and the run is called again."""
    clock = FakeClock()

    class Shop(Container):
        bus = Component(Bus, clock=clock)
        consumer = Component(Consumer).supervised(Restart("always", jitter=0))

    with running(Shop) as shop:
        events = Events(shop.bus())
        consumer = shop.consumer()
        consumer.until_called()
        consumer.end()
        broke = events.until(RunBroke)
        assert isinstance(broke, RunBroke)
        assert isinstance(broke.error, RunReturned)
        clock.advance(0.5)
        consumer.until_called()
        consumer.end()


def test_the_failure_of_one_run_of_a_component_does_not_affect_the_others() -> None:
    """The path of each run ends with the name of its method."""
    clock = FakeClock()

    class Trio:
        def __init__(self) -> None:
            self.workers = Worker(), Worker(), Worker()

        @on(RUN)
        def read(self, stopping: Stopping) -> None:
            self.workers[0].work(stopping)

        @on(RUN, restart=Restart(jitter=0))
        def sort(self, stopping: Stopping) -> None:
            self.workers[1].work(stopping)

        @on(RUN)
        def write(self, stopping: Stopping) -> None:
            self.workers[2].work(stopping)

    class Shop(Container):
        bus = Component(Bus, clock=clock)
        trio = Component(Trio)

    shop = Shop()
    bus, workers = shop.attach(), shop.trio().workers
    events = Events(bus)
    with running(shop):
        assert list(bus.runs) == ["Shop.trio.read", "Shop.trio.sort", "Shop.trio.write"]
        workers[1].fail(OSError())
        events.until(RunBroke)
        clock.advance(0.5)
        events.until(RunBegan, 4)
        assert [record.attempt for record in bus.runs.values()] == [1, 2, 1]
        for worker in workers:
            worker.end()


def test_the_policy_of_the_component_wins_over_that_of_the_mark() -> None:
    """The record has the policy of the component."""

    class Marked(Worker):
        @on(RUN, restart=Restart("always"))
        def consume(self, stopping: Stopping) -> None:
            stopping.wait()

    class Shop(Container):
        bus = Component(Bus)
        marked = Component(Marked)
        supervised = Component(Marked).supervised(POLICY)

    with running(Shop) as shop:
        assert [record.policy for record in shop.bus().runs.values()] == [Restart("always"), POLICY]


def test_a_run_that_does_not_end_is_left_behind_and_never_runs_twice() -> None:
    """The stop reports its stack; after the next start it is called when the old call has returned."""
    clock = FakeClock()

    class Shop(Container):
        bus = Component(Bus, clock=clock)
        consumer = Component(Consumer).within(2.0)

    shop = Shop()
    bus, consumer = shop.bus(), shop.consumer()
    bus.start()
    events = Events(bus)
    consumer.until_called()
    stop = ThreadCall(bus.stop)
    clock.advance(2.0)
    stop.finished()
    assert isinstance(stop.error, TransitionFailures)
    (error,) = stop.error.exceptions
    assert isinstance(error, HookTimeout)
    assert (error.path, error.hook, error.outcome, error.limit) == ("Shop.consumer", "run", "left behind", 2.0)
    assert "step = self._steps.get(timeout=LIMIT)" in error.stack
    assert [record.state for record in bus.runs.values()] == [RunState.STOPPING]

    bus.start()
    assert [record.state for record in bus.runs.values()] == [RunState.WAITING]
    assert consumer.calls == 1
    consumer.end()
    consumer.until_called()
    assert consumer.calls == 2
    assert isinstance(events.until(RunBegan), RunBegan)
    consumer.end()
    events.until(RunEnded)
    bus.exit()


def test_a_start_awaits_a_run_until_it_is_ready() -> None:
    """Its dependents start after `Stopping.ready`."""
    notes: list[str] = []

    class Server:
        @on(RUN, awaited=True)
        def serve(self, stopping: Stopping) -> None:
            notes.append("bind")
            stopping.ready()
            stopping.wait()

    class Shop(Container):
        bus = Component(Bus)
        server = Component(Server)
        page = Component(Waiter, notes, "page", server.provided)

    shop = Shop()
    events = Events(shop.bus())
    with running(shop):
        assert notes[:2] == ["bind", "start page"]
        record = shop.bus().runs["Shop.server"]
        assert record.is_ready
    assert events.all[:2] == [RunBegan("Shop.server", 1), RunReady("Shop.server")]


def test_an_error_before_it_is_ready_fails_the_start() -> None:
    """The start raises that error, does not call the run again, and stops the started components."""
    notes: list[str] = []

    class Server:
        def __init__(self, pool: object) -> None: ...

        @on(RUN, awaited=True, restart=Restart("always"))
        def serve(self, stopping: Stopping) -> None:
            notes.append("serve")
            raise OSError("port taken")

    class Shop(Container):
        bus = Component(Bus)
        pool = Component(Waiter, notes, "pool")
        server = Component(Server, pool.provided)

    with pytest.raises(TransitionFailures) as failed, running(Shop):
        pass

    (error,) = failed.value.exceptions
    assert repr(error) == "OSError('port taken')"
    assert notes == ["start pool", "serve", "stop pool"]


def test_a_run_that_returns_before_it_is_ready_fails_the_start() -> None:
    """The failure is a `RunReturned`, although the run has no policy "always"."""

    class Server:
        @on(RUN, awaited=True)
        def serve(self, stopping: Stopping) -> None: ...

    class Shop(Container):
        bus = Component(Bus)
        server = Component(Server)

    with pytest.raises(TransitionFailures) as failed, running(Shop):
        pass

    assert failed.group_contains(RunReturned)


def test_a_run_that_is_never_ready_overruns_the_limit_of_the_start() -> None:
    """The rollback asks the run to end."""
    ended = threading.Event()

    class Server:
        @on(RUN, awaited=True, limit=0.5)
        def serve(self, stopping: Stopping) -> None:
            stopping.wait()
            ended.set()

    class Shop(Container):
        bus = Component(Bus)
        server = Component(Server)

    with pytest.raises(TransitionFailures) as failed, running(Shop):
        pass

    assert failed.group_contains(HookTimeout)
    assert ended.is_set()


def test_a_run_that_breaks_while_the_bus_still_starts_cancels_the_start() -> None:
    """Its error is the cause, even under a policy that restarts the run, or lets the bus continue without it."""
    calls: list[str] = []
    failed = threading.Event()

    class Server:
        @on(RUN, awaited=True, restart=Restart("always", then="unready"))
        def serve(self, stopping: Stopping) -> None:
            calls.append("serve")
            stopping.ready()
            raise OSError("port lost")

    class Page:
        def __init__(self, server: Server, bus: Bus) -> None:
            self.bus = bus

        def start(self) -> None:
            assert failed.wait(LIMIT)

    class Shop(Container):
        bus = Component(Bus)
        server = Component(Server)
        page = Component(Page, server.provided, bus.provided)

    shop = Shop()
    shop.bus()[RUNS].subscribe(lambda event: failed.set() if isinstance(event, RunGaveUp) else None)
    with pytest.raises(StartCancelled) as cancelled, running(shop):
        pass

    assert isinstance(cancelled.value.__cause__, RunFailed)
    assert repr(cancelled.value.__cause__.__cause__) == "OSError('port lost')"
    assert calls == ["serve"]


def test_a_start_that_waits_for_a_run_can_be_cancelled() -> None:
    """Here the run itself requests the exit."""

    class Server:
        def __init__(self, bus: Bus) -> None:
            self.bus = bus

        @on(RUN, awaited=True)
        def serve(self, stopping: Stopping) -> None:
            self.bus.request_exit()
            stopping.wait()

    class Shop(Container):
        bus = Component(Bus)
        server = Component(Server, bus.provided)

    assert run(Shop) == 0


def test_functions_may_be_runs() -> None:
    """The path of a function of a `Listeners`, or of a listener outside a container, has the name of the function."""
    listeners = Listeners()

    @listeners.on(RUN)
    def tick(stopping: Stopping) -> None:
        stopping.wait()

    @listeners.on(RUN)
    def tock(stopping: Stopping) -> None:
        stopping.wait()

    class Shop(Container):
        bus = Component(Bus)
        clocks = Component(listeners)

    shop = Shop()
    shop.bus()[RUN].subscribe(wait_until_stopped)
    with running(shop):
        assert list(shop.bus().runs) == [
            f"{__name__}.wait_until_stopped",
            "Shop.clocks.tick",
            "Shop.clocks.tock",
        ]


def wait_until_stopped(stopping: Stopping) -> None:
    """Run until the stop."""
    stopping.wait()


def test_a_method_named_run_is_not_a_run() -> None:
    """Only the mark makes a method a run: threads, servers and many other classes have a method of that name."""

    class Server:
        def run(self, stopping: Stopping) -> None:
            raise AssertionError

    class Shop(Container):
        bus = Component(Bus)
        server = Component(Server)

    with running(Shop) as shop:
        assert shop.bus().runs == {}


def test_a_start_after_a_stop_or_an_exit_calls_the_runs_again() -> None:
    """After an exit it calls the runs of new instances; each start counts the attempts from 1."""

    class Shop(Container):
        bus = Component(Bus)
        consumer = Component(Waiter, [], "consumer")

    shop = Shop()
    bus = shop.attach()
    events = Events(bus)
    bus.start()
    events.until(RunBegan)
    first = shop.consumer()
    bus.stop()
    bus.start()
    events.until(RunBegan, 2)
    bus.exit()
    bus.start()
    events.until(RunBegan, 3)
    assert shop.consumer() is not first
    record = bus.runs["Shop.consumer"]
    assert (record.state, record.attempt) == (RunState.RUNNING, 1)
    bus.exit()
    assert first.notes.count("run consumer") == first.notes.count("end consumer") == 3


def test_runs_end_in_reverse_start_order_with_several_workers() -> None:
    """All runs end before the first component stops."""
    notes: list[str] = []

    class Shop(Container):
        bus = Component(Bus, workers=4)
        one = Component(Waiter, notes, "one")
        two = Component(Waiter, notes, "two", one.provided)

    shop = Shop()
    events = Events(shop.attach())
    with running(shop):
        events.until(RunBegan, 2)

    assert notes.index("end two") < notes.index("end one") < notes.index("stop two")


def test_a_start_awaits_the_run_of_a_component_that_needs_a_resource() -> None:
    """The run begins when the resource is open, and is ready when the start returns."""
    notes: list[str] = []

    def connection() -> Iterator[str]:
        notes.append("open")
        yield "connection"
        notes.append("close")

    class Server:
        def __init__(self, connection: str) -> None: ...

        @on(RUN, awaited=True)
        def serve(self, stopping: Stopping) -> None:
            notes.append("serve")
            stopping.ready()
            stopping.wait()
            notes.append("end")

    class Shop(Container):
        bus = Component(Bus)
        pool = Resource(connection)
        server = Component(Server, pool.provided)

    shop = Shop()
    for _ in range(2):
        with running(shop):
            assert shop.bus().runs["Shop.server"].is_ready
    assert notes == ["open", "serve", "end", "close"] * 2


def test_a_start_awaits_a_run_that_only_the_built_object_has() -> None:
    """The function of the component returns a subclass of its annotation, and only the subclass has a run."""
    notes: list[str] = []

    def connection() -> Iterator[str]:
        yield "connection"

    class Base:
        """A class without a run."""

    class Server(Base):
        @on(RUN, awaited=True)
        def serve(self, stopping: Stopping) -> None:
            notes.append("ready")
            stopping.ready()
            stopping.wait()

    def built(connection: str) -> Base:
        return Server()

    class Shop(Container):
        bus = Component(Bus)
        pool = Resource(connection)
        server = Component(built, pool.provided)
        page = Component(Waiter, notes, "page", server.provided)

    with running(Shop) as shop:
        assert notes[:2] == ["ready", "start page"]
        assert shop.bus().runs["Shop.server"].is_ready


def test_an_error_after_a_run_was_asked_to_end_fails_the_stop() -> None:
    """The `TransitionFailures` of the stop has the error, even under ``Restart("always")``."""

    class Rude:
        @on(RUN, awaited=True, restart=Restart("always"))
        def leave(self, stopping: Stopping) -> None:
            stopping.ready()
            stopping.wait()
            raise OSError("connection reset")

    class Shop(Container):
        bus = Component(Bus)
        rude = Component(Rude)

    with pytest.raises(TransitionFailures) as failed, running(Shop):
        pass

    assert failed.group_contains(OSError, match="connection reset")


@pytest.mark.parametrize("awaited", [False, True])
def test_a_run_that_has_requested_the_exit_may_return(awaited: bool) -> None:
    """Neither a policy "always" nor a start that awaits the run makes the return a failure."""

    class Importer:
        def __init__(self, bus: Bus) -> None:
            self.bus = bus

        @on(RUN, awaited=awaited)
        def work(self, stopping: Stopping) -> None:
            self.bus.request_exit()

    class Shop(Container):
        bus = Component(Bus)
        importer = Component(Importer, bus.provided).supervised(Restart("always", then="unready"))

    shop = Shop()
    events = Events(shop.bus())
    assert run(shop) == 0
    assert [type(event) for event in events.all] == [RunBegan, RunEnded]


def test_a_run_may_stop_its_own_bus() -> None:
    """The stop does not wait for the run that has called it."""
    stopped = threading.Event()

    class Last:
        def __init__(self, bus: Bus) -> None:
            self.bus = bus

        @on(RUN)
        def leave(self, stopping: Stopping) -> None:
            self.bus.wait(State.STARTED)
            self.bus.stop()
            stopping.wait()
            stopped.set()

    class Shop(Container):
        bus = Component(Bus)
        last = Component(Last, bus.provided)

    with running(Shop):
        assert stopped.wait(LIMIT)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked on POSIX systems")
def test_a_forked_child_has_no_runs() -> None:
    """The child finds a run that was RUNNING, and one that was WAITING, in the state IDLE."""
    clock = FakeClock()

    class Shop(Container):
        bus = Component(Bus, clock=clock)
        running = Component(Waiter, [], "running")
        waiting = Component(Consumer).supervised(POLICY)

    with running(Shop) as shop:
        events = Events(shop.bus())
        shop.waiting().fail(OSError())
        events.until(RunBroke)
        child = os.fork()
        if child == 0:
            states = {record.state for record in shop.bus().runs.values()}
            os._exit(0 if states == {RunState.IDLE} and shop.bus().state is State.EXITED else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert shop.bus().runs["Shop.running"].state is RunState.RUNNING


def test_a_run_is_silent_when_its_last_beat_is_older_than_its_policy_allows() -> None:
    """The record has the time of the beat and the stack of the run."""
    clock = FakeClock()

    class Shop(Container):
        bus = Component(Bus, clock=clock)
        consumer = Component(Consumer).supervised(Restart(silent=30.0))

    with running(Shop) as shop:
        consumer = shop.consumer()
        consumer.until_called()
        clock.advance(20.0, sleepers=0)
        consumer.stopping.beat()
        clock.advance(30.0, sleepers=0)
        record = shop.bus().runs["Shop.consumer"]
        assert (record.beat_at, record.silent_for, record.is_silent) == (20.0, 30.0, False)
        clock.advance(0.5, sleepers=0)
        record = shop.bus().runs["Shop.consumer"]
        assert record.is_silent
        assert "step = self._steps.get(timeout=LIMIT)" in record.stack()
        consumer.end()
    assert shop.bus().runs["Shop.consumer"].stack() == ""


def test_a_failing_listener_of_runs_is_reported_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    """The bus starts and exits nevertheless."""
    bus = Bus()
    begun = threading.Event()

    @bus[RUN].subscribe
    def consume(stopping: Stopping) -> None:
        begun.set()
        stopping.wait()

    bus[RUNS].subscribe(lambda event: raising(OSError("listener"))())

    bus.start()
    assert begun.wait(LIMIT)
    bus.exit()

    assert "failed: OSError('listener')" in capfd.readouterr().err


class TestDeclarations:
    """Wrong declarations."""

    def test_only_a_run_has_a_policy(self) -> None:
        with pytest.raises(ChannelError, match="is not RUN, and only a run has restart= and awaited="):
            on(START, awaited=True)  # type: ignore[arg-type]  # the fault
        with pytest.raises(ChannelError, match="is not RUN, and only a run has restart= and awaited="):
            on(STOP, restart=POLICY)  # type: ignore[arg-type]  # the fault

    def test_a_run_is_not_inline(self) -> None:
        with pytest.raises(ChannelError, match="threads and tasks of their own: remove inline=True"):
            on(RUN, inline=True)

    def test_a_policy_is_a_restart(self) -> None:
        with pytest.raises(ChannelError, match="takes a Restart as restart=, and was given 'always'"):
            on(RUN, restart="always")  # type: ignore[call-overload]  # the fault
        with pytest.raises(DeclarationError, match="supervised takes a Restart, and was given 'always'"):
            Component(Consumer).supervised("always")  # type: ignore[arg-type]  # the fault

    def test_a_supervised_component_without_a_run_is_a_fault(self) -> None:
        class Shop(Container):
            bus = Component(Bus)
            worker = Component(Worker).supervised(POLICY)

        with pytest.raises(InvalidContainer) as invalid:
            Shop().validate()
        assert "it is supervised, and no method of tests.runs.shops.Worker is a run" in str(invalid.value.exceptions[0])

    def test_a_run_that_takes_no_argument_is_a_fault(self) -> None:
        class Wrong:
            @on(RUN)  # type: ignore[arg-type]  # the fault
            def work(self) -> None: ...

        class Shop(Container):
            bus = Component(Bus)
            wrong = Component(Wrong)

        with pytest.raises(InvalidContainer) as invalid:
            Shop().validate()
        assert "does not fit channel 'run'" in str(invalid.value.exceptions[0])


def test_the_limit_of_the_whole_stop_ends_the_wait_for_runs() -> None:
    """The stop waits for two runs that do not end no longer than its limit in total."""
    clock = FakeClock()

    class Shop(Container):
        bus = Component(Bus, clock=clock, limits=Limits(stop=3.0))
        one = Component(Consumer)
        two = Component(Consumer)

    shop = Shop()
    shop.bus().start()
    shop.bus()[LOG].subscribe(lambda _message, _level: None)
    stop = ThreadCall(shop.bus().stop)
    clock.advance(3.0)
    stop.finished()
    assert isinstance(stop.error, TransitionFailures)
    assert len(stop.error.exceptions) == 2
    for component in (shop.one, shop.two):
        component().end()
    shop.bus().exit()
