"""The report of plain listeners that block an event loop in debug mode."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from typedbus._base.coroutines import is_async_callable
from typedbus._base.failures import calls_listener
from typedbus._bus.builtin import WARNING
from typedbus._channels.roles import TimedListener
from typedbus._channels.subscriptions import Subscription


class SlowListeners:
    """
    Times plain listeners, and logs each listener that blocks an event loop in debug mode, once for each name and channel.

    A listener blocks the loop if it runs on it for at least `slow_callback_duration`. asyncio's own report shows only the
    callback that published.

    Args:
        log: Called with the message and its level.
    """

    def __init__(self, log: Callable[[str, int], object]) -> None:
        self._log = log
        self._names: set[str] = set()

    def __call__(self, subscription: Subscription) -> Callable[..., Any]:
        """Return the callable that a publish calls for *subscription*; see `replace_calls`."""
        if is_async_callable(subscription.listener):
            return subscription.listener  # asyncio reports the steps of tasks
        return TimedListener(subscription, self._call)

    @calls_listener
    def _call(self, subscription: Subscription, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        loop = asyncio._get_running_loop()  # noqa: SLF001  # public, but not documented
        if loop is None or not loop.get_debug():
            return subscription.listener(*args, **kwargs)
        began = loop.time()
        try:
            return subscription.listener(*args, **kwargs)
        finally:
            seconds = loop.time() - began
            if seconds >= loop.slow_callback_duration:
                self._report(subscription, seconds)

    def _report(self, subscription: Subscription, seconds: float) -> None:
        channel = subscription.channel
        name = f"{subscription.name} on channel {channel.name!r}"
        if name in self._names:
            return
        self._names.add(name)
        remedy = "subscribe in_thread(listener)" if channel.is_async else "publish with await publish_in_thread(...)"
        self._log(f"{name} blocked the event loop for {seconds:.2f} s; {remedy}", WARNING)
