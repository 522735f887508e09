"""The record of each life-cycle event."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from typedbus._base.errors import HookTimeout
from typedbus._base.events import (
    ComponentExited,
    ComponentExiting,
    ComponentStarted,
    ComponentStarting,
    ComponentStopped,
    ComponentStopping,
    Constructed,
    Constructing,
    Disabled,
    Failed,
    LifecycleEvent,
    ListenerFailed,
    Moved,
    RolledBack,
    Subscribed,
)


def record_of(event: LifecycleEvent) -> tuple[int, str, tuple[object, ...], Mapping[str, object]]:
    """Return level, text, arguments and keys; no key is an attribute of every record, or a key of structlog."""
    kind = type(event).__name__.removeprefix("Component").lower()
    match event:
        case Moved(before, after):
            return logging.INFO, "bus %s", (after.name,), {"kind": kind, "before": before.name, "after": after.name}
        case Constructing(path) | ComponentStarting(path) | ComponentStopping(path) | ComponentExiting(path):
            return logging.DEBUG, f"{kind} %s", (path,), {"kind": kind, "component": path}
        case ComponentStarted(path, seconds) | ComponentStopped(path, seconds):
            keys = {"kind": kind, "component": path, "seconds": seconds}
            return logging.INFO, f"{kind} %s (%.1f ms)", (path, seconds * 1000), keys
        case Constructed(path, seconds) | ComponentExited(path, seconds):
            keys = {"kind": kind, "component": path, "seconds": seconds}
            return logging.DEBUG, f"{kind} %s (%.1f ms)", (path, seconds * 1000), keys
        case Subscribed(path, seconds, needs):
            keys = {"kind": kind, "component": path, "seconds": seconds, "needs": needs}
            return logging.DEBUG, "subscribed %s (%.1f ms)", (path, seconds * 1000), keys
        case Disabled(path, reason):
            keys = {"kind": kind, "component": path, "reason": reason}
            return logging.INFO, "disabled %s: %s", (path, reason), keys
        case Failed(path, hook, seconds, error):
            # The text of a hook that timed out has many lines, and is part of the traceback.
            description = "given up" if isinstance(error, HookTimeout) else repr(error)
            keys = {"kind": kind, "component": path, "hook": hook, "seconds": seconds}
            return logging.ERROR, "failed %s in %s (%.1f ms): %s", (path, hook, seconds * 1000, description), keys
        case RolledBack(seconds, _, paths):
            keys = {"kind": "rolled_back", "seconds": seconds, "stopped": paths}
            return logging.WARNING, "rolled back the start: %d stopped (%.1f ms)", (len(paths), seconds * 1000), keys
        case ListenerFailed(name, channel, error):
            keys = {"kind": "listener_failed", "listener": name, "channel": channel}
            return logging.ERROR, "failed %s on %s: %r", (name, channel, error), keys
