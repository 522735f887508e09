"""`async with running(...)`: containers for the length of a block, on the event loop of the caller."""

from __future__ import annotations

import asyncio
import threading

import pytest
from tests.doubles import LIMIT, HookRecorder

from typedbus import (
    Bus,
    Component,
    Container,
    InvalidContainer,
    LoopError,
    NoContainer,
    StartCancelled,
    State,
    TransitionError,
    TransitionFailures,
    running,
)


class Notes:
    """
    What has happened, and what is to happen.

    Attributes:
        notes: The calls of hooks.
        failing: The calls that raise an `OSError`.
        hanging: The calls that wait until they are cancelled.
        began: Set by a call that hangs.
        loops: The event loops of the calls.
    """

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.failing: set[str] = set()
        self.hanging: set[str] = set()
        self.began = threading.Event()
        self.loops: set[asyncio.AbstractEventLoop] = set()


class Part:
    """A component with async hooks."""

    def __init__(self, notes: Notes, name: str, *needs: object) -> None:
        self.notes, self.name = notes, name

    async def record(self, hook: str) -> None:
        note = f"{hook} {self.name}"
        self.notes.loops.add(asyncio.get_running_loop())
        await asyncio.sleep(0)
        if note in self.notes.hanging:
            self.notes.began.set()
            await asyncio.Event().wait()
        self.notes.notes.append(note)
        if note in self.notes.failing:
            raise OSError(f"no {note}")

    async def start(self) -> None:
        await self.record("start")

    async def stop(self) -> None:
        await self.record("stop")

    async def exit(self) -> None:
        await self.record("exit")


class Shop(Container):
    """A chain of an async, a sync and an async component."""

    bus = Component(Bus)
    notes = Component(Notes)
    a = Component(Part, notes.provided, "a")
    b = Component(HookRecorder, notes.provided.notes, "b", a.provided)
    c = Component(Part, notes.provided, "c", b.provided)


class Plain(Container):
    """A container without async hooks."""

    bus = Component(Bus)
    notes = Component(list[str])
    part = Component(HookRecorder, notes.provided)


STARTED = ["start a", "start b", "start c"]
ENDED = ["stop c", "stop b", "stop a", "exit c", "exit b", "exit a"]


async def cancel_when(began: threading.Event, task: asyncio.Task[None]) -> None:
    """Cancel *task* as soon as *began* is set."""
    await asyncio.to_thread(began.wait, LIMIT)
    task.cancel("enough")


def test_the_container_runs_inside_the_block() -> None:
    """The block gets the instance, started; async hooks run on the loop of the caller, which stays free."""
    shop = Shop()

    async def main() -> None:
        async with running(shop) as instance:
            assert instance is shop
            assert shop.bus().state is State.STARTED
        assert shop.notes().loops == {asyncio.get_running_loop()}

    asyncio.run(main())

    assert shop.bus().state is State.EXITED
    assert shop.notes().notes == [*STARTED, *ENDED]


def test_a_class_is_instantiated_for_each_block() -> None:
    """One object of `running` may be used for several blocks, in both forms."""
    runs = running(Shop)
    shops: list[Shop] = []

    async def main() -> None:
        async with runs as shop:
            shops.append(shop)

    asyncio.run(main())
    with runs as shop:
        shops.append(shop)
    asyncio.run(main())

    assert len(set(map(id, shops))) == 3
    for shop in shops:
        assert shop.notes().notes == [*STARTED, *ENDED]


def test_a_container_can_run_on_one_loop_after_the_other() -> None:
    """The components of each run are new, and belong to the loop of the run."""
    shop = Shop()
    loops: list[set[asyncio.AbstractEventLoop]] = []

    async def main() -> None:
        async with running(shop):
            notes = shop.notes()
        assert notes.notes == [*STARTED, *ENDED]
        loops.append(notes.loops)

    asyncio.run(main())
    with running(shop):
        loops.append(shop.notes().loops)
    asyncio.run(main())

    assert len(set.union(*loops)) == 3


def test_a_start_on_another_loop_is_refused_until_the_exit() -> None:
    """The error names both loops, and the bus is left unchanged."""
    shop = Shop()
    bus = shop.attach()

    async def start_and_stop() -> None:
        await bus.start_async()
        await bus.stop_async()

    async def run() -> None:
        async with running(shop):
            raise AssertionError

    first = asyncio.new_event_loop()
    try:
        first.run_until_complete(start_and_stop())
        with pytest.raises(LoopError, match=r"built for <.*>, and this is <.*>; exit the bus .*loop_scope"):
            asyncio.run(run())
        assert bus.state is State.STOPPED
        first.run_until_complete(bus.exit_async())
    finally:
        first.close()

    assert shop.notes().notes == [*STARTED, *ENDED]


@pytest.mark.parametrize("error", [ValueError("body"), asyncio.CancelledError("body")], ids=lambda one: repr(one))
def test_the_exception_of_the_block_is_raised_unchanged(error: BaseException) -> None:
    """The container exits in order before."""
    shop = Shop()

    async def main() -> None:
        with pytest.raises(type(error)) as raised:
            async with running(shop):
                raise error
        assert raised.value is error

    asyncio.run(main())

    assert error.__cause__ is None
    assert shop.notes().notes == [*STARTED, *ENDED]


def test_a_failing_start_and_a_failing_exit_are_both_raised() -> None:
    """In a group, the start first; the started components are stopped, and all are exited."""
    shop = Shop()
    shop.notes().failing.update({"start c", "exit a"})

    async def main() -> None:
        async with running(shop):
            raise AssertionError

    with pytest.raises(BaseExceptionGroup) as failed:
        asyncio.run(main())

    goals = [error.goal for error in failed.value.exceptions if isinstance(error, TransitionFailures)]
    assert goals == [State.STARTED, State.EXITED]
    assert shop.notes().notes == [*STARTED, *ENDED[1:]]


def test_the_exception_of_the_block_the_cause_and_a_failing_exit_are_raised_together() -> None:
    """In this order, in a group."""
    shop, cause, error = Shop(), OSError("broker gone"), ValueError("block")
    shop.notes().failing.add("exit a")

    async def main() -> None:
        async with running(shop):
            shop.bus().request_exit(cause)
            raise error

    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(main())

    assert raised.value.exceptions[:2] == (error, cause)
    assert isinstance(raised.value.exceptions[2], TransitionFailures)


def test_a_cause_is_raised_at_the_end_of_the_block() -> None:
    """Unchanged, though the block itself did not raise."""
    shop, cause = Shop(), OSError("broker gone")

    async def main() -> None:
        async with running(shop):
            shop.bus().request_exit(cause)

    with pytest.raises(OSError) as raised:
        asyncio.run(main())

    assert raised.value is cause


def test_an_exit_that_another_caller_requests_during_the_start_cancels_it() -> None:
    """The block does not run, and the hook that hangs is cancelled."""
    shop, cause = Shop(), OSError("broker gone")
    shop.notes().hanging.add("start c")

    async def main() -> None:
        async def request_exit() -> None:
            await asyncio.to_thread(shop.notes().began.wait, LIMIT)
            shop.bus().request_exit(cause)

        requesting = asyncio.create_task(request_exit())
        with pytest.raises(StartCancelled) as raised:
            async with running(shop):
                raise AssertionError
        assert raised.value.__cause__ is cause
        await requesting

    asyncio.run(main())

    assert shop.notes().notes == [*STARTED[:2], *ENDED[1:]]


def test_a_second_run_of_a_running_container_is_refused() -> None:
    """The first run is not affected, even if both use one object of `running`."""
    shop = Shop()
    runs = running(shop)

    async def main() -> None:
        async with runs:
            for again in (runs, running(shop)):
                with pytest.raises(TransitionError) as refused:
                    async with again:
                        raise AssertionError
                assert refused.value.state is State.STARTED
            assert shop.bus().state is State.STARTED

    asyncio.run(main())

    assert shop.notes().notes == [*STARTED, *ENDED]


def test_of_two_concurrent_runs_one_is_refused() -> None:
    """The run that began the start exits the bus; the refused one does not."""
    shop = Shop()
    in_block, go = asyncio.Event(), asyncio.Event()

    async def run() -> None:
        async with running(shop):
            in_block.set()
            await go.wait()

    async def main() -> None:
        runs = [asyncio.create_task(run()) for _ in range(2)]
        await in_block.wait()
        _, waiting = await asyncio.wait(runs, return_when=asyncio.FIRST_COMPLETED)
        assert shop.bus().state is State.STARTED
        go.set()
        await asyncio.wait(waiting)
        assert [type(error) for task in runs if (error := task.exception())] == [TransitionError]

    asyncio.run(main())

    assert shop.notes().notes == [*STARTED, *ENDED]


def test_the_other_containers_leave_the_bus_at_the_end() -> None:
    """They can be passed again, also to the sync form."""

    class Audit(Container):
        notes = Component(Notes)
        part = Component(Part, notes.provided, "audit")

    shop, audit = Shop(), Audit()

    async def main() -> None:
        async with running(shop, audit, workers=2):
            assert shop.bus().workers == 2
            assert audit.notes().notes == ["start audit"]

    asyncio.run(main())
    with running(Shop, audit):
        assert audit.notes().notes == ["start audit"]

    assert shop.notes().notes[-6:] == ENDED


def test_blocks_of_different_containers_are_nested() -> None:
    """Each container has its own bus, and both have the loop of the caller."""
    outer, inner = Shop(), Shop()

    async def main() -> None:
        async with running(outer), running(inner), running(Plain):
            assert outer.notes().loops == inner.notes().loops == {asyncio.get_running_loop()}

    asyncio.run(main())

    assert outer.notes().notes == inner.notes().notes == [*STARTED, *ENDED]


@pytest.mark.parametrize(
    ("hook", "notes"),
    [("start a", ENDED[3:]), ("start c", [*STARTED[:2], *ENDED[1:]])],
    ids=["first", "last"],
)
def test_a_start_that_is_cancelled_is_rolled_back_and_exited(hook: str, notes: list[str]) -> None:
    """The block does not run, and the same CancelledError is raised."""
    shop = Shop()
    shop.notes().hanging.add(hook)

    async def run() -> None:
        async with running(shop):
            raise AssertionError

    async def main() -> None:
        task = asyncio.create_task(run())
        await cancel_when(shop.notes().began, task)
        with pytest.raises(asyncio.CancelledError, match="enough") as raised:
            await task
        assert raised.value.__cause__ is None

    asyncio.run(main())

    assert shop.notes().notes == notes
    assert shop.bus().state is State.EXITED


def test_a_cancellation_in_the_rollback_gives_up_the_hook_that_runs() -> None:
    """The rest of the rollback and the exit follow; the failures are the cause of the CancelledError."""
    shop = Shop()
    notes = shop.notes()
    notes.failing.add("start c")
    notes.hanging.add("stop a")

    async def run() -> None:
        async with running(shop):
            raise AssertionError

    async def main() -> None:
        task = asyncio.create_task(run())
        await cancel_when(notes.began, task)
        await asyncio.sleep(0)
        task.cancel("more")
        with pytest.raises(asyncio.CancelledError, match="enough") as raised:
            await task
        assert isinstance(raised.value.__cause__, TransitionFailures)

    asyncio.run(main())

    assert notes.notes == [*STARTED, "stop b", *ENDED[3:]]
    assert shop.bus().state is State.EXITED


def test_a_block_that_is_cancelled_exits_to_the_end() -> None:
    """The same CancelledError is raised; failures of the exit are its cause, so that a timeout recognises it."""
    shop = Shop()
    shop.notes().failing.update({"stop c", "exit a"})

    async def main() -> None:
        with pytest.raises(TimeoutError) as raised:
            async with asyncio.timeout(None) as timeout, running(shop):
                timeout.reschedule(0)
                await asyncio.Event().wait()
        cancelled = raised.value.__cause__
        assert isinstance(cancelled, asyncio.CancelledError)
        assert isinstance(cancelled.__cause__, TransitionFailures)
        current = asyncio.current_task()
        assert current is not None
        assert current.cancelling() == 0

    asyncio.run(main())

    assert shop.notes().notes == [*STARTED, *ENDED]


def test_a_second_cancellation_gives_up_the_hook_of_the_exit_that_runs() -> None:
    """The first one has ended the block; the remaining hooks are called."""
    shop = Shop()
    notes = shop.notes()
    notes.hanging.add("stop c")
    in_block = threading.Event()

    async def run() -> None:
        async with running(shop):
            in_block.set()
            await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(run())
        await cancel_when(in_block, task)
        await cancel_when(notes.began, task)
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await task

    asyncio.run(main())

    assert notes.notes == [*STARTED, *ENDED[1:]]


def test_a_block_in_a_task_group_is_cancelled_by_a_failing_task() -> None:
    """The group has the failure of that task alone, after the exit."""
    shop = Shop()

    async def run() -> None:
        async with running(shop):
            shop.notes().began.set()
            await asyncio.Event().wait()

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(run())
            await asyncio.to_thread(shop.notes().began.wait, LIMIT)
            raise OSError("no network")

    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(main())

    assert [repr(error) for error in raised.value.exceptions] == ["OSError('no network')"]
    assert shop.notes().notes == [*STARTED, *ENDED]


def test_an_exit_that_is_cancelled_goes_on_to_the_end() -> None:
    """The same CancelledError is raised, with the exception of the block as its cause."""
    shop = Shop()
    notes, error = shop.notes(), ValueError("block")
    go = asyncio.Event()

    class Slow(Part):
        async def stop(self) -> None:
            notes.began.set()
            await go.wait()
            await super().stop()

    async def run() -> None:
        async with running(shop):
            raise error

    async def main() -> None:
        with shop.override(Shop.c).by(Component(Slow, Shop.notes.provided, "c", Shop.b.provided)):
            task = asyncio.create_task(run())
            await cancel_when(notes.began, task)
            await asyncio.sleep(0)
            go.set()
            with pytest.raises(asyncio.CancelledError, match="enough") as raised:
                await task
            assert raised.value.__cause__ is error

    asyncio.run(main())

    assert notes.notes == [*STARTED, *ENDED]


def test_the_sync_form_is_refused_where_it_would_block_the_loop_of_async_hooks() -> None:
    """The error names the form to write; a container without async hooks, and another thread, are accepted."""
    shop = Shop()

    def run_in_thread() -> None:
        with running(shop):
            assert shop.bus().state is State.STARTED

    async def main() -> None:
        with pytest.raises(LoopError, match=r"^with running\(...\): .* `async with running\(...\)`"), running(shop):
            raise AssertionError
        assert shop.bus().state is State.EXITED
        assert "start a" not in shop.notes().notes
        with running(Plain) as plain:
            assert plain.bus().state is State.STARTED
        await asyncio.to_thread(run_in_thread)

    asyncio.run(main())

    assert shop.notes().notes == [*STARTED, *ENDED]


def test_wrong_containers_are_refused_before_anything_is_built() -> None:
    """As by the sync form."""

    class Faulty(Shop):
        odd: Component[object] = Component(HookRecorder)  # type: ignore[call-arg]  # the fault

    faulty, odd = Faulty(), object()

    async def main() -> None:
        with pytest.raises(InvalidContainer):
            async with running(faulty):
                raise AssertionError
        with pytest.raises(NoContainer):
            async with running(odd):  # type: ignore[call-overload]  # the mistake
                raise AssertionError

    asyncio.run(main())

    assert not faulty.notes.is_built
