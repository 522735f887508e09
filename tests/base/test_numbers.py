"""A number of seconds means the same to everything that takes one; each refuses other values with an error of its own."""

from __future__ import annotations

import math
import sqlite3
import sys
from collections.abc import Callable
from typing import Any

import pytest

from typedbus import Bus, Channel, LimitError, Limits, Restart, RestartPolicyError
from typedbus._base.numbers import is_number, is_seconds
from typedbus.nats import Link, LinkFault, Outbox, OutboxFault, PortFault, ask, event
from typedbus.otel import Telemetry, TelemetryError
from typedbus.plugins.health import CheckLimitError, Health
from typedbus.plugins.monitor import Monitor, PeriodError

HUGE = 10**400
NO_NUMBERS: list[Any] = [True, False, math.nan, -math.inf, HUGE, -HUGE, "1", 1j, b"1"]
NO_SECONDS: list[Any] = [*NO_NUMBERS, -1, -0.5, 0, 0.0, -0.0]
SECONDS: list[float] = [1, 0.5, 1e-9, sys.float_info.min]

placed = Channel[[int], None]("order_placed")


def link() -> Link:
    return Link(Bus(), ["nats://127.0.0.1:4222"])


USERS: dict[str, tuple[Callable[[Any], object], type[Exception], list[Any]]] = {
    # No limit is None; infinity means the same.
    "limits": (lambda value: Limits(hook=value), LimitError, NO_SECONDS),
    "health": (lambda value: Health(Bus(), limit=value), CheckLimitError, NO_SECONDS),
    "restart": (
        lambda value: Restart(within=value, first=1e-320, longest=1e-320),
        RestartPolicyError,
        [*NO_SECONDS, math.inf],
    ),
    "monitor": (lambda value: Monitor(Bus(), print, every=value), PeriodError, [*NO_SECONDS, math.inf]),
    "link": (lambda value: Link(Bus(), ["x"], connect_within=value), LinkFault, [*NO_SECONDS, math.inf]),
    "event": (lambda value: event(link(), placed, stream="S", deadline=value), PortFault, [*NO_SECONDS, math.inf]),
    "ask": (lambda value: ask(link(), placed, timeout=value), PortFault, [*NO_SECONDS, math.inf]),
    "telemetry": (
        lambda value: Telemetry(Bus(), slow=value),
        TelemetryError,
        [*(value for value in NO_SECONDS if isinstance(value, bool) or value != 0), math.inf],
    ),
    "outbox": (
        lambda value: Outbox(link(), lambda: sqlite3.connect(":memory:"), every=value),
        OutboxFault,
        [*NO_SECONDS, math.inf],
    ),
}


@pytest.mark.parametrize("name", USERS)
def test_everything_that_takes_seconds_takes_and_refuses_the_same_values(name: str) -> None:
    make, error, refused = USERS[name]
    for seconds in SECONDS:
        make(seconds)
    for value in refused:
        with pytest.raises(error):
            make(value)


def test_an_infinite_limit_is_no_limit() -> None:
    assert Limits(stop=math.inf).stop == math.inf


@pytest.mark.parametrize("value", [*SECONDS, 0, -0.0, -1, sys.float_info.max, int(sys.float_info.max)])
def test_a_number_fits_into_a_float(value: float) -> None:
    assert is_number(value)
    assert is_seconds(value) is (value > 0)


@pytest.mark.parametrize(
    "value", [*NO_NUMBERS, math.inf, None, int(sys.float_info.max) + 1], ids=lambda value: repr(value)[:8]
)
def test_no_number_is_refused(value: object) -> None:
    assert not is_number(value)
    assert not is_seconds(value)
