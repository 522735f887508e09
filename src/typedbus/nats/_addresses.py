"""The addresses of servers, and the order in which they are tried."""

from __future__ import annotations

import random
import re
import urllib.parse
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from typedbus.nats._errors import LinkFault

_SCHEME: Final = re.compile(r"[a-z]+://")
_PORT: Final = 4222
_EXAMPLE: Final = "give addresses such as nats://127.0.0.1:4222"


def without_secrets(address: str) -> str:
    """Return *address* without the user, the password or the token in it."""
    scheme = _SCHEME.match(address)
    if scheme is None:
        return address.rpartition("@")[2]
    return scheme[0] + address[scheme.end() :].rpartition("@")[2]


@attrs.frozen
class Address:
    """
    The address of a server.

    Attributes:
        url: The scheme, the host and the port.
        host: The host, whose name the certificate of the server must have.
        user: The user, or the token if there is no password.
        password: The password.
    """

    url: str
    host: str
    user: str | None = attrs.field(default=None, repr=False)
    password: str | None = attrs.field(default=None, repr=False)

    @property
    def needs_tls(self) -> bool:
        """Whether the address asks for an encrypted connection."""
        return self.url.startswith("tls://")


def parse(address: object) -> Address:
    """
    Return the parts of *address*.

    Raises:
        LinkFault: It is no address of a server.
    """
    if not isinstance(address, str):
        raise LinkFault("servers", f"an address is a str, not a value of type {type(address).__name__}; {_EXAMPLE}")
    text = address if "://" in address else f"nats://{address}"
    try:
        parts = urllib.parse.urlsplit(text)
        port = _PORT if parts.port is None else parts.port
    except ValueError:
        raise LinkFault("servers", f"{without_secrets(address)!r} has no valid host and port; {_EXAMPLE}") from None
    host = parts.hostname or ""
    if parts.scheme not in ("nats", "tls"):
        raise LinkFault("servers", f"the scheme of {without_secrets(address)!r} must be nats or tls; {_EXAMPLE}")
    if not re.fullmatch(r"[!-+\--~]+", host) or parts.path.strip("/") or parts.query or parts.fragment or not port:
        raise LinkFault("servers", f"{without_secrets(address)!r} has no valid host and port; {_EXAMPLE}")
    place = f"[{host}]" if ":" in host else host
    user, password = parts.username, parts.password
    return Address(
        f"{parts.scheme}://{place}:{port}",
        host,
        None if user is None else urllib.parse.unquote(user),
        None if password is None else urllib.parse.unquote(password),
    )


def parse_all(servers: Sequence[str]) -> tuple[Address, ...]:
    """
    Return the parts of each of *servers*.

    Raises:
        LinkFault: The list is empty, or an item is no address.
    """
    if isinstance(servers, (str, bytes)):
        shown = repr(without_secrets(servers)) if isinstance(servers, str) else "bytes"
        raise LinkFault("servers", f"it is a list of addresses, not {shown}; write Link(bus, [...])")
    if not servers:
        raise LinkFault("servers", f"the list is empty; {_EXAMPLE}")
    return tuple(map(parse, servers))


@attrs.define(eq=False)
class Rotation:
    """
    The servers of a cluster, which are tried in turn: the configured ones, and the ones that a server has named.

    Args:
        configured: The servers that are always tried.
    """

    configured: tuple[Address, ...]
    _waiting: list[Address] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        # Many processes with the same list are spread over the servers.
        self._waiting = random.sample(self.configured, len(self.configured))

    @property
    def count(self) -> int:
        """How many servers there are."""
        return len(self._waiting)

    def next(self) -> Address:
        """Return the server that was not tried for the longest time."""
        address = self._waiting.pop(0)
        self._waiting.append(address)
        return address

    def discovered(self, places: Iterable[str], at: Address) -> None:
        """Replace the servers that are not configured by the servers at *places*, which the server *at* has named."""
        found = {address.url: address for address in self.configured}
        scheme = at.url.partition("://")[0]
        secrets = next((one for one in (at, *self.configured) if one.user is not None), at)
        for place in places:
            url = f"{scheme}://{place}"
            found.setdefault(url, Address(url, at.host, secrets.user, secrets.password))
        kept = {address.url: address for address in self._waiting if address.url in found}
        self._waiting[:] = [*(found[url] for url in found if url not in kept), *kept.values()]
