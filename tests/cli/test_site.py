"""The components that the options of `typedbus run` declare beside a site, and the combinations that are refused."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from typedbus import Bus, Component, Container
from typedbus._container.attachment import attached
from typedbus._container.core import components_of
from typedbus._container.descriptions import class_of
from typedbus.cli import commands

if sys.platform in ("win32", "darwin"):
    pytest.skip("no process becomes a daemon on this system", allow_module_level=True)

import click

from typedbus.cli._options import assignment, umask
from typedbus.cli._process_options import ProcessOptions, attach_first, container_of_options, refuse_invalid
from typedbus.plugins.autoreload import Autoreload
from typedbus.plugins.daemon import Daemon
from typedbus.plugins.logs import Logging
from typedbus.plugins.pidfile import PIDFile
from typedbus.plugins.privileges import Privileges
from typedbus.plugins.signals import Signals
from typedbus.plugins.systemd import Systemd

EVERYTHING = ProcessOptions(
    pidfile=Path("site.pid"),
    is_daemon=True,
    output=Path("site.out"),
    user=0,
    group=0,
    umask=0o027,
    is_autoreload=True,
    log_file=Path("site.log"),
    log_level=30,
)


class Part:
    """Records its construction."""

    built: list[str] = []

    def __init__(self, name: str) -> None:
        self.built.append(name)


class Shop(Container):
    """A site."""

    bus = Component(Bus)
    part = Component(Part, "shop")


class Audit(Container):
    """A second site."""

    bus = Component(Bus)
    part = Component(Part, "audit")


def classes(container: Container) -> list[type | None]:
    """Return the classes of the components of *container*, without its bus."""
    return [cls for component in components_of(container) if (cls := class_of(component)) is not Bus]


def test_signals_are_declared_without_an_option() -> None:
    """A site receives requests for a graceful exit and for a restart."""
    container = container_of_options(ProcessOptions(), [Shop()])

    assert classes(container) == [Signals]
    container.validate()


def test_options_declare_components_with_their_arguments() -> None:
    """Each is the component that a program would declare, and the container is valid."""
    container = container_of_options(EVERYTHING, [Shop()])

    assert classes(container) == [Signals, Daemon, Logging, PIDFile, Privileges, Autoreload]
    container.validate()
    declared = EVERYTHING.components()
    assert declared[Daemon] == ("--daemon", {"stdout": Path("site.out"), "stderr": Path("site.out")})
    log = {"logger": "", "file": Path("site.log"), "console": False, "level": 30}
    assert declared[Logging] == ("--log-file", log)
    assert declared[PIDFile] == ("--pidfile", {"path": Path("site.pid")})
    assert declared[Privileges] == ("--user", {"user": 0, "group": 0, "umask": 0o027})


def test_a_level_without_a_file_logs_to_stderr() -> None:
    """A file without a level has the default level of the component."""
    level, file = (
        ProcessOptions(log_level=10).components()[Logging],
        ProcessOptions(log_file=Path("log")).components()[Logging],
    )

    assert level == ("--log-level", {"logger": "", "file": None, "console": True, "level": 10})
    assert file == ("--log-file", {"logger": "", "file": Path("log"), "console": False})


@pytest.mark.parametrize(
    ("option", "options"),
    [
        ("--user", ProcessOptions(user="nobody", umask=0o77)),
        ("--group", ProcessOptions(group="nogroup")),
        ("--umask", ProcessOptions(umask=0)),
        ("--log-level", ProcessOptions(log_level=10)),
        ("--daemon", ProcessOptions(is_daemon=True)),
        ("--autoreload", ProcessOptions(is_autoreload=True)),
        ("--pidfile", ProcessOptions(pidfile=Path("other.pid"))),
    ],
)
def test_an_option_for_a_component_of_the_site_is_refused(option: str, options: ProcessOptions) -> None:
    """The error names the option, the component and its place."""
    cls = next(iter(options.components()))
    own: Component[object] = Component(cls, Bus())
    site = type("Site", (Container,), {"own": own})

    with pytest.raises(click.UsageError) as refused:
        container_of_options(options, [Shop(), site()])

    assert refused.value.message == (
        f"{option}: Site.own ({own.place}) is already a {cls.__name__}; leave out the option, or remove the component"
    )


def test_components_of_the_site_replace_default_signals_and_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an option there is no conflict; without NOTIFY_SOCKET, Systemd is not declared."""
    monkeypatch.setenv("NOTIFY_SOCKET", "@nobody")

    class OwnSignals(Signals):
        """Signals that a site declares itself."""

    class Site(Shop):
        """A site with its own Signals and Systemd."""

        signals = Component(OwnSignals, Shop.bus.provided)
        systemd = Component(Systemd, Shop.bus.provided)

    assert classes(container_of_options(ProcessOptions(), [Site()])) == []
    assert classes(container_of_options(ProcessOptions(), [Shop()])) == [Signals, Systemd]


def test_components_of_options_are_built_first() -> None:
    """A log file thus receives events and failures of the other containers, which keep their order."""
    shop, audit = Shop(), Audit()
    bus = attached([shop, audit], None, None)

    class Line(Container):
        """A container in place of that of the options."""

        bus = Component(Bus)
        part = Component(Part, "options")

    line = Line()
    Part.built.clear()
    attach_first(line, [shop, audit], bus)
    assert attached([shop, audit, line], None, None) is bus
    bus.start()
    bus.exit()

    assert Part.built == ["options", "shop", "audit"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (
            ProcessOptions(is_daemon=True, is_autoreload=True),
            "--autoreload does not work with --daemon; restart a daemon with `typedbus restart`",
        ),
        (
            ProcessOptions(output=Path("out")),
            "--output needs --daemon; without it, redirect stdout and stderr",
        ),
        (
            ProcessOptions(user="nobody-at-all"),
            "user 'nobody-at-all' does not exist on this system; create it, or correct the name",
        ),
        (
            ProcessOptions(group="nobody-at-all"),
            "group 'nobody-at-all' does not exist on this system; create it, or correct the name",
        ),
    ],
)
def test_conflicting_options_are_refused(options: ProcessOptions, problem: str) -> None:
    """Before a module is imported, where the options alone show the conflict."""
    with pytest.raises(click.UsageError) as refused:
        refuse_invalid(options)

    assert refused.value.message == problem


def test_compatible_options_are_accepted() -> None:
    """The check opens no file and starts no process."""
    files = set(Path.cwd().iterdir())

    refuse_invalid(
        ProcessOptions(
            is_daemon=True, output=Path("site.out"), pidfile=Path("site.pid"), user=0, log_file=Path("site.log")
        )
    )
    refuse_invalid(ProcessOptions(is_autoreload=True))

    assert set(Path.cwd().iterdir()) == files


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["run", "a:B", "--daemon", "--autoreload"], "--autoreload does not work with --daemon"),
        (["run", "a:B", "--output", "out"], "--output needs --daemon"),
        (["run", "a:B", "--user", "nobody-at-all"], "user 'nobody-at-all' does not exist on this system"),
        (["run", "a:B", "--daemon", "--report", "-"], "--report -: a daemon has no stdout; name a file"),
        (["run", "a:B", "--umask", "8"], "'8' is not a umask: give three octal digits, for example 027"),
        (["run", "a:B", "--umask", "1777"], "'1777' is not a umask"),
        (["run", "a:B", "--set", "port"], "'--set': a setting is written as section.key=value"),
        (["run", "a:B", "--set", ".port=3"], "'--set': a setting is written as section.key=value"),
        (["run", "a:B", "--log-level", "loud"], "'loud' is not one of"),
        (["stop", "--pidfile", "a.pid", "--timeout", "0"], "0.0 is not in the range x>0"),
        (["stop"], "Missing option '--pidfile'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_an_invalid_option_is_a_usage_error(tmp_path: Path, arguments: list[str], problem: str) -> None:
    """The status is 2, and no module is imported."""
    with contextlib.chdir(tmp_path):
        done = CliRunner().invoke(commands, arguments)

    assert problem in done.stderr
    assert (done.exit_code, done.stdout) == (2, "")


@pytest.mark.parametrize(
    ("content", "message", "status"),
    [
        (None, "not running: no process holds {file}, which does not exist\n", 3),
        ("", "not running: no process holds {file}\n", 3),
        ("1\n", "not running: process 1 has left {file} behind\n", 1),
        ("[shop]", "unknown: {file} is not a PID file: it begins with b'[shop]'; correct the path, or remove the file\n", 4),
    ],
)  # fmt: skip
def test_status_has_the_exit_statuses_of_an_init_script(
    tmp_path: Path, content: str | None, message: str, status: int
) -> None:
    """A PID file that no process holds is stale, even if a process has its number."""
    file = tmp_path / "site.pid"
    if content is not None:
        file.write_text(content, encoding="utf-8")

    done = CliRunner().invoke(commands, ["status", "--pidfile", str(file)], standalone_mode=False)

    assert (done.return_value, done.stdout) == (status, message.format(file=file))


@pytest.mark.parametrize(
    ("command", "message", "status"),
    [
        ("stop", "nothing to stop: no process holds {file}", 0),
        ("restart", "Error: nothing to restart: no process holds {file}", 1),
        ("reload", "Error: nothing to reload: no process holds {file}", 1),
    ],
)
@pytest.mark.parametrize("is_there", [True, False])
def test_without_a_process_only_stop_succeeds(
    tmp_path: Path, command: str, message: str, status: int, is_there: bool
) -> None:
    """A stale file stays."""
    file = tmp_path / "site.pid"
    if is_there:
        file.write_text("1\n", encoding="utf-8")

    done = CliRunner().invoke(commands, [command, "--pidfile", str(file)])

    suffix = "" if is_there else ", which does not exist"
    assert (done.exit_code, done.stderr) == (status, f"{message.format(file=file)}{suffix}\n")
    assert file.exists() == is_there


@pytest.mark.parametrize("command", ["stop", "restart", "reload"])
def test_a_file_that_is_not_a_pid_file_is_a_usage_error(tmp_path: Path, command: str) -> None:
    """No process receives a signal."""
    (tmp_path / "site.pid").write_text(f"0{os.getpid()} and more", encoding="utf-8")

    done = CliRunner().invoke(commands, [command, "--pidfile", str(tmp_path / "site.pid")])

    assert f"{tmp_path / 'site.pid'} is not a PID file: it begins with" in done.stderr
    assert done.exit_code == 2


def test_the_help_of_run_has_its_options_in_groups() -> None:
    """The groups have headings, and arguments are not among them."""
    text = CliRunner().invoke(commands, ["run", "--help"]).stdout

    groups = text.split("\n\n")[-5:]
    assert [group.splitlines()[0] for group in groups] == [
        "Start and stop:",
        "Settings:",
        "Process:",
        "Observation:",
        "Options:",
    ]
    assert "  --config FILE" in groups[1]
    assert "  --pidfile FILE" in groups[2]
    assert groups[4] == "Options:\n  -h, --help  Show this message and exit.\n"


def test_umasks_and_settings_are_parsed() -> None:
    """A umask is octal, or a number already; the first equals sign separates a key from its value."""
    assert (umask("027"), umask(0o27)) == (0o27, 0o27)
    assert assignment("shop.password=a=b") == ("shop.password", "a=b")
