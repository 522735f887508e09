"""Sites that the command line runs: their settings, their process, and the commands that steer it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from typedbus.plugins.pidfile import PIDFile

if sys.platform in ("win32", "darwin"):
    pytest.skip("no process becomes a daemon on this system", allow_module_level=True)

from typedbus import Bus
from typedbus._os.pidfiles import short_path, socket_beside
from typedbus.cli import commands
from typedbus.cli._holder import Holder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

SITE = """\
import logging
import os
import threading
import time
from pathlib import Path

import attrs
from typed_settings import SecretStr

from typedbus import MAIN, START, STOP, Bus, Component, Container, Limits
from typedbus.plugins.pidfile import PIDFile
from typedbus.settings import configured

LINE = int(os.environ["LINE"])


def say(text):
    os.write(LINE, f"{text}\\n".encode())


if os.path.exists("big"):
    say("imports")
    threading.Event().wait()


@attrs.frozen
class Settings:
    port: int = 8080
    name: str = "shop"
    password: SecretStr = SecretStr("none")


class Server:
    def __init__(self, bus: Bus, settings: Settings) -> None:
        say("built")
        self.settings = settings

    def start(self) -> None:
        if os.path.exists("taken"):
            raise OSError("the port is taken")
        if os.path.exists("slow"):
            say("waits")
            while os.path.exists("slow"):
                time.sleep(0.01)
        print("printed", flush=True)
        logging.getLogger("shop").info("serves %s", self.settings.port)
        say(f"{self.settings.name} at {self.settings.port}, {''.join(self.settings.password)}")
        Path("made").touch()

    def stop(self) -> None:
        say("stopped")

    def graceful(self) -> None:
        say("graceful")


def hang(part: object) -> None:
    say("hangs")
    threading.Event().wait()


class Part:
    pass


class Shop(Container):
    bus = Component(Bus)
    settings = configured(Settings, section="shop")
    server = Component(Server, bus.provided, settings.provided)


class Audit(Container):
    bus = Component(Bus)
    part = Component(Part)


class Hanging(Container):
    bus = Component(Bus)
    part = Component(Part).on(STOP.calls(hang)).on(START.calls(lambda part: say("began")))
"""
HELD = """\
import os, sys, time
from typedbus import Bus
from typedbus.plugins.pidfile import PIDFile

PIDFile(Bus(), path="site.pid").start()
os.write(int(os.environ["LINE"]), b"held\\n")
sys.stdin.read()
"""


class Site:
    """A folder with a site in it, and the commands that are given there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "site.py").unlink(missing_ok=True)
        (folder / "shop.py").write_text(SITE, encoding="utf-8")
        reading, self.writing = os.pipe()
        self.line = os.fdopen(reading, encoding="utf-8")
        self.begun: list[subprocess.Popen[str]] = []
        kept = {name: value for name, value in os.environ.items() if name not in ("NOTIFY_SOCKET", "TYPEDBUS_CONFIG")}
        self.environ = {**kept, "LINE": str(self.writing), "PYTHONDONTWRITEBYTECODE": "1"}

    def begin(self, *arguments: str, program: tuple[str, ...] = ("-m", "typedbus")) -> subprocess.Popen[str]:
        """Begin a command, or a program."""
        self.begun.append(
            subprocess.Popen(
                [sys.executable, *program, *arguments],
                cwd=self.folder,
                env=self.environ,
                pass_fds=[self.writing],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return self.begun[-1]

    def do(self, *arguments: str) -> tuple[int, str]:
        """Return the status of a command, and what it told."""
        command = self.begin(*arguments)
        told, wrong = command.communicate(timeout=60)
        return command.returncode, told + wrong

    def reach(self, text: str) -> str:
        """Return the next line that the site says and that begins with *text*."""
        for line in self.line:
            if line.startswith(text):
                return line.strip()
        raise AssertionError(text)

    def told(self, name: str) -> str:
        """Return what is in a file."""
        return (self.folder / name).read_text(encoding="utf-8")

    @property
    def pid(self) -> int:
        """The pid in the PID file."""
        return int(self.told("site.pid"))

    def end(self) -> None:
        """End whatever was begun."""
        os.close(self.writing)
        for one in self.begun:
            one.kill()
            one.communicate()
        with contextlib.suppress(OSError, ValueError):
            # The number alone proves nothing; what is in this folder is ours.
            if Path(f"/proc/{self.pid}/cwd").readlink() == self.folder.resolve():
                os.kill(self.pid, signal.SIGKILL)
        # Until the last of all that have the line has ended.
        self.line.read()
        self.line.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Give a site, and end all of its processes."""
    made = Site(tmp_path)
    yield made
    made.end()


DAEMON = ("--daemon", "--pidfile", "site.pid")


def test_a_site_runs_as_a_daemon_until_it_is_stopped(site: Site) -> None:
    """The command ends when it has started, with a report in its place; workers, limits, log and output are the daemon's."""
    (site.folder / "site.toml").write_text("[shop]\nname = 'mugs'\nport = 81\n", encoding="utf-8")
    watched = ("--log-file", "site.log", "--output", "site.out", "--report", "start.json", "--umask", "077")
    limits = ("--workers", "3", "--start-limit", "50", "--config", "site.toml", "--set", "shop.port=82")

    began = site.do("run", "shop:Shop", "shop:Audit", *DAEMON, *watched, *limits)
    report = site.told("start.json")
    status = site.do("status", "--pidfile", "site.pid")
    stopped = site.do("stop", "--pidfile", "site.pid")

    assert began[0] == 0, began
    assert '"outcome": "started"' in report
    assert '"path": "CommandLine.daemon"' in report
    assert site.reach("mugs") == "mugs at 82, none"
    assert (status[0], stopped[0]) == (0, 0)
    assert status[1].startswith("running: process ")
    assert "--set shop.port=...), since 2" in status[1]
    assert stopped[1].endswith(" has ended\n")
    assert site.reach("stopped")
    assert not (site.folder / "site.pid").exists()
    log = site.told("site.log")
    assert "INFO shop: serves 82\n" in log
    assert "continues as daemon" in log
    assert log.endswith("bus EXITED\n")
    assert "\nprinted\n" in site.told("site.out")
    assert stat.S_IMODE((site.folder / "made").stat().st_mode) == 0o644
    assert site.do("status", "--pidfile", "site.pid")[0] == 3


def test_a_restart_waits_until_the_daemon_has_started_again(site: Site) -> None:
    """The pid stays, what was asked for comes again, and nobody is told of what comes later."""
    site.do("run", "shop:Shop", *DAEMON, "--log-file", "site.log")
    site.reach("shop at")
    pid = site.pid

    done = site.do("restart", "--pidfile", "site.pid")

    assert done == (0, f"process {pid} has started again\n")
    assert [site.reach(text) for text in ("stopped", "built", "shop at")]
    assert site.pid == pid
    assert site.do("reload", "--pidfile", "site.pid") == (0, f"process {pid} was asked to reload\n")
    assert site.reach("graceful")
    assert site.do("stop", "--pidfile", "site.pid") == (0, f"process {pid} has ended\n")
    assert "cannot send" not in site.told("site.log")


@pytest.mark.parametrize(
    ("broken", "said", "why"),
    [
        ("taken", "", "failed Shop.server in start: OSError('the port is taken')"),
        ("site.toml", "[shop]\nprt = 1", "invalid settings: 1 fault"),
        pytest.param(
            "shop.py",
            "nonsense",
            "cannot load shop:Shop: its code raised NameError",
            marks=pytest.mark.exhaustive,
        ),
        pytest.param(
            "shop.py",
            SITE.replace("Server, bus.provided,", "Server,"),
            "Shop cannot be wired: 2 fault",
            marks=pytest.mark.exhaustive,
        ),
    ],
    ids=["start", "settings", "module", "wiring"],
)
def test_a_restart_that_does_not_come_to_its_start_says_why(site: Site, broken: str, said: str, why: str) -> None:
    """The status is 1, and the daemon is gone."""
    (site.folder / "site.toml").touch()
    site.do("run", "shop:Shop", *DAEMON, "--config", "site.toml")
    pid = site.pid
    (site.folder / broken).write_text(said, encoding="utf-8")

    status, told = site.do("restart", "--pidfile", "site.pid")

    assert status == 1
    assert told.startswith(f"Error: process {pid} has ended instead; its last report: {why}")
    assert site.do("status", "--pidfile", "site.pid")[0] == 3


def test_a_restart_that_another_one_interrupts_is_waited_for(site: Site) -> None:
    """The process is replaced once more in the middle of its start, and the command waits for that start."""
    site.do("run", "shop:Shop", *DAEMON)
    site.reach("shop at")
    (site.folder / "slow").touch()
    command = site.begin("restart", "--pidfile", "site.pid", "--timeout", "50")
    site.reach("waits")

    os.kill(site.pid, signal.SIGHUP)
    (site.folder / "slow").unlink()

    told, wrong = command.communicate(timeout=55)
    assert (command.returncode, told + wrong) == (0, f"process {site.pid} has started again\n")


@pytest.mark.exhaustive
def test_a_restart_that_takes_too_long_is_waited_for_no_longer(site: Site) -> None:
    """The status is 1 for each command that waits for the same restart."""
    site.do("run", "shop:Hanging", *DAEMON)
    first = site.begin("restart", "--pidfile", "site.pid", "--timeout", "8")
    site.reach("hangs")

    second = site.do("restart", "--pidfile", "site.pid", "--timeout", "1")
    _, told = first.communicate(timeout=30)

    late = f"Error: process {site.pid} has not reported within {{}} s that it has started again; "
    last = "its last report: nothing; its log may have details\n"
    assert (second, first.returncode) == ((1, late.format(1) + last), 1)
    assert told == late.format(8) + last


def test_a_site_that_restarts_runs_and_can_be_stopped(site: Site) -> None:
    """While its new program is imported, status says so, other commands do it no harm, and a stop is for good."""
    site.do("run", "shop:Shop", *DAEMON)
    pid = site.pid
    (site.folder / "bare.py").write_text("from typedbus import *\n\nclass Bare(Container):\n    bus = Component(Bus)\n")
    (site.folder / "big").touch()
    os.kill(pid, signal.SIGHUP)
    site.reach("imports")

    status = site.do("status", "--pidfile", "site.pid")
    refused = site.do("run", "bare:Bare", "--pidfile", "site.pid")
    others = [
        site.do(command, "--pidfile", "site.pid", *more)[0]
        for command, *more in (["reload"], ["restart", "--timeout", "1"])
    ]
    (site.folder / "big").unlink()
    stopped = site.do("stop", "--pidfile", "site.pid")

    assert (status[0], refused[0]) == (0, 1)
    assert status[1].startswith(f"running: process {pid} (")
    assert set(others) <= {0, 1}
    assert stopped == (0, f"process {pid} has ended\n")
    assert site.do("status", "--pidfile", "site.pid")[0] in (1, 3)
    assert site.do("run", "shop:Shop", *DAEMON)[0] == 0
    assert site.do("stop", "--pidfile", "site.pid")[0] == 0
    assert not list(site.folder.glob("*site.pid*"))


def test_a_restart_that_is_refused_is_reported_at_once(tmp_path: Path) -> None:
    """With the reason; the site goes on."""
    (tmp_path / "release").mkdir()
    site = Site(tmp_path / "release")
    try:
        assert site.do("run", "shop:Shop", "--daemon", "--pidfile", "../site.pid")[0] == 0
        (tmp_path / "release").rename(tmp_path / "old")
        site.folder = tmp_path

        status, told = site.do("restart", "--pidfile", "site.pid", "--timeout", "50")

        assert status == 1
        assert told == (
            f"Error: process {site.pid} was not restarted: this process cannot be restarted: its directory "
            f"{tmp_path / 'release'} no longer exists; restore it, or start the program from another place\n"
        )
        assert site.do("stop", "--pidfile", "site.pid")[0] == 0
    finally:
        site.folder = tmp_path / "old"
        site.end()


@pytest.mark.skipif(os.geteuid() != 0, reason="it takes root to become another user")
def test_a_site_without_a_right_to_its_folder_reports_all_the_same(site: Site) -> None:
    """Its privileges were dropped, and root alone may enter the folder of the PID file."""
    site.folder.chmod(0o700)
    site.do("run", "shop:Shop", *DAEMON, "--user", "65534", "--group", "65534")

    status, told = site.do("restart", "--pidfile", "site.pid", "--timeout", "50")

    assert status == 1
    assert f"process {site.pid} was not restarted: " in told
    assert f": its directory {site.folder} " in told
    assert site.do("stop", "--pidfile", "site.pid")[0] == 0


def test_a_command_that_reads_nothing_does_not_hold_up_a_restart(site: Site) -> None:
    """The site starts again, however long its reports wait."""
    site.do("run", "shop:Shop", *DAEMON)
    site.reach("shop at")
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with connection, short_path(socket_beside(site.folder / "site.pid")) as address:
        connection.connect(address)
        os.kill(site.pid, signal.SIGHUP)
        assert [site.reach(text) for text in ("stopped", "built", "shop at")]
        assert site.do("restart", "--pidfile", "site.pid")[0] == 0


@pytest.mark.parametrize("what", ["gone", "another"])
def test_a_site_that_cannot_report_is_not_restarted(site: Site, what: str) -> None:
    """Its socket was removed, or is another process's: it is sent nothing."""
    site.do("run", "shop:Audit", *DAEMON)
    place = socket_beside(site.folder / "site.pid")
    place.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
        if what == "another":
            with short_path(place) as address:
                other.bind(address)
            other.listen()
        status, told = site.do("restart", "--pidfile", "site.pid")

    assert status == 1
    assert "nothing was sent" in told
    assert str(place) in told
    assert site.do("stop", "--pidfile", "site.pid")[0] == 0


@pytest.mark.parametrize("content", ["1\n", "", "{own}\n"])
@pytest.mark.parametrize("command", ["stop", "restart", "reload", "status"])
def test_a_process_that_cannot_be_identified_is_left_alone(site: Site, command: str, content: str) -> None:
    """The file is locked by a program that wrote another number into it: the status is 4, and nothing is sent."""
    path = site.folder / "site.pid"
    path.write_text(content.format(own=os.getpid()))
    with path.open("r+") as file:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqi0q", fcntl.F_WRLCK, 0, 0, 0, 0))
        status, told = site.do(command, "--pidfile", "site.pid")
    path.unlink()

    assert status == 4
    assert "the process is unknown: " in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("content", ["99999999999999999999", "4194305", "-1", "0", "1 2", "pid"])
@pytest.mark.parametrize(("command", "expected"), [("stop", 2), ("restart", 2), ("reload", 2), ("status", 4)])
def test_a_number_that_no_process_has_is_reported_in_one_line(
    tmp_path: Path, command: str, expected: int, content: str
) -> None:
    """The line names the file."""
    path = tmp_path / "site.pid"
    path.write_text(content)

    result = CliRunner().invoke(commands, [command, "--pidfile", str(path)], standalone_mode=command != "status")

    assert expected == (result.return_value if command == "status" else result.exit_code)
    assert f"{path} is not a PID file: it " in result.output
    assert result.output.count("\n") == 1


def test_a_start_that_fails_is_told_by_the_command_of_the_daemon(site: Site) -> None:
    """The status is 1, and nothing is left."""
    (site.folder / "taken").touch()

    status, told = site.do("run", "shop:Shop", *DAEMON, "--report", "start.json")

    assert status == 1
    assert "did not start: Shop.server in start:\n" in told
    assert "OSError: the port is taken\n" in told
    assert '"outcome": "failed"' in site.told("start.json")
    assert not (site.folder / "site.pid").exists()


def test_one_process_has_a_pid_file_and_a_crash_leaves_it_to_the_next(site: Site) -> None:
    """A second one is refused and leaves the first alone; what is left behind by kill -9 is told, and replaced."""
    site.do("run", "shop:Audit", *DAEMON)
    first = site.pid

    refused, told = site.do("run", "shop:Audit", "--pidfile", "site.pid")
    assert (refused, site.pid) == (1, first)
    assert f"{site.folder / 'site.pid'} is held by process {first}, which is still running" in told

    holder = Holder(first, site.folder / "site.pid", os.pidfd_open(first))
    os.kill(first, signal.SIGKILL)
    assert holder.ends_within(30)
    os.close(holder.handle or 0)
    left = site.do("status", "--pidfile", "site.pid")
    assert left == (1, f"not running: process {first} has left site.pid behind\n")
    assert site.do("stop", "--pidfile", "site.pid") == (0, "nothing to stop: no process holds site.pid\n")
    assert site.do("run", "shop:Audit", *DAEMON)[0] == 0
    assert site.do("stop", "--pidfile", "site.pid")[0] == 0


def test_a_stop_that_takes_too_long_is_told_and_may_be_forced(site: Site) -> None:
    """The status is 1 while it still runs; a second SIGTERM ends it, and its output has where it was."""
    site.do("run", "shop:Hanging", *DAEMON, "--output", "site.out")
    pid = site.pid

    late = site.do("stop", "--pidfile", "site.pid", "--timeout", "0.01", "--kill")

    assert late[0] == 0
    assert f"process {pid} (" in late[1]
    assert ") still runs, 0.01 s after SIGTERM\n" in late[1]
    assert late[1].endswith(f"process {pid} has ended\n")
    assert "SIGTERM again: ending at once; the stacks of all threads:" in site.told("site.out")


@pytest.mark.exhaustive
def test_what_still_runs_is_left_alone_without_being_asked_for(site: Site) -> None:
    """The status is 1, and the way out is named."""
    site.do("run", "shop:Hanging", *DAEMON)

    status, told = site.do("stop", "--pidfile", "site.pid", "--timeout", "0.5")

    assert status == 1
    assert told.endswith(" still runs, 0.5 s after SIGTERM\nuse --kill to end it at once, with a second SIGTERM\n")
    assert site.do("status", "--pidfile", "site.pid")[0] == 0


@pytest.mark.exhaustive
def test_what_no_sigterm_ends_is_named(site: Site) -> None:
    """A program that ignores it is not typedbus's to kill."""
    site.begin(program=("-c", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + HELD))
    site.reach("held")

    status, told = site.do("stop", "--pidfile", "site.pid", "--timeout", "0.1", "--kill")

    assert status == 1
    assert told.endswith(f"a second SIGTERM did not end it either: use kill -KILL {site.pid}\n")


def test_a_process_in_the_foreground_hears_the_same_signals(site: Site) -> None:
    """It is asked to be graceful and stopped; a restart would end it, and is refused."""
    process = site.begin("run", "shop:Shop", "--pidfile", "site.pid")
    site.reach("shop at")

    asked = site.do("reload", "--pidfile", "site.pid")
    assert (asked[0], site.reach("graceful")) == (0, "graceful")
    refused = site.do("restart", "--pidfile", "site.pid")
    stopped = site.do("stop", "--pidfile", "site.pid")

    assert refused[0] == 1
    assert (
        " is not a daemon, or has not started yet, and SIGHUP would end it; nothing was sent; restart it with "
        in refused[1]
    )
    assert stopped == (0, f"process {process.pid} has ended\n")
    assert (process.wait(30), site.reach("stopped")) == (0, "stopped")


def test_a_process_that_would_die_of_a_signal_gets_none(site: Site) -> None:
    """A PID file may be held by a program that listens to nothing; a stop ends it all the same."""
    process = site.begin(program=("-c", HELD))
    site.reach("held")

    refused = site.do("reload", "--pidfile", "site.pid")
    assert refused[0] == 1
    assert refused[1].count(" has no handler for SIGUSR1, which would end it; nothing was sent; ") == 1
    assert process.poll() is None
    assert site.do("stop", "--pidfile", "site.pid")[0] == 0
    assert process.wait(30) == -signal.SIGTERM


@pytest.mark.exhaustive
@pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/usr/bin/setpriv").exists(), reason="it takes root, and setpriv, to be another user"
)
@pytest.mark.parametrize("command", ["stop", "reload", "restart"])
def test_the_process_of_another_user_is_named(site: Site, command: str) -> None:
    """The status is 1, and nothing has happened to it."""
    site.do("run", "shop:Shop", *DAEMON, "--user", "nobody")
    pid = site.pid

    done = subprocess.run(
        ["/usr/bin/setpriv", "--bounding-set=-all", "--inh-caps=-all", sys.executable]
        + ["-m", "typedbus", command, "--pidfile", "site.pid"],
        cwd=site.folder,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.endswith(" belongs to another user; run this command as that user, or as root\n")
    assert site.pid == pid
    assert site.do("stop", "--pidfile", "site.pid")[0] == 0


def test_without_a_descriptor_of_it_the_lock_tells_the_end_of_a_process(tmp_path: Path) -> None:
    """It is let go in the exit; a file that is gone is held by nobody."""
    held = PIDFile(Bus(), path=tmp_path / "site.pid")
    held.start()
    holder = Holder(os.getpid(), tmp_path / "site.pid", None)

    assert not holder.ends_within(0.01)
    assert str(holder).startswith(f"process {os.getpid()} (")
    held.leave()
    assert holder.ends_within(30)
    held.path.unlink()
    assert holder.ends_within(30)


def test_all_that_is_wrong_with_the_settings_is_told_and_nothing_is_built(site: Site) -> None:
    """Each fault has its file and line; no secret is among them, and the status is 2."""
    (site.folder / "site.toml").write_text("[shop]\nport = 'eighty'\nnmae = 'x'\n\n[shp]\nport = 1\n", encoding="utf-8")
    (site.folder / "other.toml").write_text("[shop\n", encoding="utf-8")
    arguments = ("--config", "site.toml", "--config", "other.toml", "--config", "gone.toml")

    status, told = site.do("run", "shop:Shop", "shop:Audit", *arguments, "--set", "shop.pasword=hush", *DAEMON)

    lines = told.splitlines()
    assert status == 2
    assert lines[0].startswith("Error: invalid settings: 6 fault(s)")
    assert [line.split(": ")[0] for line in sorted(lines[1:])] == [
        "- gone.toml",
        "- option shop.pasword",
        "- other.toml:1",
        "- site.toml:2",
        "- site.toml:3",
        "- site.toml:5",
    ]
    assert "hush" not in told
    assert not (site.folder / "site.pid").exists()


@pytest.mark.parametrize("is_told", [True, False])
def test_settings_come_from_options_the_environment_and_files(site: Site, is_told: bool) -> None:
    """In this order; the files are those of --config, or else of TYPEDBUS_CONFIG."""
    for name, port in (("one", 1), ("two", 2), ("three", 3)):
        text = f"[shop]\nport = {port}\nname = '{name}'\npassword = '{name}'\n"
        (site.folder / f"{name}.toml").write_text(text, encoding="utf-8")
    site.environ |= {"TYPEDBUS_CONFIG": "three.toml", "SHOP_PORT": "4"}
    arguments = ("--config", "one.toml", "--config", "two.toml") if is_told else ()

    status, told = site.do("run", "shop:Shop", "--exit-after-start", "--set", "shop.password=a=b", *arguments)

    assert status == 0, told
    assert site.reach("t") == ("two at 4, a=b" if is_told else "three at 4, a=b")


@pytest.mark.parametrize("option", [("--config", "site.toml"), ("--set", "shop.port=1")])
def test_settings_that_nobody_reads_are_refused(site: Site, option: tuple[str, str]) -> None:
    """Whoever gave them expects them to be read."""
    (site.folder / "site.toml").write_text("", encoding="utf-8")
    (site.folder / "bare.py").write_text(
        "from typedbus import *\n\nclass Bare(Container):\n    bus = Component(Bus)\n", encoding="utf-8"
    )

    for targets, names in ((["shop:Audit", "shop:Hanging"], "Audit, Hanging"), (["bare:Bare"], "Bare")):
        status, told = site.do("run", *targets, *option)
        assert status == 2
        assert f"Error: {option[0]}: {names} declares no settings; declare some" in told


def test_a_service_manager_is_told(site: Site, tmp_path: Path) -> None:
    """Where there is one: that it is ready, and that it goes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        address = f"typedbus-test-{os.getpid()}"
        manager.bind(f"\0{address}")
        manager.settimeout(30)
        site.environ["NOTIFY_SOCKET"] = f"@{address}"

        status, _ = site.do("run", "shop:Audit", "--exit-after-start")

        told = b""
        while b"STOPPING=1" not in told:
            told += manager.recv(4096)
    assert status == 0
    assert b"READY=1" in told


def test_what_several_containers_have_wrong_is_told_at_once(site: Site) -> None:
    """Faults of each are told, nothing is built, and the status is 1; to check them tells the same."""
    (site.folder / "bad.py").write_text(
        "from shop import *\n\nclass One(Shop):\n    one = Component(Part, 1)\n\n"
        "class Two(Container):\n    two = Component(Part, 2)\n",
        encoding="utf-8",
    )

    ran, checked = site.do("run", "bad:One", "bad:Two"), site.do("check", "bad:One", "bad:Two")

    assert (ran[0], checked[0]) == (1, 1)
    assert "error: One, Two cannot be wired" in ran[1]
    for told in (ran[1], checked[1]):
        assert "One.one" in told
        assert "Two.two" in told
        assert "has no bus" not in told


@pytest.mark.exhaustive
def test_an_edit_restarts_a_site_that_is_worked_on(site: Site) -> None:
    """The command line comes again, in the same process."""
    process = site.begin("run", "shop:Shop", "--autoreload")
    site.reach("shop at 8080")
    with (site.folder / "shop.py").open("a", encoding="utf-8") as module:
        module.write("\nsay('edited')\n")

    assert site.reach("edited")
    assert site.reach("shop at 8080")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


@pytest.mark.exhaustive
def test_files_that_the_command_line_names_restart_a_site_that_is_worked_on(site: Site) -> None:
    """A path of --watch that did not exist, the settings, and the defaults; broken ones are waited for."""
    (site.folder / "site.toml").write_text("[shop]\nport = 8081\n")
    (site.folder / "typedbus.toml").write_text('config = ["site.toml"]\nwatch = "later"\n')
    process = site.begin("run", "shop:Shop", "--autoreload")
    assert process.stderr is not None
    site.reach("shop at 8081")
    assert any(
        "--watch later: it does not exist yet; the program restarts" in line
        for line in iter(process.stderr.readline, "")
    )
    (site.folder / "later").mkdir()
    (site.folder / "later" / "page.html").touch()
    site.reach("shop at 8081")
    (site.folder / "site.toml").write_text("[shop]\nport = 8082\n")
    site.reach("shop at 8082")
    (site.folder / "typedbus.toml").write_text("workers = true\n")
    assert any("it is restarted when a file changes" in line for line in iter(process.stderr.readline, ""))
    (site.folder / "typedbus.toml").write_text('config = "site.toml"\nworkers = 2 #\n')
    site.reach("shop at 8082")
    process.send_signal(signal.SIGTERM)

    assert process.wait(30) == 0


def test_a_path_to_watch_needs_something_that_watches(site: Site) -> None:
    """Given on the command line it is an error; among the defaults it is for those runs that watch."""
    status, told = site.do("run", "shop:Shop", "--exit-after-start", "--watch", "shop.py")
    (site.folder / "typedbus.toml").write_text('watch = "shop.py"\n')

    assert status == 2
    assert "--watch has no effect without --autoreload; add --autoreload" in told
    assert site.do("run", "shop:Shop", "--exit-after-start")[0] == 0


@pytest.mark.exhaustive
@pytest.mark.skipif(os.geteuid() != 0, reason="it takes root to become another user")
def test_a_site_that_began_as_root_goes_on_as_another_user(site: Site) -> None:
    """Its PID file, which it cannot remove any more, is empty after its end."""
    began = site.do("run", "shop:Shop", *DAEMON, "--user", "65534", "--group", "65534", "--umask", "027")
    pid = site.pid
    said = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    stopped = site.do("stop", "--pidfile", "site.pid")

    assert (began[0], stopped[0]) == (0, 0)
    assert "\nUid:\t65534\t65534\t65534\t65534\n" in said
    assert "\nGid:\t65534\t65534\t65534\t65534\n" in said
    assert "\nUmask:\t0027\n" in said
