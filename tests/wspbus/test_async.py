"""Async listeners on the bus of the old names."""

from __future__ import annotations

import asyncio
import threading
import types

import pytest

from typedbus import LoopError
from typedbus.wspbus import Bus, ChannelFailures, states


class Recorder:
    """Records the calls of its listeners, and the loop that runs the async ones."""

    def __init__(self, bus: Bus) -> None:
        self.notes: list[str] = []
        self.loops: list[asyncio.AbstractEventLoop] = []
        self.threads: list[threading.Thread] = []
        for channel in ("start", "stop", "exit", "graceful"):
            bus.subscribe(channel, self.sync_listener(channel), 40)
            bus.subscribe(channel, self.async_listener(channel), 50)

    def sync_listener(self, channel: str) -> types.FunctionType:
        def listen() -> None:
            self.notes.append(f"{channel} sync")

        return listen  # type: ignore[return-value]

    def async_listener(self, channel: str) -> types.FunctionType:
        async def listen() -> None:
            await asyncio.sleep(0)
            self.notes.append(f"{channel} async")
            self.loops.append(asyncio.get_running_loop())
            self.threads.append(threading.current_thread())

        return listen  # type: ignore[return-value]


def both(*channels: str) -> list[str]:
    """Return the notes of the listeners of *channels*."""
    return [f"{channel} {kind}" for channel in channels for kind in ("sync", "async")]


def test_transitions_and_a_reload_await_async_listeners() -> None:
    """In order with the others, on one loop, whose thread ends with the exit."""
    bus = Bus()
    recorder = Recorder(bus)

    bus.start()
    bus.graceful()
    bus.stop()
    bus.exit()

    assert recorder.notes == both("start", "graceful", "stop", "stop", "exit")
    assert len(set(recorder.loops)) == 1
    assert not recorder.threads[0].is_alive()


def test_a_bus_that_has_exited_stops_exits_and_starts_again() -> None:
    """As in the original; each run has a loop of its own, which its exit ends."""
    bus = Bus()
    recorder = Recorder(bus)

    bus.exit()
    bus.exit()
    bus.start()
    bus.exit()

    assert recorder.notes == both("stop", "exit", "stop", "exit", "start", "stop", "exit")
    assert len(set(recorder.loops)) == 3
    assert not any(thread.is_alive() for thread in recorder.threads)


def test_an_async_listener_that_fails_is_a_failure_of_the_start() -> None:
    """The others are called, and the bus exits, as in the original."""
    bus = Bus()
    recorder = Recorder(bus)

    async def fail() -> None:
        raise OSError("no network")

    bus.subscribe("start", fail, 10)

    with pytest.raises(ChannelFailures, match="no network"):
        bus.start()

    assert recorder.notes == both("start", "stop", "exit")
    assert bus.state is states.EXITING


def test_a_failure_of_an_async_reload_is_raised_after_the_others() -> None:
    """As the exception of this module, which old code catches."""
    bus = Bus()
    recorder = Recorder(bus)

    async def fail() -> None:
        raise OSError("no file")

    bus.subscribe("graceful", fail, 10)
    bus.start()
    with pytest.raises(ChannelFailures, match="no file"):
        bus.graceful()
    bus.exit()

    assert recorder.notes[2:4] == both("graceful")


def test_a_reload_on_the_loop_of_the_bus_is_refused() -> None:
    """It would wait for itself."""
    bus = Bus()
    Recorder(bus)

    async def reload() -> None:
        bus.graceful()

    bus.start()
    with pytest.raises(LoopError, match="graceful"):
        bus.typed.run_on_loop(reload()).result(10)
    bus.exit()


def test_a_publish_returns_the_coroutine_of_an_async_listener() -> None:
    """Nothing awaits it, as in the original."""
    bus = Bus()

    async def listen(number: int) -> int:
        return number + 1

    bus.subscribe("counted", listen)

    [result] = bus.publish("counted", 1)

    assert asyncio.run(result) == 2
