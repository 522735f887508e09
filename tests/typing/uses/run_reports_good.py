"""Valid uses of the records of runs, in the report of a start and in a picture."""

from typing import assert_type

from declared import Shop

from typedbus import RUNS, Bus
from typedbus.graph import Graph, NodeRun
from typedbus.report import ComponentRecord, Report, RunStart


def runs_of_a_report(bus: Bus) -> None:
    report = Report(bus.clock.now, lambda: bus.runs)
    bus[RUNS].subscribe(report.record_run)
    for component in report.record().components:
        assert_type(component, ComponentRecord)
        assert_type(component.runs, tuple[RunStart, ...])
        for run in component.runs:
            assert_type((run.path, run.began, run.ready), tuple[str, float | None, float | None])


def runs_of_a_picture() -> None:
    for node in Graph.of(Shop()).nodes:
        assert_type(node.runs, tuple[NodeRun, ...])
        for run in node.runs:
            assert_type((run.path, run.method, run.policy, run.awaited), tuple[str, str, str, bool])
