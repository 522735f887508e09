"""The front: the answers of the shop to web requests, independent of the server."""

import json
from collections.abc import Mapping
from http import HTTPStatus

import attrs

from examples.shop.database import Busy
from examples.shop.desk import Desk
from examples.shop.orders import Refused
from examples.shop.page import Page

LONGEST = 64 * 1024
"""The maximum size of an order, in bytes."""

_REFUSED = {
    "broken JSON": HTTPStatus.BAD_REQUEST,
    "empty line": HTTPStatus.BAD_REQUEST,
    "not UTF-8": HTTPStatus.BAD_REQUEST,
    "duplicate order number": HTTPStatus.CONFLICT,
    "out of stock": HTTPStatus.CONFLICT,
}


@attrs.frozen
class Request:
    """The parts of a request that the shop uses; a body longer than `LONGEST` may be truncated."""

    method: str
    path: str
    content_type: str = ""
    body: bytes = b""


@attrs.frozen
class Answer:
    """The response that a server must send."""

    status: HTTPStatus
    body: bytes
    content_type: str = "application/json"
    more: tuple[tuple[str, str], ...] = ()

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers of the response."""
        length = str(len(self.body))
        return [
            ("Content-Type", self.content_type),
            ("Content-Length", length),
            ("Cache-Control", "no-store"),
            *self.more,
        ]


class Front:
    """Takes orders, and shows the state of the shop; may be called from any thread."""

    def __init__(self, desk: Desk, page: Page) -> None:
        self._desk = desk
        self._page = page

    def answer(self, request: Request) -> Answer:
        """
        Answer *request*.

        Raises:
            ChannelFailures: See `Desk.sell`. The server answers with 500, and logs it.
        """
        try:
            return self._answer(request)
        except Refused as refused:
            status = _REFUSED.get(refused.kind, HTTPStatus.UNPROCESSABLE_ENTITY)
            return _problem(status, refused.kind, refused.detail)
        except Busy as busy:
            return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "busy", str(busy), ("Retry-After", "1"))

    def _answer(self, request: Request) -> Answer:
        match request.path, request.method:
            case "/", "GET" | "HEAD":
                return Answer(HTTPStatus.OK, self._page.html().encode(), "text/html; charset=utf-8", Page.HEADERS)
            case "/orders", "POST":
                return self._order(request)
            case "/" | "/orders" as path, method:
                allowed = "GET, HEAD" if path == "/" else "POST"
                detail = f"{method} does nothing here; use {allowed}"
                return _problem(HTTPStatus.METHOD_NOT_ALLOWED, "wrong method", detail, ("Allow", allowed))
            case path, _:
                return _problem(HTTPStatus.NOT_FOUND, "no such page", f"there are / and /orders, and not {path!a}")

    def _order(self, request: Request) -> Answer:
        if request.content_type.partition(";")[0].strip().lower() != "application/json":
            detail = f"send the order with Content-Type: application/json, and not as {request.content_type!a}"
            return _problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "no JSON", detail)
        if len(request.body) > LONGEST:
            detail = f"an order has at most {LONGEST} bytes"
            return _problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too long", detail)
        receipt, is_new = self._desk.sell(request.body)
        return Answer(HTTPStatus.CREATED if is_new else HTTPStatus.OK, _json(attrs.asdict(receipt)))


def _problem(status: HTTPStatus, title: str, detail: str, *more: tuple[str, str]) -> Answer:
    """Return a problem document (RFC 9457); *title* is one of a few fixed texts, for programs."""
    document = {"status": int(status), "title": title, "detail": detail}
    return Answer(status, _json(document), "application/problem+json", more)


def _json(document: Mapping[str, object]) -> bytes:
    return json.dumps(document).encode() + b"\n"
