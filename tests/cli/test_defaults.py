"""The defaults of the commands that a folder declares in typedbus.toml and pyproject.toml."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from typedbus.cli import commands

Invoke = Callable[..., Result]

SHOP = """\
from typedbus import Bus, Component, Container


class Shop(Container):
    bus = Component(Bus)


class Audit(Container):
    bus = Component(Bus)
"""


@pytest.fixture
def invoke(tmp_path: Path) -> Invoke:
    """Return a function that runs a command in a folder with a typedbus.toml, and fails before it imports a target."""

    def carry_out(content: str, *arguments: str, file: str = "typedbus.toml") -> Result:
        (tmp_path / file).write_text(content, encoding="utf-8")
        with contextlib.chdir(tmp_path):
            return CliRunner().invoke(commands, arguments)

    return carry_out


def typedbus(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in *folder*."""
    command = [sys.executable, "-m", "typedbus", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("command", ["run", "check", "graph", "stop"])
def test_all_errors_are_reported_at_once_with_their_lines(invoke: Invoke, command: str) -> None:
    """Each has file, line and key, in the order of the file, for each command; the status is 2."""
    done = invoke(
        """\
# in every morning

targt = "shop:Shop"
config = 5
workers = 0
start-limit = "long"
log-level = "loud"
umask = "099"
daemon = "yes"
user = true
set = [
    "shop.password",
]
target = []
pidfile = 3

[elsewhere]
pidfile = "shop.pid"
""",
        command,
    )

    *faults, last = done.stderr.splitlines()[1:]
    assert done.stderr.splitlines()[0] == "Error: the defaults are invalid; nothing was done"
    assert faults == [
        "- typedbus.toml:3: targt is not an option of `typedbus run`; did you mean target?",
        "- typedbus.toml:4: config must be a string or a list of strings, not 5",
        "- typedbus.toml:5: workers: 0 is not in the range x>=1.",
        "- typedbus.toml:6: start-limit must be a number, not 'long'",
        "- typedbus.toml:7: log-level: 'loud' is not one of 'debug', 'info', 'warning', 'error'.",
        "- typedbus.toml:8: umask: '099' is not a umask: give three octal digits, for example 027",
        "- typedbus.toml:9: daemon must be true or false, not 'yes'",
        "- typedbus.toml:10: user must be a name or an id, not True",
        "- typedbus.toml:11: set: a setting is written as section.key=value",
        "- typedbus.toml:14: target must be a string or a list of strings",
        "- typedbus.toml:15: pidfile must be a string in quotes, not 3",
    ]
    assert last.startswith(
        "- typedbus.toml:17: elsewhere is not an option of `typedbus run`; the options are autoreload, config, "
    )
    assert (done.exit_code, done.stdout) == (2, "")


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("workers", "true", "must be a whole number, not True"),
        ("workers", "2.5", "must be a whole number, not 2.5"),
        ("stop-limit", "false", "must be a number, not False"),
        ("target", "['shop:Shop', 1]", "must be a string or a list of strings"),
        ("set", "7", "must be a string or a list of strings"),
        ("report", "{ x = 1 }", "must be a string in quotes"),
        ("group", "1.5", "must be a name or an id, not 1.5"),
        ("umask", "0o027", "must be a string in quotes, not 23"),
    ],
)
def test_a_value_of_another_type_is_reported(invoke: Invoke, key: str, value: str, problem: str) -> None:
    """A bool is not a number, and a number is not a text; secrets and long values are not repeated."""
    done = invoke(f"{key} = {value}", "run")

    assert done.stderr.splitlines()[1:] == [f"- typedbus.toml:1: {key} {problem}"]


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("typedbus.toml", "= 3", "typedbus.toml: is not valid TOML: Invalid statement (at line 1, column 1)"),
        ("pyproject.toml", "= 3", "pyproject.toml: is not valid TOML: Invalid statement (at line 1, column 1)"),
        ("pyproject.toml", "tool = 3", "pyproject.toml: tool.typedbus must be a table"),
        ("pyproject.toml", "[tool]\ntypedbus = 3", "pyproject.toml: tool.typedbus must be a table"),
        (
            "pyproject.toml",
            '[project]\nname = "shop"\n[tool.typedbus]\nworkers = "2"',
            "pyproject.toml:4: workers must be a whole number, not '2'",
        ),
        (
            "pyproject.toml",
            'tool = { typedbus = { workers = "2" } }',
            "pyproject.toml:1: workers must be a whole number, not '2'",
        ),
    ],
)
def test_an_invalid_file_is_reported(invoke: Invoke, file: str, content: str, problem: str) -> None:
    """Lines of pyproject.toml are counted as in an editor."""
    done = invoke(content, "run", file=file)

    assert done.stderr.splitlines()[1:] == [f"- {problem}"]
    assert done.exit_code == 2


def test_an_unreadable_file_is_reported(tmp_path: Path) -> None:
    """For example, a directory of that name."""
    (tmp_path / "typedbus.toml").mkdir()

    with contextlib.chdir(tmp_path):
        done = CliRunner().invoke(commands, ["run"])

    assert done.stderr.splitlines()[1:] == ["- typedbus.toml: cannot be read: Is a directory"]
    assert done.exit_code == 2


def test_pyproject_is_ignored_beside_typedbus_toml(invoke: Invoke, tmp_path: Path) -> None:
    """Defaults come from one file only."""
    (tmp_path / "pyproject.toml").write_text("[tool.typedbus]\nworkers = 'x'", encoding="utf-8")

    done = invoke("daemon = true\nautoreload = true\ntarget = 'shop:Shop'", "run")

    assert "--autoreload does not work with --daemon" in done.stderr


@pytest.mark.parametrize("command", sorted(commands.commands))
def test_help_works_with_invalid_defaults(invoke: Invoke, command: str) -> None:
    """It lists the keys for a correction."""
    done = invoke("nonsense", command, "--help")

    assert (done.exit_code, "Exit status:" in done.stdout) == (0, True)


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        ("run", "no container is given: name it as MODULE:NAME, or set target in typedbus.toml"),
        ("check", "no container is given: name it as MODULE:NAME, or set target in typedbus.toml"),
        ("graph", "no container is given: name it as MODULE:NAME, or set target in typedbus.toml"),
        ("stop", "Missing option '--pidfile'"),
    ],
)
def test_a_missing_target_is_an_error(invoke: Invoke, command: str, missing: str) -> None:
    """A table without the key, and a pyproject.toml without the table, count as no default."""
    (done, other) = invoke("workers = 2", command), invoke("[project]\nname = 'shop'", command, file="pyproject.toml")

    assert missing in done.stderr
    assert missing in other.stderr
    assert (done.exit_code, other.exit_code) == (2, 2)


@pytest.mark.slow
@pytest.mark.parametrize("target", ['"shop:Shop"', '["shop:Shop", "shop:Audit"]'])
def test_commands_use_the_default_target(tmp_path: Path, target: str) -> None:
    """One target or several; a picture shows the first, and `check` and `graph` ignore the options of `run`."""
    (tmp_path / "shop.py").write_text(SHOP, encoding="utf-8")
    content = (
        f"target = {target}\nexit-after-start = true\noutput = 'elsewhere'\ndaemon = false\nworkers = 2\nuser = 0\n"
    )
    (tmp_path / "typedbus.toml").write_bytes(b"\xef\xbb\xbf" + content.replace("\n", "\r\n").encode())

    checked, drawn = typedbus(tmp_path, "check"), typedbus(tmp_path, "graph", "--format", "json")

    names = "Shop, Audit is valid: 2 components" if "Audit" in target else "Shop is valid: 1 component"
    assert (checked.returncode, checked.stdout) == (0, f"{names}\n")
    assert drawn.returncode == 0
    assert '"container": "Shop"' in drawn.stdout


@pytest.mark.slow
def test_the_command_line_overrides_the_defaults(tmp_path: Path) -> None:
    """Each option separately: options that are not on the command line keep their default."""
    (tmp_path / "shop.py").write_text(SHOP, encoding="utf-8")
    (tmp_path / "typedbus.toml").write_text(
        "target = 'nobody:Nobody'\nexit-after-start = true\nreport = 'there.json'\n", encoding="utf-8"
    )

    done = typedbus(tmp_path, "run", "shop:Audit", "--report", "here.json")

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "here.json").exists()
    assert not (tmp_path / "there.json").exists()
