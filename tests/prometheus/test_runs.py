"""The metrics of runs, as Prometheus reads them."""

from __future__ import annotations

import threading

from prometheus_client import generate_latest
from tests.doubles import LIMIT

from typedbus import RUN, Bus, Component, Container, Restart, Stopping, on, running
from typedbus.prometheus import Metrics


class Consumer:
    """A component whose run fails once."""

    def __init__(self) -> None:
        self.has_failed = False
        self.runs_again = threading.Event()

    @on(RUN, restart=Restart(first=0.001, jitter=0.0))
    def consume(self, stopping: Stopping) -> None:
        if not self.has_failed:
            self.has_failed = True
            raise ConnectionError("broker gone")
        self.runs_again.set()
        stopping.wait()


class Shop(Container):
    """A consumer with metrics."""

    bus = Component(Bus)
    metrics = Component(Metrics, bus.provided)
    consumer = Component(Consumer)


def test_a_restarted_run_is_counted() -> None:
    """The series of its state is 1, and those of the other states are 0."""
    with running(Shop()) as shop:
        assert shop.consumer().runs_again.wait(LIMIT)
        text = generate_latest(shop.metrics().registry).decode()

    assert [line for line in text.splitlines() if "typedbus_run" in line] == [
        "# HELP typedbus_run_restarts_total How often a run that had failed was called again.",
        "# TYPE typedbus_run_restarts_total counter",
        'typedbus_run_restarts_total{component="Shop.consumer"} 1.0',
        "# HELP typedbus_run_state 1 for the state that the run is in, 0 for the others.",
        "# TYPE typedbus_run_state gauge",
        'typedbus_run_state{component="Shop.consumer",state="IDLE"} 0.0',
        'typedbus_run_state{component="Shop.consumer",state="RUNNING"} 1.0',
        'typedbus_run_state{component="Shop.consumer",state="WAITING"} 0.0',
        'typedbus_run_state{component="Shop.consumer",state="STOPPING"} 0.0',
        'typedbus_run_state{component="Shop.consumer",state="ENDED"} 0.0',
        'typedbus_run_state{component="Shop.consumer",state="FAILED"} 0.0',
    ]
