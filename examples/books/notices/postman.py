"""The postman: a task that empties the outbox."""

import asyncio
import contextlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from logging import ERROR

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from examples.books.notices.outbox import Letter, letters_waiting
from typedbus import Bus, on


class Mail:
    """Delivers letters; this one logs them."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def deliver(self, recipient: str, text: str) -> None:
        """Deliver a letter."""
        self._bus.log(f"to {recipient}: {text}")


class Postman:
    """
    Delivers the letters in the outbox one after the other, each in a scope of its own.

    A letter is deleted from the outbox in the transaction in which it is delivered. If the delivery fails, the letter
    remains, and is tried again when the next letter arrives, or after *pause* seconds. If the process is killed between
    a delivery and its commit, the letter is delivered again.
    """

    _task: asyncio.Task[None]
    _waiting: asyncio.Event

    def __init__(
        self,
        bus: Bus,
        sessions: Callable[[], AbstractAsyncContextManager[AsyncSession]],
        mail: Mail,
        *,
        pause: float = 60.0,
    ) -> None:
        self._bus = bus
        self._sessions = sessions
        self._mail = mail
        self._pause = pause
        self._is_stopping = False

    async def start(self) -> None:
        """Start the task, which begins with the letters of earlier runs."""
        self._is_stopping = False
        self._waiting = asyncio.Event()
        self._task = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Wait for the letter that is being delivered, and end the task."""
        self._is_stopping = True
        self._waiting.set()
        await self._task

    @on(letters_waiting)
    def wake(self) -> None:
        """Check the outbox."""
        self._waiting.set()

    async def _work(self) -> None:
        while not self._is_stopping:
            self._waiting.clear()
            try:
                while not self._is_stopping and await self._deliver_next():
                    pass
            except Exception as error:
                self._bus.log(f"a letter was not delivered: {error!r}", ERROR)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause):
                    await self._waiting.wait()

    async def _deliver_next(self) -> bool:
        # The lock is for PostgreSQL, where several processes may share the outbox.
        oldest = select(Letter).order_by(Letter.id).limit(1).with_for_update(skip_locked=True)
        async with self._sessions() as session:
            letter = await session.scalar(oldest)
            if letter is None:
                return False
            await self._mail.deliver(letter.recipient, letter.text)
            await session.delete(letter)
            return True
