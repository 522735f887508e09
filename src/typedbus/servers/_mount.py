"""Mounts: an application with its path, the channel that collects mounts, and the choice of a mount for a request."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import Any, Final, TypeAlias
from wsgiref.types import WSGIApplication

import attrs

from typedbus._base.signatures import call_of
from typedbus._channels.bound import BoundChannel
from typedbus._channels.channel import Channel
from typedbus.servers._lifespan import ASGIApp
from typedbus.servers._mount_errors import MountConflict, MountError

#: The priority of dispatchers: after the components at the default priority, which have their applications by then, and
#: before servers.
PRIORITY: Final = 70
#: The body of the response to a request that matches no mount.
NOT_FOUND: Final = b"Not Found\n"
_QUOTED: Final = re.compile("%[0-9A-Fa-f]{2}")


def _without_slash(path: str) -> str:
    # `_check_path` refuses values that are not text.
    value: object = path
    ends_in_slash = isinstance(value, str) and len(path) > 1 and path.endswith("/")
    return path[:-1] if ends_in_slash and not path.endswith("//") else path


def _check_path(instance: object, attribute: attrs.Attribute[str], path: object) -> None:
    problem = ""
    if not isinstance(path, str) or not path.startswith("/"):
        problem = f"a path begins with '/', as in {'/' + path if isinstance(path, str) else '/shop'!r}"
    elif "//" in path or {".", ".."}.intersection(path.split("/")):
        problem = "a path has no empty segments and no segments '.' or '..'"
    elif "?" in path or "#" in path or not path.isprintable():
        problem = "a path has neither a query nor a fragment nor control characters"
    elif _QUOTED.search(path):
        problem = "requests are matched after decoding; write the characters themselves, not their %-codes"
    if problem:
        raise MountError(path, problem)


def _check_wsgi(instance: object, attribute: attrs.Attribute[WSGIApplication], app: object) -> None:
    if not _accepts(app, 2) or inspect.iscoroutinefunction(call_of(app).function):
        raise MountError(
            app,
            "a WSGI application is called with environ and start_response; mount an ASGI application with ASGIMount",
        )


def _check_asgi(instance: object, attribute: attrs.Attribute[ASGIApp], app: object) -> None:
    if not _accepts(app, 3):
        raise MountError(
            app, "an ASGI application is called with scope, receive and send; mount a WSGI application with WSGIMount"
        )


def _accepts(app: object, count: int) -> bool:
    """Return whether *app* can be called with *count* arguments; True if its signature is unknown."""
    if not callable(app):
        return False
    signature = call_of(app).signature
    try:
        if signature is not None:
            signature.bind(*[None] * count)
    except TypeError:
        return False
    return True


@attrs.frozen
class WSGIMount:
    """
    A WSGI application and its path.

    Args:
        path: The path to mount it at. ``/shop`` matches ``/shop`` and every path below it, but not ``/shopping``;
            ``/`` matches every path. Case matters; a slash at the end does not. Characters are not %-encoded.
        app: The application.

    Raises:
        MountError: *path* could never match a request, or *app* cannot be called as a WSGI application.
    """

    path: str = attrs.field(converter=_without_slash, validator=_check_path)
    app: WSGIApplication = attrs.field(validator=_check_wsgi)


@attrs.frozen
class ASGIMount:
    """
    An ASGI application and its path.

    Args:
        path: See `WSGIMount`.
        app: The application, of ASGI 3.

    Raises:
        MountError: *path* could never match a request, or *app* cannot be called as an ASGI application.
    """

    path: str = attrs.field(converter=_without_slash, validator=_check_path)
    app: ASGIApp = attrs.field(validator=_check_asgi)


Mount: TypeAlias = WSGIMount | ASGIMount
"""The type of mounts of both kinds; each listener of `MOUNT` returns a mount."""

MOUNT = Channel[[], Mount]("mount")
"""Published by a dispatcher in each start of the bus; each listener returns a mount."""


def collect_mounts(channel: BoundChannel[[], Mount]) -> list[Mount]:
    """
    Publish *channel*, and return the mounts in the order of its listeners.

    Raises:
        ChannelFailures: Listeners failed.
        MountConflict: Two mounts have the same path.
        MountError: A listener returned an object that is not a mount.
    """
    subscriptions = channel.subscriptions
    mounts: dict[str, Mount] = {}
    owners: dict[str, str] = {}
    for subscription, mount in zip(subscriptions, channel.publish(), strict=False):
        owner = f"{subscription.path} ({subscription.place})"
        result: object = mount
        if not isinstance(result, WSGIMount | ASGIMount):
            raise MountError(result, f"{owner} must return a WSGIMount or an ASGIMount")
        if mount.path in mounts:
            raise MountConflict(mount.path, owners[mount.path], owner)
        mounts[mount.path], owners[mount.path] = mount, owner
    return list(mounts.values())


@attrs.frozen(eq=False)
class Route:
    """The application for all requests whose path is *prefix* or lies below it; *prefix* does not end in a slash."""

    prefix: str
    app: Any
    is_wsgi: bool = False

    def takes(self, path: str) -> bool:
        """Whether a request for *path* is for this application."""
        return not self.prefix or path == self.prefix or path.startswith(f"{self.prefix}/")


def longest_first(routes: Iterable[Route]) -> list[Route]:
    """Return *routes*, longer prefixes first."""
    return sorted(routes, key=lambda route: len(route.prefix), reverse=True)


# Tracebacks and pickles name the module from which users import.
WSGIMount.__module__ = ASGIMount.__module__ = "typedbus.servers.mounts"
