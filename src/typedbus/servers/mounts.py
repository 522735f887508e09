"""
A site of several applications, each mounted at a path, of any framework.

Components contribute by listening to `MOUNT`: a listener returns an application and its path. A dispatcher, which
depends on no framework, publishes `MOUNT` once in each start of the bus, and then passes each request to the
application with the longest path that matches. `WSGIDispatcher` and `ASGIDispatcher` are applications themselves: a
server component serves them, and so does a server that hosts the bus.
"""

from __future__ import annotations

from typedbus._base.exports import export
from typedbus.servers._asgi_dispatcher import ASGIDispatcher
from typedbus.servers._mount import MOUNT, ASGIMount, Mount, WSGIMount
from typedbus.servers._mount_errors import MountConflict, MountError, MountFailed, NoBridge, NotMounted
from typedbus.servers._wsgi_dispatcher import WSGIDispatcher

__all__ = (
    "MOUNT",
    "ASGIDispatcher",
    "ASGIMount",
    "Mount",
    "MountConflict",
    "MountError",
    "MountFailed",
    "NoBridge",
    "NotMounted",
    "WSGIDispatcher",
    "WSGIMount",
)

export(globals())
