"""A client of an inspector, which compares every answer with the schema."""

from __future__ import annotations

import http.client
import importlib.resources
import json
import re
import socket
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator

from typedbus import Bus
from typedbus.inspector import Inspector

TOKEN = "a token for the tests"[::-1].replace(" ", "-")
SCHEMA = json.loads(importlib.resources.files("typedbus.inspector").joinpath("schema.json").read_text())
NAMES = {"start": "start", "graph": "graph", "threads": "threads", "settings": "settings", "snapshot": "snapshot"}


def check_schema(path: str, status: int, body: bytes) -> Any:
    """Return the JSON of *body*, which must be as the schema says for *path*."""
    data = json.loads(body)
    name = path.partition("?")[0].removeprefix("/api/v1/")
    kind = {"health": "probes", "probe": "probes"}.get(name, name)
    if name.startswith("failures/"):
        kind = "failure_traceback"
    if status >= 400:
        kind = "error"
    validator = Draft202012Validator({**SCHEMA, "$ref": f"#/$defs/{kind}"})
    errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(data)]
    assert errors == []
    return data


class Client:
    """Requests to *port* of this machine, with *token* unless it is None."""

    def __init__(self, port: int, token: str | None = TOKEN) -> None:
        self.port = port
        self.token = token

    @classmethod
    def of(cls, inspector: Inspector) -> Client:
        """Return a client with the address of *inspector*, and its token if it was given one."""
        assert inspector.url is not None
        return cls(int(inspector.url.rstrip("/").rpartition(":")[2]), inspector.token)

    def request(
        self, path: str, *, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] = {}
    ) -> tuple[int, dict[str, str], bytes]:
        """Return the status, the headers with names in lower case, and the body of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        own = {} if self.token is None else {"X-Typedbus-Token": self.token}
        try:
            connection.request(method, path, body, {**own, **headers})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def get(self, path: str, *, method: str = "GET") -> Any:
        """Return the data at *path* below api/v1, which must be there."""
        path = f"/api/v1/{path}"
        status, _, body = self.request(path, method=method)
        assert status == 200, body
        return check_schema(path, status, body)

    def snapshot(self, query: str = "") -> Any:
        """Return a snapshot; None for 304."""
        status, _, body = self.request(f"/api/v1/snapshot?{query}")
        assert status in (200, 304), body
        return None if status == 304 else check_schema("/api/v1/snapshot", status, body)

    def raw(self, data: bytes) -> bytes:
        """Send *data*, and return everything that comes back."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            parts = []
            while part := connection.recv(65536):
                parts.append(part)
            return b"".join(parts)


def logged_url(bus: Bus, lines: list[str]) -> str:
    """Return the address in the message of an inspector of *bus* among *lines*."""
    return next(match[1] for line in lines if (match := re.search(r"inspector: (http://\S+)", line)))
