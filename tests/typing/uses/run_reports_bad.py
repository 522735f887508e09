"""Invalid uses of the records of runs; a marked line is an error for both checkers."""

from declared import Shop

from typedbus import RUNS, Bus
from typedbus.events import LIFECYCLE
from typedbus.graph import Graph
from typedbus.report import Report


def events_of_runs_have_a_listener_of_their_own(bus: Bus, report: Report) -> None:
    bus[RUNS].subscribe(report.record_event)  # E
    bus[LIFECYCLE].subscribe(report.record_run)  # E


def records_are_not_changed(report: Report) -> None:
    run = report.record().components[0].runs[0]
    run.began = 1.0  # E
    run.ready + 1.0  # E
    Graph.of(Shop()).nodes[0].runs[0].policy.most  # E
