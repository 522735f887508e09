"""
Measure the answers of an inspector for a site of 500 channels with four listeners each.

``python bench/inspector.py`` prints the least CPU time of an answer over WSGI, without a socket. The clock of the bus
advances by one second before each request, as between two requests of a page.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterable, Sequence
from wsgiref.types import WSGIEnvironment

from rounds import pin
from typedbus import Bus, Channel
from typedbus.inspector import Inspector
from typedbus.testing import FakeClock

CHANNELS = 500
LISTENERS = 4
SOME = 50
ROUNDS = 50
#: More publishes than a channel needs to call its listeners from an unrolled function.
WARM_UP = 300
TOKEN = "a-token-of-this-program"


def main() -> None:
    """Print the table."""
    pin(to_one=True)
    clock = FakeClock(100.0)
    bus = Bus(clock=clock)
    inspector = Inspector(bus, bind=None, token=TOKEN)
    channels = [Channel[[str, int], None](f"channel_{number}") for number in range(CHANNELS)]
    for channel in channels:
        for _ in range(LISTENERS):
            bus[channel].subscribe(Listener().receive)
    app = inspector.wsgi

    def body(query: str) -> bytes:
        environ: WSGIEnvironment = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/api/v1/snapshot",
            "QUERY_STRING": query,
            "HTTP_HOST": "localhost",
            "HTTP_X_TYPEDBUS_TOKEN": TOKEN,
        }
        parts: Iterable[bytes] = app(environ, lambda status, headers, error=None: bytes)
        return b"".join(parts)

    def publish(on: Sequence[Channel[[str, int], None]]) -> None:
        for channel in on:
            bus[channel].publish("A-1", 1)

    def least(query: str, published: Sequence[Channel[[str, int], None]] = ()) -> float:
        times: list[float] = []
        for _ in range(ROUNDS):
            publish(published)
            clock.advance(1.0, sleepers=0)
            began = time.thread_time()
            body(query)
            times.append(time.thread_time() - began)
        return min(times)

    seq = json.loads(body(""))["seq"]
    rows = {"nothing has changed (304)": least(f"since={seq}"), "all channels, without figures": least("")}
    body("open=channels")
    for _ in range(WARM_UP):
        publish(channels)
    with_figures = f"since={seq}&open=channels"
    rows["with figures, all idle"] = least(with_figures)
    rows[f"with figures, {SOME} published on since the last request"] = least(with_figures, channels[:SOME])
    rows["with figures, all published on since the last request"] = least(with_figures, channels)
    inspector.close()
    print(f"{platform.python_implementation()} {platform.python_version()}, {CHANNELS} channels\n")
    print("| snapshot | ms |\n|---|---:|")
    for name, seconds in rows.items():
        print(f"| {name} | {seconds * 1000:.2f} |")


class Listener:
    """A component that listens."""

    def receive(self, sku: str, count: int) -> None:
        """Do nothing."""


if __name__ == "__main__":
    main()
