"""The argument of a run, without a bus."""

import asyncio
import threading

from tests.doubles import ThreadCall

from typedbus import Stopping
from typedbus.testing import FakeClock


def test_a_wait_sleeps_on_the_clock() -> None:
    """`wait` returns False when the clock has advanced by the timeout."""
    clock = FakeClock()
    stopping = Stopping(clock)
    wait = ThreadCall(lambda: stopping.wait(60.0))

    clock.advance(60.0)

    assert wait.finished().result is False


def test_setting_it_ends_every_wait() -> None:
    """`set` wakes threads that wait with and without a timeout, and tasks."""
    clock = FakeClock()
    stopping = Stopping(clock)
    limited, unlimited = ThreadCall(lambda: stopping.wait(60.0)), ThreadCall(stopping.wait)
    unlimited.waiting()

    async def main() -> None:
        waiting = [asyncio.create_task(stopping.until_set()) for _ in range(2)]
        await asyncio.sleep(0)
        threading.Thread(target=stopping.set).start()
        await asyncio.gather(*waiting)
        await stopping.until_set()

    asyncio.run(main())
    assert (limited.finished().result, unlimited.finished().result) == (True, True)
    assert stopping.wait(60.0)


def test_a_wait_of_no_time_does_not_sleep() -> None:
    """`wait` returns at once for a timeout of 0 or less, as `threading.Event.wait` does."""
    stopping = Stopping(FakeClock())

    assert not stopping.wait(0)
    stopping.set()
    assert stopping.wait(-1)


def test_a_task_whose_loop_was_closed_does_not_keep_it_from_being_set() -> None:
    """`set` does not raise if the loop of a waiting task was closed."""
    stopping = Stopping()
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _loop, _context: None)
    waiting = loop.create_task(stopping.until_set())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()

    stopping.set()

    assert stopping.is_set()
    assert not waiting.done()


def test_it_works_without_a_bus() -> None:
    """A test of a run may call `ready` and `beat` on a `Stopping` without a bus."""
    stopping = Stopping()
    stopping.ready()
    assert stopping.beat_at is None
    stopping.beat()

    assert stopping.is_ready
    assert stopping.beat_at is not None
