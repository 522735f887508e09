"""Lifespans of applications, for tests of several servers."""

from __future__ import annotations

import asyncio
from typing import Any


async def failing_cleanup(receive: Any, send: Any) -> None:
    """Start up; in the shutdown wait for the cancellation, and raise an error of the cleanup in place of it."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    try:
        await asyncio.Event().wait()
    finally:
        raise OSError("not saved")
