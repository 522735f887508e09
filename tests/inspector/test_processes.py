"""`typedbus run --inspect` in processes of its own, and forks."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest
from tests.inspector.clients import TOKEN, Client
from tests.processes import Program, until, without_frameworks

from typedbus.cli._listeners import INSPECT_TOKEN

pytestmark = pytest.mark.slow

Begin: TypeAlias = Callable[..., Program]

SHOP = """
from typedbus import Bus, Component, Container, Channel, on
from typedbus.plugins.daemon import Daemon
from typedbus.inspector import Inspector
from typedbus.plugins.health import Health, READY, Check

order_placed = Channel[[str], None]("order_placed")

class Database:
    def start(self) -> None:
        pass

    @on(READY)
    def ready(self) -> Check:
        return Check(is_ok=True, detail="connected")

class Shop(Container):
    bus = Component(Bus)
    health = Component(Health, bus.provided)
    database = Component(Database)

class Background(Shop):
    daemon = Component(Daemon, Shop.bus.provided)

class Failing:
    def start(self) -> None:
        raise OSError("no database")

class Broken(Container):
    bus = Component(Bus)
    database = Component(Failing)

class Patient:
    def start(self) -> None:
        input()

class Slow(Container):
    bus = Component(Bus)
    patient = Component(Patient)

class Inspected(Shop):
    inspector = Component(Inspector, Shop.bus.provided)
"""
ADDRESS = re.compile(r"inspector: http://127\.0\.0\.1:(\d+)/(?:#(\S+))?")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the module shop."""
    (tmp_path / "hidden").mkdir()
    (tmp_path / "shop.py").write_text(textwrap.dedent(SHOP))
    return tmp_path


def client_of(line: str) -> Client:
    """Return the client for the address and the token that *line* of the log has."""
    matched = ADDRESS.search(line)
    assert matched is not None, line
    return Client(int(matched[1]), matched[2] or TOKEN)


@pytest.fixture
def begin(folder: Path) -> Iterator[Begin]:
    """Start `typedbus run` with options in that folder; the processes are killed at the end."""
    started: list[Program] = []

    def begin(*options: str, target: str = "shop:Shop", token: str | None = None) -> Program:
        environment = {key: text for key, text in os.environ.items() if key != INSPECT_TOKEN}
        if token is not None:
            environment[INSPECT_TOKEN] = token
        command = [sys.executable, "-m", "typedbus", "run", *options, target]
        started.append(Program(*command, cwd=folder, env=environment))
        return started[-1]

    with without_frameworks(folder / "hidden"):
        yield begin
    for program in started:
        program.kill()


def test_the_option_logs_the_address_with_the_token(begin: Begin) -> None:
    """It takes no value from the next argument; and it has seen the start from its beginning."""
    program = begin("--inspect")
    client = client_of(program.reach("inspector: "))
    program.reach("STARTED")
    assert Client(client.port, None).request("/api/v1/snapshot")[0] == 401
    snapshot = client.snapshot()
    probed = client.get("probe", method="POST")
    assert program.end(signal.SIGTERM) == 0

    assert (snapshot["events"][0]["kind"], snapshot["events"][0]["detail"]) == ("Moved", "STOPPED -> STARTING")
    assert [row["outcome"] for row in snapshot["components"] if row["path"].startswith("Shop.")] == ["started"] * 3
    assert [one["detail"] for one in probed["ready"]["checks"]] == ["connected"]
    assert sum("inspector: http" in text for text in program.lines) == 1


def test_the_start_itself_can_be_watched(begin: Begin) -> None:
    """The page is served while a component starts."""
    program = begin("--inspect", target="shop:Slow")
    client = client_of(program.reach("inspector: "))

    def state() -> str:
        rows = client.snapshot()["components"]
        return str(next(row["state"] for row in rows if row["path"] == "Slow.patient"))

    until(lambda: state() == "starting")
    snapshot = client.snapshot()
    graph = client.get("graph")
    program.write("go on\n")
    program.reach("STARTED")

    assert snapshot["bus"]["state"] == "STARTING"
    assert [node["path"] for node in graph["nodes"]] == ["Slow.bus", "Slow.patient"]
    assert state() == "started"
    assert program.end(signal.SIGTERM) == 0


def test_the_token_of_the_environment_is_not_logged(begin: Begin) -> None:
    """So it is needed for every address that others reach."""
    program = begin("--inspect=127.0.0.1:0", token=TOKEN)
    line = program.reach("inspector: ")
    client = client_of(line)

    assert TOKEN not in line
    assert client.get("health")
    program.end(signal.SIGTERM)
    assert not any(TOKEN in text for text in program.lines)


@pytest.mark.parametrize(
    ("option", "token", "text"),
    [
        ("--inspect=0.0.0.0:0", None, "TYPEDBUS_INSPECT_TOKEN"),
        ("--inspect=192.0.2.1:80", "short", "TYPEDBUS_INSPECT_TOKEN"),
        ("--inspect=banana", None, "bind='banana'"),
    ],
)
def test_an_address_that_is_not_safe_is_refused_before_the_start(
    begin: Begin, option: str, token: str | None, text: str
) -> None:
    """With the status of invalid options."""
    program = begin(option, token=token)

    assert program.end() == 2
    assert text in program.output
    assert "STARTING" not in program.output


def test_a_second_inspector_is_refused(begin: Begin) -> None:
    """The site has decided on an address and a token already."""
    program = begin("--inspect", target="shop:Inspected")

    assert program.end() == 2
    assert "Inspected.inspector" in program.output


def test_a_failed_start_ends_the_process(begin: Begin) -> None:
    """The server does not keep it alive."""
    program = begin("--inspect", target="shop:Broken")

    assert program.end() == 1
    assert "inspector: http" in program.output


@pytest.mark.parametrize("target", ["shop:Shop", "shop:Background"])
def test_a_daemon_serves_on_the_address_that_the_command_has_logged(begin: Begin, target: str) -> None:
    """The server pauses for the fork, whichever container declares the daemon; clients wait meanwhile."""
    program = begin("--inspect", *["--daemon"] * (target == "shop:Shop"), target=target)
    client = client_of(program.reach("inspector: "))
    assert program.end() == 0

    snapshot = client.snapshot("open=channels")
    daemon = snapshot["process"]["pid"]
    try:
        assert daemon != program.pid
        assert snapshot["bus"]["state"] == "STARTED"
        assert "continues as daemon" in client.snapshot("open=log")["log"][-1]["text"]
    finally:
        os.kill(daemon, signal.SIGTERM)
    until(lambda: not is_served(client))


def is_served(client: Client) -> bool:
    try:
        client.snapshot()
    except OSError:
        return False
    return True


def test_a_unix_socket_serves_its_owner(folder: Path, begin: Begin) -> None:
    """The file is for this user alone, and is removed at the end."""
    path = folder / "inspector.sock"
    program = begin(f"--inspect=unix:{path}", token=TOKEN)
    program.reach("STARTED")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(
            f"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\nX-Typedbus-Token: {TOKEN}\r\n\r\n".encode()
        )
        answer = connection.makefile("rb").read()
    mode = stat.S_IMODE(path.stat().st_mode)
    program.end(signal.SIGTERM)

    assert answer.startswith(b"HTTP/1.0 200 ")
    assert mode == 0o600
    assert not path.exists()
