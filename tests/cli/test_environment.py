"""The command line in broken environments: it prints one line with the reason, and exits with a documented status."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("the cases are those of a Unix system", allow_module_level=True)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

MODULE = """\
from typedbus import Bus, Component, Container
from typedbus.plugins.systemd import activated


class Part: ...


class Site(Container):
    bus = Component(Bus)


class Bad(Container):
    größe = Component(Part, nothing=1)  # type: ignore[call-arg]


class Größe(Container):
    bus = Component(Bus)
    straße = Component(Part)


class Activated(Container):
    bus = Component(Bus)
    sockets = Component(activated)
"""
SHOP = """\
import attrs

from typedbus import Bus, Component, Container
from typedbus.settings import configured


@attrs.frozen
class Settings:
    port: int = 8080


class Shop(Container):
    bus = Component(Bus)
    settings = configured(Settings, section="shop")
"""


def typedbus(folder: Path, *arguments: str, before: str = "", environ: dict[str, str] | None = None) -> tuple[int, str]:
    """Return the status of a command and its output; *before* is a shell command that runs first."""
    (folder / "module.py").write_text(MODULE, encoding="utf-8")
    (folder / "shop.py").write_text(SHOP, encoding="utf-8")
    unset = ("PYTHONUNBUFFERED", "NOTIFY_SOCKET", "TYPEDBUS_CONFIG")
    kept = {name: value for name, value in os.environ.items() if name not in unset}
    done = subprocess.run(
        ["sh", "-c", f'{before}\nexec "$@"', "sh", sys.executable, "-m", "typedbus", *arguments],
        cwd=folder,
        env={**kept, "PYTHONPATH": f"{folder}{os.pathsep}{os.environ['PYTHONPATH']}", **(environ or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    output = done.stdout.decode(errors="replace")
    assert "Traceback" not in output, output
    assert "Exception ignored" not in output, output
    return done.returncode, output


@pytest.mark.parametrize(
    "line",
    [
        'pidfile = "a\\u0000b"',
        'output = "a\\u0000b"',
        pytest.param('log-file = "a\\u0000b"', marks=pytest.mark.exhaustive),
        pytest.param('report = "a\\u0000b"', marks=pytest.mark.exhaustive),
        'config = ["a", "a\\u0000b"]',
        'target = "a\\u0000b:Site"',
        'user = "a\\u0000b"',
        'set = "shop.port=a\\u0000b"',
    ],
    ids=lambda line: line.partition(" ")[0],
)
def test_a_null_character_in_the_defaults_is_reported_with_its_line(tmp_path: Path, line: str) -> None:
    """As an error of every command, like other invalid defaults."""
    (tmp_path / "typedbus.toml").write_text(f"workers = 2\n{line}\n", encoding="utf-8")

    status, output = typedbus(tmp_path, "status")

    assert status == 2
    assert f"typedbus.toml:2: {line.partition(' ')[0]} must be a string without a null character" in output


GONE = "mkdir gone; cd gone; rmdir ../gone"


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("check module:Bad", 1),
        pytest.param("check module:Bad --format github", 1, marks=pytest.mark.exhaustive),
        ("check nothing:Site", 2),
        ("graph module:Site --output x.svg", 2),
        ("run module:Site --exit-after-start", 0),
        ("run module:Site --exit-after-start --pidfile x", 2),
        pytest.param("run module:Site --exit-after-start --report x", 2, marks=pytest.mark.exhaustive),
        ("status --pidfile x", 4),
        ("stop --pidfile x", 2),
        ("status --pidfile /nonexistent/x", 3),
        ("stop --pidfile /nonexistent/x", 0),
    ],
)
def test_a_removed_working_directory_fails_relative_paths_only(tmp_path: Path, line: str, status: int) -> None:
    """Commands that need no relative path work."""
    assert typedbus(tmp_path, *line.split(), before=GONE)[0] == status


@pytest.mark.parametrize(
    ("option", "path", "status"),
    [
        ("--pidfile", "x" * 5000, 1),
        ("--pidfile", "folder", 1),
        ("--log-file", "module.py/x", 1),
        ("--log-file", "", 1),
        ("--log-file", os.fsdecode(b"\xff\xfe"), 0),
        ("--report", "x" * 5000, 2),
        ("--report", "a/" * 3000, 2),
        ("--config", "x" * 5000, 2),
        ("--config", "folder", 2),
    ],
    ids=lambda value: ascii(value)[:12],
)
def test_an_unusable_path_is_reported_in_one_line(tmp_path: Path, option: str, path: str, status: int) -> None:
    """Too long, a folder, below a file, or empty; a name of undecodable bytes is valid."""
    (tmp_path / "folder").mkdir()

    assert typedbus(tmp_path, "run", "shop:Shop", "--exit-after-start", option, path)[0] == status


@pytest.mark.parametrize(
    ("contents", "status", "text"),
    [
        (b"\xef\xbb\xbf[shop]\nport = 1\n", 0, ""),
        (b"[shop]\n\xff = 1\n", 2, ":2: is not valid TOML: it is not encoded in UTF-8; save it in that encoding"),
        (b"\0", 2, "is not valid TOML"),
        (b"", 0, ""),
    ],
    ids=["mark", "latin", "null", "empty"],
)
def test_settings_must_be_utf_8(tmp_path: Path, contents: bytes, status: int, text: str) -> None:
    """A byte order mark is accepted; another encoding is reported with its line."""
    (tmp_path / "site.toml").write_bytes(contents)

    ended, output = typedbus(tmp_path, "run", "shop:Shop", "--exit-after-start", "--config", "site.toml")

    assert ended == status
    assert text in output


@pytest.mark.parametrize("kind", ["folder", pytest.param("pipe", marks=pytest.mark.exhaustive), "device"])
def test_settings_that_are_not_a_file_are_refused(tmp_path: Path, kind: str) -> None:
    """The command does not block on a pipe without a writer or on an endless device."""
    path = tmp_path / "site.toml"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path = Path("/dev/zero")

    status, output = typedbus(tmp_path, "run", "shop:Shop", "--exit-after-start", "--config", str(path))

    assert status == 2
    assert f"{path}: cannot be read: " in output


def test_settings_can_be_read_from_a_pipe(tmp_path: Path) -> None:
    """The writer may open it later, and write slowly."""
    os.mkfifo(tmp_path / "site.toml")

    def write() -> None:
        with (tmp_path / "site.toml").open("w", encoding="utf-8") as pipe:
            pipe.write("[shop]\n")
            pipe.flush()
            pipe.write("port = 'eighty'\n")

    writer = threading.Thread(target=write)
    writer.start()
    status, output = typedbus(tmp_path, "run", "shop:Shop", "--exit-after-start", "--config", "site.toml")
    writer.join()

    assert status == 2
    assert "site.toml:2: shop.port must be a whole number, not 'eighty'" in output


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_defaults_that_are_not_a_file_are_refused(tmp_path: Path, kind: str) -> None:
    """No command runs."""
    if kind == "folder":
        (tmp_path / "typedbus.toml").mkdir()
    else:
        os.mkfifo(tmp_path / "typedbus.toml")

    status, output = typedbus(tmp_path, "check", "module:Site")

    assert status == 2
    assert "typedbus.toml: cannot be read: " in output


@pytest.mark.parametrize(
    "line",
    ["check module:Bad", "run module:Größe --exit-after-start", "run --help"],
)
@pytest.mark.parametrize(
    "environ",
    [
        {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        {"COLUMNS": "0", "LINES": "x", "TERM": "absurd", "HOME": ""},
        pytest.param({"COLUMNS": "9" * 20, "TMPDIR": "/nonexistent"}, marks=pytest.mark.exhaustive),
    ],
    ids=["ascii", "narrow", "wide"],
)
def test_locales_and_terminals_do_not_change_the_status(tmp_path: Path, environ: dict[str, str], line: str) -> None:
    """Names that the encoding lacks are escaped."""
    assert typedbus(tmp_path, *line.split(), environ=environ)[0] == (1 if "Bad" in line else 0)


def test_status_escapes_characters_that_the_encoding_lacks(tmp_path: Path) -> None:
    """The rest of the name is readable, and no exception is raised."""
    name = "größe.pid"
    (tmp_path / name).write_text("no pid")

    environ = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    status, output = typedbus(tmp_path, "status", "--pidfile", name, environ=environ)

    assert status == 4
    assert re.search(r"gr\S+e\.pid is not a PID file", output), output


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WATCHDOG_USEC", "9" * 6000),
        pytest.param("WATCHDOG_PID", "-1", marks=pytest.mark.exhaustive),
        pytest.param("LISTEN_FDS", "99999999999", marks=pytest.mark.exhaustive),
        ("LISTEN_FDS", "-1"),
        ("LISTEN_PID", "9" * 6000),
        ("LISTEN_PID", "٣"),
    ],
    ids=lambda value: ascii(value)[:12],
)
def test_invalid_numbers_of_a_service_manager_are_reported_in_one_line(tmp_path: Path, name: str, value: str) -> None:
    """A site that needs them does not start."""
    status, output = typedbus(
        tmp_path,
        *("run", "module:Activated", "--exit-after-start"),
        # The process replaces the shell.
        before="" if name == "LISTEN_PID" else "export LISTEN_PID=$$",
        environ={"NOTIFY_SOCKET": "/nonexistent/notify", "LISTEN_FDS": "1", name: value},
    )

    assert status == 1
    assert len([line for line in output.splitlines() if line.startswith("error: the environment variable")]) == 1


@pytest.mark.parametrize("address", ["vsock:2:1234", "@" + "x" * 300])
def test_a_service_manager_that_cannot_be_notified_is_logged(tmp_path: Path, address: str) -> None:
    """The site runs nevertheless."""
    environ = {"NOTIFY_SOCKET": address}
    status, output = typedbus(tmp_path, "run", "module:Site", "--exit-after-start", environ=environ)

    assert status == 0
    assert "log      " in output
