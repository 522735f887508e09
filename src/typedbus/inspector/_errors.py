"""The errors of an inspector that cannot be reached safely."""

from __future__ import annotations

from typing import Final

from typedbus._base.errors import OperatorError
from typedbus._base.structured import StructuredError

SHORTEST_TOKEN: Final = 16


class TokenNeeded(StructuredError, ValueError, OperatorError):
    """
    Raised by an `Inspector` that is mounted or listens beyond this machine, without a token of its own, or with a weak one.

    Attributes:
        where: Where it is reached: its address, or "a mounted inspector".
        problem: What is wrong with the token, without the token itself.
    """

    where: str
    problem: str

    def __str__(self) -> str:
        return (
            f"{self.where} {self.problem}; pass token= with at least {SHORTEST_TOKEN} printable ASCII characters, "
            "for example the result of secrets.token_urlsafe()"
        )


class HostsNeeded(StructuredError, ValueError, OperatorError):
    """
    Raised by an `Inspector` that listens on every interface and accepts no host name beside those of this machine.

    Attributes:
        bind: Its address.
    """

    bind: str

    def __str__(self) -> str:
        return (
            f"an inspector on {self.bind!r} refuses every request from another machine; name the hosts under which "
            "clients reach it, as in hosts=('shop.example.com',), or bind one address"
        )


class HostError(StructuredError, ValueError, OperatorError):
    """
    Raised by an `Inspector` for a member of *hosts* that no request can have as its host.

    Attributes:
        given: The member.
    """

    given: object

    def __str__(self) -> str:
        return f"hosts has {self.given!r}, which is not a host; give 'name', 'name:port', an IPv4 address or '[IPv6]'"
