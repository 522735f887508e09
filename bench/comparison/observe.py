"""
Runs one of the programs, sends requests to it, and prints what happens as JSON.

``python observe.py typedbus_shop``, in a folder with the program and ``parts.py``.
"""

from __future__ import annotations

import importlib
import json
import logging
import sys
import warnings
from typing import Any

from fastapi.testclient import TestClient
from parts import events

ARTICLES = ("tea", "broken", "teapot", "unpaid")


def recording(app: Any) -> Any:
    """Return *app* with an event for the beginning of each response."""

    async def recorded(scope: Any, receive: Any, send: Any) -> None:
        async def record(message: Any) -> None:
            if message["type"] == "http.response.start":
                events.append("respond")
            await send(message)

        await app(scope, receive, record)

    return recorded


def taken() -> list[str]:
    """Return the events, and forget them."""
    result = events[:]
    events.clear()
    return result


def observed(module: str) -> dict[str, Any]:
    """Return the events and statuses of each request, or the exception of the import or of the start."""
    requests: dict[str, Any] = {}
    try:
        app = importlib.import_module(module).app
        with TestClient(recording(app), raise_server_exceptions=False) as client:
            started = taken()
            for article in ARTICLES:
                status = client.post(f"/orders/{article}").status_code
                requests[article] = {"status": status, "events": taken()}
    except Exception as error:
        return {"failure": f"{type(error).__name__}: {error}"}
    return {"started": started, "requests": requests, "ended": taken()}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable()
    print(json.dumps(observed(sys.argv[1])))
