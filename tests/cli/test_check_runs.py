"""The runs of a container in the output of `typedbus check`, and in the report of `typedbus run`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from typedbus import RUN, Bus, Component, Container, Restart, Stopping, on, running
from typedbus.cli import commands
from typedbus.cli._fault_formats import show
from typedbus.cli._listeners import write_report


class Consumer:
    """A component with one run."""

    @on(RUN)
    def consume(self, stopping: Stopping) -> None: ...


class Feed:
    """A component with two runs."""

    @on(RUN, awaited=True, restart=Restart("always", most=3, within=600.0, fatal=(PermissionError,)))
    def follow(self, stopping: Stopping) -> None: ...

    @on(RUN)
    def count(self, stopping: Stopping) -> None: ...


class Site(Container):
    """A container with three runs, and one that does not take part."""

    bus = Component(Bus)
    consumer = Component(Consumer)
    feed = Component(Feed)
    off = Component(Consumer).enabled(False, reason="no broker")


class Faulty(Site):
    """A container with runs and a fault."""

    stray = Component(Consumer, 1)  # type: ignore[call-arg]  # this is the fault


class Plain(Container):
    """A container without runs."""

    bus = Component(Bus)


def check(name: str, *options: str) -> Result:
    return CliRunner().invoke(commands, ["check", f"{__name__}:{name}", *options], standalone_mode=False)


def test_the_runs_of_a_valid_container_are_listed() -> None:
    """Each line has the policy of the run, and whether the start waits for it."""
    done = check("Site")

    assert done.stdout.splitlines() == [
        "Site is valid: 4 components, 3 runs",
        "  run Site.consumer: a failure exits the bus",
        "  run Site.feed.follow, awaited by the start: restarts always, 3 in 600 s",
        "  run Site.feed.count: a failure exits the bus",
    ]
    assert done.return_value == 0


def test_the_runs_of_a_container_with_faults_are_not_listed() -> None:
    """Only the faults are listed."""
    done = check("Faulty")

    assert " run " not in done.stdout
    assert json.loads(check("Faulty", "--format", "json").stdout)["runs"] == []
    assert done.return_value == 1


def test_json_has_the_runs_with_all_of_their_policies() -> None:
    """Exceptions are named by their modules and classes; a run without a policy has null."""
    consumer, feed, _ = json.loads(check("Site", "--format", "json").stdout)["runs"]

    assert consumer == {"path": "Site.consumer", "method": "consume", "awaited": False, "policy": None}
    assert (feed["path"], feed["method"], feed["awaited"]) == ("Site.feed.follow", "follow", True)
    policy = feed["policy"]
    assert (policy["when"], policy["most"], policy["within"], policy["silent"]) == ("always", 3, 600.0, None)
    assert policy["fatal"] == ["builtins.PermissionError"]


def test_a_container_without_runs_lists_none() -> None:
    """The verdict has no number of runs."""
    assert check("Plain").stdout == "Plain is valid: 1 component\n"


def test_a_terminal_shows_the_runs_below_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    """Each run is one line, without markup."""
    show("Site is valid: 1 component, 1 run", [], ["  run Site.feed[bold]: restarts always, 3 in 600 s"])

    assert capsys.readouterr().out.splitlines() == [
        "Site is valid: 1 component, 1 run",
        "  run Site.feed[bold]: restarts always, 3 in 600 s",
    ]


class Server:
    """A component with a run that the start waits for, and one that begins after the start."""

    @on(RUN, awaited=True)
    def serve(self, stopping: Stopping) -> None:
        stopping.ready()
        stopping.wait()

    @on(RUN)
    def count(self, stopping: Stopping) -> None:
        stopping.wait()


class Web(Container):
    """A container whose runs wait until they must end."""

    bus = Component(Bus)
    server = Component(Server)


def test_the_report_of_a_start_has_the_runs(tmp_path: Path) -> None:
    """The report is written when the bus has STARTED: only the awaited run has begun."""
    web, file = Web(), tmp_path / "start.json"
    write_report(web.attach(), file, "json")
    with running(web):
        _, server = json.loads(file.read_text(encoding="utf-8"))["components"]

    serve, count = server["runs"]
    assert (serve["path"], serve["began"] >= 0, serve["ready"] >= 0) == ("Web.server.serve", True, True)
    assert count == {"path": "Web.server.count", "began": None, "ready": None}
