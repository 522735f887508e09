"""The publish of `GRACEFUL`, whose listeners may be async."""

from __future__ import annotations

from typedbus._base.coroutines import is_async_callable
from typedbus._base.errors import LoopError
from typedbus._base.failures import ChannelFailures, Failure, chain_failure, propagates_at_once
from typedbus._bus.builtin import GRACEFUL
from typedbus._bus.event_loop import EventLoop
from typedbus._bus.hook_worker import raised_by
from typedbus._bus.registry import Registry
from typedbus._channels.subscriptions import has_async_listeners


def reload(registry: Registry, event_loop: EventLoop) -> None:
    """
    Call the listeners of `GRACEFUL` in running order, async listeners on *event_loop*; see `Bus.graceful`.

    Raises:
        LoopError: A listener is async, and *event_loop* calls the caller, or has ended.
    """
    bound = registry.look_up(GRACEFUL)
    subscriptions = bound.subscriptions
    if not has_async_listeners(bound):
        bound.publish()
        return
    if event_loop.is_running_here:
        raise LoopError(
            "bus.graceful()",
            "it would block the event loop of its async listeners; write await bus.graceful_async()",
        )
    loop = event_loop.get("bus.graceful()")
    failures: list[Failure] = []
    for subscription in subscriptions:
        listener, name = subscription.listener, subscription.name
        is_async = is_async_callable(listener)
        error = loop.call(listener, name) if is_async else raised_by(listener)
        if isinstance(error, Exception) and not propagates_at_once(error):
            failures.append(Failure(name, GRACEFUL.name, error, listener))
            registry.failures.listener_failed(GRACEFUL, name, listener, error)
        elif error is not None:
            if failures:
                chain_failure(error, ChannelFailures(GRACEFUL.name, failures, ()))
            raise error
    if failures:
        raise ChannelFailures(GRACEFUL.name, failures, [None] * (len(subscriptions) - len(failures)))
