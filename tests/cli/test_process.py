"""Sites that the command line runs: their settings, their processes, and the commands that control them."""

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
    """A folder with a site, and the commands that run in it."""

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
        """Start a command or a program."""
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
        """Return the status of a command and its output."""
        command = self.begin(*arguments)
        output, errors = command.communicate(timeout=60)
        return command.returncode, output + errors

    def reach(self, text: str) -> str:
        """Return the next line of output that begins with *text*."""
        for line in self.line:
            if line.startswith(text):
                return line.strip()
        raise AssertionError(text)

    def content_of(self, name: str) -> str:
        """Return the text of a file."""
        return (self.folder / name).read_text(encoding="utf-8")

    @property
    def pid(self) -> int:
        """The PID in the PID file."""
        return int(self.content_of("site.pid"))

    def end(self) -> None:
        """Kill all processes that were started."""
        os.close(self.writing)
        for one in self.begun:
            one.kill()
            one.communicate()
        with contextlib.suppress(OSError, ValueError):
            # The number may belong to another process; processes in this folder were started by the test.
            if Path(f"/proc/{self.pid}/cwd").readlink() == self.folder.resolve():
                os.kill(self.pid, signal.SIGKILL)
        # Until the last process that has inherited the stream has ended.
        self.line.read()
        self.line.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Return a site; its processes are killed afterwards."""
    made = Site(tmp_path)
    yield made
    made.end()


DAEMON = ("--daemon", "--pidfile", "site.pid")


def test_a_site_runs_as_a_daemon_until_it_is_stopped(site: Site) -> None:
    """The command returns after the start, when the report is complete; workers, limits, log and output are set in the daemon."""
    (site.folder / "site.toml").write_text("[shop]\nname = 'mugs'\nport = 81\n", encoding="utf-8")
    watched = ("--log-file", "site.log", "--output", "site.out", "--report", "start.json", "--umask", "077")
    limits = ("--workers", "3", "--start-limit", "50", "--config", "site.toml", "--set", "shop.port=82")

    began = site.do("run", "shop:Shop", "shop:Audit", *DAEMON, *watched, *limits)
    report = site.content_of("start.json")
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
    log = site.content_of("site.log")
    assert "INFO shop: serves 82\n" in log
    assert "continues as daemon" in log
    assert log.endswith("bus EXITED\n")
    assert "\nprinted\n" in site.content_of("site.out")
    assert stat.S_IMODE((site.folder / "made").stat().st_mode) == 0o644
    assert site.do("status", "--pidfile", "site.pid")[0] == 3


def test_a_restart_waits_until_the_daemon_has_started_again(site: Site) -> None:
    """The PID and the options stay, and later events are not reported."""
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
    assert "cannot send" not in site.content_of("site.log")


@pytest.mark.parametrize(
    ("broken", "content", "why"),
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
def test_a_failed_restart_is_reported_with_its_reason(site: Site, broken: str, content: str, why: str) -> None:
    """The status is 1, and the daemon has ended."""
    (site.folder / "site.toml").touch()
    site.do("run", "shop:Shop", *DAEMON, "--config", "site.toml")
    pid = site.pid
    (site.folder / broken).write_text(content, encoding="utf-8")

    status, output = site.do("restart", "--pidfile", "site.pid")

    assert status == 1
    assert output.startswith(f"Error: process {pid} has ended instead; its last report: {why}")
    assert site.do("status", "--pidfile", "site.pid")[0] == 3


def test_a_restart_waits_for_the_start_of_a_second_restart(site: Site) -> None:
    """The process is replaced once more during its start."""
    site.do("run", "shop:Shop", *DAEMON)
    site.reach("shop at")
    (site.folder / "slow").touch()
    command = site.begin("restart", "--pidfile", "site.pid", "--timeout", "50")
    site.reach("waits")

    os.kill(site.pid, signal.SIGHUP)
    (site.folder / "slow").unlink()

    output, errors = command.communicate(timeout=55)
    assert (command.returncode, output + errors) == (0, f"process {site.pid} has started again\n")


@pytest.mark.exhaustive
def test_a_restart_times_out(site: Site) -> None:
    """The status is 1 for each command that waits for the same restart."""
    site.do("run", "shop:Hanging", *DAEMON)
    first = site.begin("restart", "--pidfile", "site.pid", "--timeout", "8")
    site.reach("hangs")

    second = site.do("restart", "--pidfile", "site.pid", "--timeout", "1")
    _, output = first.communicate(timeout=30)

    late = f"Error: process {site.pid} has not reported within {{}} s that it has started again; "
    last = "its last report: nothing; its log may have details\n"
    assert (second, first.returncode) == ((1, late.format(1) + last), 1)
    assert output == late.format(8) + last


def test_a_site_that_restarts_runs_and_can_be_stopped(site: Site) -> None:
    """During the import of the new program, status reports a running site, other commands do no harm, and a stop ends it."""
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
    """With the reason; the site continues to run."""
    (tmp_path / "release").mkdir()
    site = Site(tmp_path / "release")
    try:
        assert site.do("run", "shop:Shop", "--daemon", "--pidfile", "../site.pid")[0] == 0
        (tmp_path / "release").rename(tmp_path / "old")
        site.folder = tmp_path

        status, output = site.do("restart", "--pidfile", "site.pid", "--timeout", "50")

        assert status == 1
        assert output == (
            f"Error: process {site.pid} was not restarted: this process cannot be restarted: its directory "
            f"{tmp_path / 'release'} no longer exists; restore it, or start the program from another place\n"
        )
        assert site.do("stop", "--pidfile", "site.pid")[0] == 0
    finally:
        site.folder = tmp_path / "old"
        site.end()


@pytest.mark.skipif(os.geteuid() != 0, reason="it takes root to become another user")
def test_a_site_without_access_to_the_folder_of_its_pid_file_reports(site: Site) -> None:
    """It has dropped its privileges, and only root may enter the folder."""
    site.folder.chmod(0o700)
    site.do("run", "shop:Shop", *DAEMON, "--user", "65534", "--group", "65534")

    status, output = site.do("restart", "--pidfile", "site.pid", "--timeout", "50")

    assert status == 1
    assert f"process {site.pid} was not restarted: " in output
    assert f": its directory {site.folder} " in output
    assert site.do("stop", "--pidfile", "site.pid")[0] == 0


def test_unread_reports_do_not_delay_a_restart(site: Site) -> None:
    """The site starts again although a command that waits for it reads nothing."""
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
    """Its socket was removed, or belongs to another process: no signal is sent."""
    site.do("run", "shop:Audit", *DAEMON)
    place = socket_beside(site.folder / "site.pid")
    place.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
        if what == "another":
            with short_path(place) as address:
                other.bind(address)
            other.listen()
        status, output = site.do("restart", "--pidfile", "site.pid")

    assert status == 1
    assert "nothing was sent" in output
    assert str(place) in output
    assert site.do("stop", "--pidfile", "site.pid")[0] == 0


@pytest.mark.parametrize("content", ["1\n", "", "{own}\n"])
@pytest.mark.parametrize("command", ["stop", "restart", "reload", "status"])
def test_a_process_that_cannot_be_identified_gets_no_signal(site: Site, command: str, content: str) -> None:
    """The program that locks the file has written another number into it; the status is 4."""
    path = site.folder / "site.pid"
    path.write_text(content.format(own=os.getpid()))
    with path.open("r+") as file:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqi0q", fcntl.F_WRLCK, 0, 0, 0, 0))
        status, output = site.do(command, "--pidfile", "site.pid")
    path.unlink()

    assert status == 4
    assert "the process is unknown: " in output
    assert output.count("\n") == 1


@pytest.mark.parametrize("content", ["99999999999999999999", "4194305", "-1", "0", "1 2", "pid"])
@pytest.mark.parametrize(("command", "expected"), [("stop", 2), ("restart", 2), ("reload", 2), ("status", 4)])
def test_a_pid_of_no_process_is_reported_in_one_line(tmp_path: Path, command: str, expected: int, content: str) -> None:
    """The line names the file."""
    path = tmp_path / "site.pid"
    path.write_text(content)

    result = CliRunner().invoke(commands, [command, "--pidfile", str(path)], standalone_mode=command != "status")

    assert expected == (result.return_value if command == "status" else result.exit_code)
    assert f"{path} is not a PID file: it " in result.output
    assert result.output.count("\n") == 1


def test_the_command_reports_the_failed_start_of_a_daemon(site: Site) -> None:
    """The status is 1, and no process or file is left."""
    (site.folder / "taken").touch()

    status, output = site.do("run", "shop:Shop", *DAEMON, "--report", "start.json")

    assert status == 1
    assert "did not start: Shop.server in start:\n" in output
    assert "OSError: the port is taken\n" in output
    assert '"outcome": "failed"' in site.content_of("start.json")
    assert not (site.folder / "site.pid").exists()


def test_a_pid_file_belongs_to_one_process_until_it_ends(site: Site) -> None:
    """A second process is refused; after kill -9, the stale file is reported and replaced."""
    site.do("run", "shop:Audit", *DAEMON)
    first = site.pid

    refused, output = site.do("run", "shop:Audit", "--pidfile", "site.pid")
    assert (refused, site.pid) == (1, first)
    assert f"{site.folder / 'site.pid'} is held by process {first}, which is still running" in output

    holder = Holder(first, site.folder / "site.pid", os.pidfd_open(first))
    os.kill(first, signal.SIGKILL)
    assert holder.ends_within(30)
    os.close(holder.handle or 0)
    left = site.do("status", "--pidfile", "site.pid")
    assert left == (1, f"not running: process {first} has left site.pid behind\n")
    assert site.do("stop", "--pidfile", "site.pid") == (0, "nothing to stop: no process holds site.pid\n")
    assert site.do("run", "shop:Audit", *DAEMON)[0] == 0
    assert site.do("stop", "--pidfile", "site.pid")[0] == 0


def test_a_stop_times_out_and_can_be_forced(site: Site) -> None:
    """The status is 1 while the process runs; a second SIGTERM ends it, and its output has the stacks."""
    site.do("run", "shop:Hanging", *DAEMON, "--output", "site.out")
    pid = site.pid

    late = site.do("stop", "--pidfile", "site.pid", "--timeout", "0.01", "--kill")

    assert late[0] == 0
    assert f"process {pid} (" in late[1]
    assert ") still runs, 0.01 s after SIGTERM\n" in late[1]
    assert late[1].endswith(f"process {pid} has ended\n")
    assert "SIGTERM again: ending at once; the stacks of all threads:" in site.content_of("site.out")


@pytest.mark.exhaustive
def test_a_process_is_killed_only_on_request(site: Site) -> None:
    """The status is 1, and the message names the option."""
    site.do("run", "shop:Hanging", *DAEMON)

    status, output = site.do("stop", "--pidfile", "site.pid", "--timeout", "0.5")

    assert status == 1
    assert output.endswith(" still runs, 0.5 s after SIGTERM\nuse --kill to end it at once, with a second SIGTERM\n")
    assert site.do("status", "--pidfile", "site.pid")[0] == 0


@pytest.mark.exhaustive
def test_a_program_that_ignores_sigterm_is_reported(site: Site) -> None:
    """A forced stop sends SIGTERM only."""
    site.begin(program=("-c", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + HELD))
    site.reach("held")

    status, output = site.do("stop", "--pidfile", "site.pid", "--timeout", "0.1", "--kill")

    assert status == 1
    assert output.endswith(f"a second SIGTERM did not end it either: use kill -KILL {site.pid}\n")


def test_a_process_in_the_foreground_handles_the_same_signals(site: Site) -> None:
    """A reload and a stop work; a restart is refused, because the process would end."""
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


def test_a_reload_is_not_sent_to_a_process_without_a_handler(site: Site) -> None:
    """The signal would kill the process; a stop ends it."""
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
def test_the_process_of_another_user_is_reported(site: Site, command: str) -> None:
    """The status is 1, and the process is unchanged."""
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


def test_without_a_pidfd_the_lock_shows_the_end_of_a_process(tmp_path: Path) -> None:
    """It is released in the exit; a removed file counts as released."""
    held = PIDFile(Bus(), path=tmp_path / "site.pid")
    held.start()
    holder = Holder(os.getpid(), tmp_path / "site.pid", None)

    assert not holder.ends_within(0.01)
    assert str(holder).startswith(f"process {os.getpid()} (")
    held.leave()
    assert holder.ends_within(30)
    held.path.unlink()
    assert holder.ends_within(30)


def test_all_invalid_settings_are_reported_before_anything_is_built(site: Site) -> None:
    """Each fault has its file and line; no secret is printed, and the status is 2."""
    (site.folder / "site.toml").write_text("[shop]\nport = 'eighty'\nnmae = 'x'\n\n[shp]\nport = 1\n", encoding="utf-8")
    (site.folder / "other.toml").write_text("[shop\n", encoding="utf-8")
    arguments = ("--config", "site.toml", "--config", "other.toml", "--config", "gone.toml")

    status, output = site.do("run", "shop:Shop", "shop:Audit", *arguments, "--set", "shop.pasword=hush", *DAEMON)

    lines = output.splitlines()
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
    assert "hush" not in output
    assert not (site.folder / "site.pid").exists()


@pytest.mark.parametrize("has_option", [True, False])
def test_settings_come_from_options_the_environment_and_files(site: Site, has_option: bool) -> None:
    """In this order; the files are those of --config, or else of TYPEDBUS_CONFIG."""
    for name, port in (("one", 1), ("two", 2), ("three", 3)):
        text = f"[shop]\nport = {port}\nname = '{name}'\npassword = '{name}'\n"
        (site.folder / f"{name}.toml").write_text(text, encoding="utf-8")
    site.environ |= {"TYPEDBUS_CONFIG": "three.toml", "SHOP_PORT": "4"}
    arguments = ("--config", "one.toml", "--config", "two.toml") if has_option else ()

    status, output = site.do("run", "shop:Shop", "--exit-after-start", "--set", "shop.password=a=b", *arguments)

    assert status == 0, output
    assert site.reach("t") == ("two at 4, a=b" if has_option else "three at 4, a=b")


@pytest.mark.parametrize("option", [("--config", "site.toml"), ("--set", "shop.port=1")])
def test_settings_that_no_container_reads_are_refused(site: Site, option: tuple[str, str]) -> None:
    """They would have no effect."""
    (site.folder / "site.toml").write_text("", encoding="utf-8")
    (site.folder / "bare.py").write_text(
        "from typedbus import *\n\nclass Bare(Container):\n    bus = Component(Bus)\n", encoding="utf-8"
    )

    for targets, names in ((["shop:Audit", "shop:Hanging"], "Audit, Hanging"), (["bare:Bare"], "Bare")):
        status, output = site.do("run", *targets, *option)
        assert status == 2
        assert f"Error: {option[0]}: {names} declares no settings; declare some" in output


def test_a_service_manager_is_notified(site: Site, tmp_path: Path) -> None:
    """That the site is ready, and that it stops."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        address = f"typedbus-test-{os.getpid()}"
        manager.bind(f"\0{address}")
        manager.settimeout(30)
        site.environ["NOTIFY_SOCKET"] = f"@{address}"

        status, _ = site.do("run", "shop:Audit", "--exit-after-start")

        output = b""
        while b"STOPPING=1" not in output:
            output += manager.recv(4096)
    assert status == 0
    assert b"READY=1" in output


def test_faults_of_several_containers_are_reported_at_once(site: Site) -> None:
    """No component is built, and the status is 1; `check` reports the same."""
    (site.folder / "bad.py").write_text(
        "from shop import *\n\nclass One(Shop):\n    one = Component(Part, 1)\n\n"
        "class Two(Container):\n    two = Component(Part, 2)\n",
        encoding="utf-8",
    )

    ran, checked = site.do("run", "bad:One", "bad:Two"), site.do("check", "bad:One", "bad:Two")

    assert (ran[0], checked[0]) == (1, 1)
    assert "error: One, Two cannot be wired" in ran[1]
    for output in (ran[1], checked[1]):
        assert "One.one" in output
        assert "Two.two" in output
        assert "has no bus" not in output


@pytest.mark.exhaustive
def test_an_edit_restarts_a_site_with_autoreload(site: Site) -> None:
    """With the same command line, in the same process."""
    process = site.begin("run", "shop:Shop", "--autoreload")
    site.reach("shop at 8080")
    with (site.folder / "shop.py").open("a", encoding="utf-8") as module:
        module.write("\nsay('edited')\n")

    assert site.reach("edited")
    assert site.reach("shop at 8080")
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


@pytest.mark.exhaustive
def test_files_of_the_command_line_restart_a_site_with_autoreload(site: Site) -> None:
    """A path of --watch that did not exist, the settings and the defaults; invalid settings are waited for."""
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


def test_watch_needs_autoreload(site: Site) -> None:
    """On the command line it is an error without --autoreload; in the defaults it applies only with it."""
    status, output = site.do("run", "shop:Shop", "--exit-after-start", "--watch", "shop.py")
    (site.folder / "typedbus.toml").write_text('watch = "shop.py"\n')

    assert status == 2
    assert "--watch has no effect without --autoreload; add --autoreload" in output
    assert site.do("run", "shop:Shop", "--exit-after-start")[0] == 0


@pytest.mark.exhaustive
@pytest.mark.skipif(os.geteuid() != 0, reason="it takes root to become another user")
def test_a_site_started_by_root_continues_as_another_user(site: Site) -> None:
    """Its PID file, which it cannot remove, is empty after its end."""
    began = site.do("run", "shop:Shop", *DAEMON, "--user", "65534", "--group", "65534", "--umask", "027")
    pid = site.pid
    content = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    stopped = site.do("stop", "--pidfile", "site.pid")

    assert (began[0], stopped[0]) == (0, 0)
    assert "\nUid:\t65534\t65534\t65534\t65534\n" in content
    assert "\nGid:\t65534\t65534\t65534\t65534\n" in content
    assert "\nUmask:\t0027\n" in content
