"""The spans of restarts while the bus runs."""

from __future__ import annotations

from collections.abc import Collection

import attrs
from opentelemetry.trace import StatusCode
from tests.doubles import HookRecorder
from tests.otel.recorded import Recorded

from typedbus import START, Bus, Component, Container, running
from typedbus._base.limits import StartNode
from typedbus._bus.bus import parts_of
from typedbus._bus.partial import PartialOutcome, PartialRestart


@attrs.define
class NoRuns:
    """The runs of a part that has none."""

    def end(self, nodes: Collection[StartNode], /) -> None:
        """There is nothing to end."""

    def begin(self, nodes: Collection[StartNode], /) -> None:
        """There is nothing to begin."""

    def failed(self, error: BaseException, /) -> float | None:
        """Ask for no further attempt."""
        return None


class Shop(Container):
    """A stock that needs a database, and a shelf that does not."""

    bus = Component(Bus)
    notes: Component[list[str]] = Component(list)
    failing: Component[list[str]] = Component(list)
    database = Component(HookRecorder, notes.provided, "database")
    stock = Component(HookRecorder, notes.provided, "stock", database, failing=failing.provided)
    shelf = Component(HookRecorder, notes.provided, "shelf")


def restart(shop: Shop) -> PartialOutcome:
    """Restart the database and its users."""
    bus = shop.bus()
    (node,) = (hook.node for hook in bus[START].subscriptions if hook.path == "Shop.database")
    assert node is not None
    return PartialRestart(parts_of(bus).machine, node, NoRuns()).carry_out(0.0)


def test_a_restart_of_a_part_is_a_trace_of_its_own(instrumented: Recorded) -> None:
    """It is called after the component that is restarted; its users are stopped before, and started after it."""
    with running(Shop) as shop:
        instrumented.clear()
        assert restart(shop) is PartialOutcome.RESTARTED
        tree = instrumented.tree()

    assert tree == {
        "restart Shop.database": {
            "stop Shop.stock": {},
            "stop Shop.database": {},
            "start Shop.database": {},
            "start Shop.stock": {},
        }
    }
    assert instrumented.attributes("restart Shop.database") == {
        "typedbus.component": "Shop.database",
        "typedbus.components": 2,
        "typedbus.outcome": "started",
    }


def test_a_restart_of_a_part_that_fails_has_failed(instrumented: Recorded) -> None:
    """The start that has failed has the exception."""
    with running(Shop) as shop:
        shop.failing().append("start stock")
        assert restart(shop) is PartialOutcome.GAVE_UP
        shop.failing().clear()

    attributes = instrumented.attributes("restart Shop.database")
    assert attributes["typedbus.outcome"] == "failed"
    assert instrumented.span("restart Shop.database").status.status_code is StatusCode.ERROR
    failed = [span for span in instrumented.spans if span.status.description == "OSError: no start stock"]
    assert [span.name for span in failed] == ["start Shop.stock"]
