"""A lifespan that a server on trio cancels."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from host_process import wait_for
from tests.hosting.unstoppable import PATIENCE, UnstoppableShop

from typedbus.hosting import asgi

trio: Any = pytest.importorskip("trio")


async def no_lifespan(scope: Any, receive: Any, send: Any) -> None:
    raise NotImplementedError


@pytest.mark.parametrize("is_exiting", [False, True])
def test_a_failure_of_the_exit_is_reported_if_the_server_cancels_the_lifespan(
    capfd: pytest.CaptureFixture[str], *, is_exiting: bool
) -> None:
    """It goes to stderr, once, whether the cancellation comes before or in the exit."""
    shop = UnstoppableShop()

    async def main() -> None:
        to_app, messages = trio.open_memory_channel(2)
        answers, from_app = trio.open_memory_channel(2)
        async with trio.open_nursery() as lifespan:
            lifespan.start_soon(asgi.Hosted(no_lifespan, shop), {"type": "lifespan"}, messages.receive, answers.send)
            await to_app.send({"type": "lifespan.startup"})
            assert (await from_app.receive())["type"] == "lifespan.startup.complete"
            if is_exiting:
                await to_app.send({"type": "lifespan.shutdown"})
                assert await trio.to_thread.run_sync(shop.unstoppable().entered.wait, PATIENCE)
            lifespan.cancel_scope.cancel()
        assert shop.unstoppable().entered.wait(PATIENCE)
        assert "OSError" not in capfd.readouterr().err
        shop.unstoppable().release.set()

    trio.run(main)
    texts: list[str] = []

    def is_reported() -> bool:
        texts.append(capfd.readouterr().err)
        return "OSError: no stop" in "".join(texts)

    def is_served() -> bool:
        return any(thread.name == "UnstoppableShop is hosted" for thread in threading.enumerate())

    wait_for(is_reported, lambda: "".join(texts))
    wait_for(lambda: not is_served(), lambda: "a thread serves the bus")
    assert "".join([*texts, capfd.readouterr().err]).count("OSError: no stop") == 1
