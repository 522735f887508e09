"""
The answer to a request, whatever server received it.

All checks of security are here, so that the server of the inspector, WSGI and ASGI have the same.
"""

from __future__ import annotations

import hmac
import json
import re
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Final, Literal, TypeAlias

import attrs

LARGEST_BODY: Final = 4096
_LONGEST_TARGET: Final = 4096
_LARGEST_HEADERS: Final = 16 * 1024
_JSON: Final = "application/json"

SECURITY_HEADERS: Final = (
    (
        "Content-Security-Policy",
        (
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
            "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
        ),
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
"""The headers of every answer."""

Query: TypeAlias = Mapping[str, str]
Method: TypeAlias = Literal["GET", "POST"]


@attrs.frozen(kw_only=True)
class Request:
    """
    A request.

    Attributes:
        method: Its method, in capitals.
        path: Its path below the mount point.
        headers: Its headers with names in lower case; the values of several headers of a name are joined by commas.
        query: What follows the question mark.
        mount: The path of the mount point, "" for a server of its own.
        port: The port on which the inspector's own server has received it; None if the inspector is mounted, or
            serves on a Unix socket.
    """

    method: str
    path: str
    headers: Mapping[str, str] = attrs.field(repr=False)
    query: str = attrs.field(default="", repr=False)
    mount: str = ""
    port: int | None = None


@attrs.frozen
class Response:
    """
    An answer.

    Attributes:
        status: Its status code.
        body: Its body.
        kind: The media type of the body; "" without a body.
        further: Headers beside those of every answer.
    """

    status: int
    body: bytes = b""
    kind: str = ""
    further: tuple[tuple[str, str], ...] = ()

    @property
    def headers(self) -> list[tuple[str, str]]:
        """All its headers."""
        content = [("Content-Type", self.kind)] if self.kind else []
        length = [] if self.status == NOT_MODIFIED else [("Content-Length", str(len(self.body)))]
        return [*content, *length, *self.further, *SECURITY_HEADERS]


NOT_MODIFIED: Final = 304


@attrs.frozen
class Route:
    """The function that answers requests of *method*; it gets the query and the rest of the path."""

    method: Method
    answer: Callable[[Query, str], Response]


@attrs.frozen(kw_only=True)
class Site:
    """
    What `answer` needs to answer a request.

    Attributes:
        token: The token that a request for data must have.
        hosts: The hosts beside those of this machine, in lower case, as "name" or "name:port".
        files: The page by path.
        routes: The data by path below "/api/v1/"; a key that ends with "/" also has the paths below it.
    """

    token: str = attrs.field(repr=False)
    hosts: frozenset[str]
    files: Mapping[str, Response] = attrs.field(repr=False)
    routes: Mapping[str, Route] = attrs.field(repr=False)


def answer(site: Site, request: Request) -> Response:
    """Return the answer to *request*."""
    if not is_host_of(site, request.headers.get("host", ""), request.port):
        return refusal(
            421, "this host is not one of the inspector; open it by the address in the log, or add it to hosts="
        )
    size = sum(len(name) + len(value) for name, value in request.headers.items())
    if len(request.path) + len(request.query) > _LONGEST_TARGET or size > _LARGEST_HEADERS:
        return refusal(431, "the path, the query or the headers are too long")
    if not request.path:
        # Relative addresses in the page need the slash.
        name = urllib.parse.quote(request.mount.rpartition("/")[2])
        return Response(308, further=(("Location", f"{name}/" if name else "/"),))
    path = request.path
    if path in site.files:
        return site.files[path] if request.method == "GET" else _not_allowed("GET")
    route, rest = _route(site, path)
    if route is None:
        return refusal(404, "there is nothing at this path")
    if request.method != route.method:
        return _not_allowed(route.method)
    given = request.headers.get("x-typedbus-token", "")
    if not hmac.compare_digest(given.encode("utf-8", "replace"), site.token.encode()):
        return refusal(401, "the header X-Typedbus-Token has not the token that the log shows")
    length = request.headers.get("content-length", "0") or "0"
    if "transfer-encoding" in request.headers or not (length.isascii() and length.isdigit()):
        return refusal(411, "a body needs a Content-Length")
    if len(length) > len(str(LARGEST_BODY)) or int(length) > LARGEST_BODY:
        return refusal(413, f"a body may have {LARGEST_BODY} bytes")
    return route.answer(dict(urllib.parse.parse_qsl(request.query, max_num_fields=None)), rest)


def _route(site: Site, path: str) -> tuple[Route | None, str]:
    if not path.startswith(PREFIX):
        return None, ""
    name = path.removeprefix(PREFIX)
    if name in site.routes:
        return site.routes[name], ""
    folder, slash, rest = name.partition("/")
    return (site.routes.get(folder + slash) if slash and rest else None), rest


PREFIX: Final = "/api/v1/"
_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?")
_LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")


def is_host_of(site: Site, host: str, port: int | None) -> bool:
    """Return whether *host*, the header of a request that came in on *port*, is one of *site* or of this machine."""
    matched = _HOST.fullmatch(host.lower())
    if matched is None:
        return False
    name, digits = matched.groups()
    if matched[0] in site.hosts or name in site.hosts:
        return True
    return name in _LOOPBACK and (port is None or port == int(digits or 80))


def is_host(text: object) -> bool:
    """Return whether a request may have the host *text*."""
    return isinstance(text, str) and _HOST.fullmatch(text.lower()) is not None


def _not_allowed(method: Method) -> Response:
    response = refusal(405, f"this path takes only {method}")
    return attrs.evolve(response, further=(("Allow", method),))


def refusal(status: int, reason: str) -> Response:
    """Return an answer with the *reason* as text."""
    return with_json({"error": reason}, status)


def with_json(data: object, status: int = 200) -> Response:
    """Return an answer with *data* as JSON, in ASCII."""
    return Response(status, json.dumps(data, separators=(",", ":")).encode("ascii"), _JSON)


def with_text_of_json(text: str) -> Response:
    """Return an answer with *text*, which is JSON."""
    return Response(200, text.encode("utf-8", "backslashreplace"), _JSON)
