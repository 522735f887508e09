"""The command line as a shell runs it: real processes, real modules, and all of their output."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from typedbus.cli import commands
from typedbus.cli._fault_formats import annotation, lines, record
from typedbus.faults import ArgumentFault, BusFault, Fault

Command = Callable[..., subprocess.CompletedProcess[str]]

# Tests compare line numbers of this module.
MODULE = """\
from typedbus import Bus, Component, Container

print("imported")


class Database:
    def __init__(self, url: str) -> None:
        print("built")


class Orders:
    def __init__(self, database: Database) -> None:
        print("built")

    def start(self, wrong: int) -> None:
        pass


class Shop(Container):
    bus = Component(Bus)
    database = Component(Database, "url")


class Bad(Container):
    bus = Component(Bus)
    database = Component(Database)  # type: ignore[call-arg]
    orders = Component(Orders, database.provided)


class Outer:
    Shop = Shop


class Refusing(Container):
    def __init__(self) -> None:
        raise OSError("no settings")


shop = Shop()
"""

MISSES = "app.shop.Database(url: str) misses 'url'"
MISFIT = (
    "app.shop.Orders.start does not fit channel 'start': it is called with () "
    "and takes (self, wrong: int): missing a required argument: 'wrong'"
)
RENAME = "rename it, or declare that it does not listen: Component(...).without(START)"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a package of containers in it."""
    package = tmp_path / "app"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "shop.py").write_text(MODULE, encoding="utf-8")
    return tmp_path


@pytest.fixture
def typedbus(folder: Path) -> Command:
    """Run the command in the folder, with these environment variables."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        inherited = {name: value for name, value in os.environ.items() if name != "GITHUB_WORKSPACE"}
        return subprocess.run(
            [sys.executable, "-m", "typedbus", *arguments],
            cwd=folder,
            env={**inherited, **variables},
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )

    return run


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Shop", "shop", "Outer.Shop"])
def test_a_valid_container_is_reported_as_valid(typedbus: Command, name: str) -> None:
    """A class, an instance and a nested attribute are accepted; no component is built."""
    done = typedbus("check", f"app.shop:{name}")

    assert (done.returncode, done.stdout, done.stderr) == (0, "Shop is valid: 2 components\n", "imported\n")


@pytest.mark.slow
def test_the_objects_of_scopes_are_counted(typedbus: Command, folder: Path) -> None:
    """Values that are passed in are not: no container builds them."""
    lines = [
        "from typedbus import Bus, Component, Container, Given, Scoped",
        "class Web(Container):",
        "    bus = Component(Bus)",
        "    user = Given(str)",
        "    text = Scoped(repr, user.provided)",
        "    size = Scoped(len, text.provided)",
    ]
    (folder / "app" / "web.py").write_text("\n".join(lines), encoding="utf-8")

    assert typedbus("check", "app.web:Web").stdout == "Web is valid: 1 component, 2 scoped objects\n"


@pytest.mark.slow
def test_every_fault_is_reported_with_its_place_and_remedy(typedbus: Command) -> None:
    """A line with file and line number, as editors read it, and the remedy below; the status is 1."""
    done = typedbus("check", "app.shop:Bad")

    assert done.stdout == textwrap.dedent(f"""\
        Bad cannot be wired: 2 faults, nothing was built
        app/shop.py:26: Bad.database: {MISSES}
            correct the declaration
        app/shop.py:27: Bad.orders: {MISFIT}
            {RENAME}
        """)
    assert (done.returncode, done.stderr) == (1, "imported\n")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Shop", "Bad"])
def test_faults_can_be_written_as_json(typedbus: Command, folder: Path, name: str) -> None:
    """Stdout is one JSON text, with the absolute path of each file."""
    faults = [
        (26, "Bad.database", "ArgumentFault", MISSES, "correct the declaration"),
        (27, "Bad.orders", "HookFault", MISFIT, RENAME),
    ]

    done = typedbus("check", f"app.shop:{name}", "--format", "json")

    assert json.loads(done.stdout) == {
        "container": name,
        "faults": [
            {
                "path": path,
                "file": str(folder / "app" / "shop.py"),
                "line": line,
                "kind": kind,
                "problem": problem,
                "remedy": remedy,
            }
            for line, path, kind, problem, remedy in faults
            if name == "Bad"
        ],
        "runs": [],
    }
    assert (done.returncode, done.stderr) == (int(name == "Bad"), "imported\n")


@pytest.mark.slow
@pytest.mark.parametrize(("root", "file"), [("", "app/shop.py"), ("app", "shop.py")])
def test_faults_can_be_written_as_github_annotations(typedbus: Command, folder: Path, root: str, file: str) -> None:
    """Stdout has only workflow commands, with files relative to the repository, or else to the working directory."""
    done = typedbus("check", "app.shop:Bad", "--format", "github", GITHUB_WORKSPACE=root and str(folder / root))

    assert done.stdout == (
        f"::error file={file},line=26,title=ArgumentFault::Bad.database: {MISSES}; correct the declaration\n"
        f"::error file={file},line=27,title=HookFault::Bad.orders: {MISFIT}; {RENAME}\n"
    )
    assert (done.returncode, done.stderr) == (1, "imported\nBad cannot be wired: 2 faults, nothing was built\n")


def test_an_annotation_escapes_the_syntax_of_workflow_commands() -> None:
    """Percent signs and line ends are escaped, in properties also colons and commas."""
    fault = ArgumentFault("Shop.a", "/else:where/a,b%.py:3", "50% of\r\nthem: a, b", "mend it")

    assert annotation(fault) == (
        "::error file=/else%3Awhere/a%2Cb%25.py,line=3,title=ArgumentFault::Shop.a: 50%25 of%0D%0Athem: a, b; mend it\n"
    )


@pytest.mark.parametrize("place", ["its class", "<stdin>", "shop.py:?"])
def test_a_fault_without_a_place_has_no_file_and_line(place: str) -> None:
    """The text has the place as it is; JSON and annotations leave it out."""
    fault: Fault = BusFault("Shop", place, "it has no bus", "declare one")

    assert lines(fault) == f"{place}: Shop: it has no bus\n    declare one\n"
    assert (record(fault)["file"], record(fault)["line"]) == (None, None)
    assert annotation(fault) == "::error title=BusFault::Shop: it has no bus; declare one\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (
            "nowhere:Shop",
            "No module named 'nowhere'; searched in the working directory, {folder}, and in sys.path",
        ),
        (
            "app.nowhere:Shop",
            "No module named 'app.nowhere'; searched in the working directory, {folder}, and in sys.path",
        ),
        (
            "app.shop:Shpo",
            "<module 'app.shop' from '{folder}/app/shop.py'> has no attribute 'Shpo'; {others}",
        ),
        (
            "app.shop:Outer.Bad",
            "app.shop.Outer has no attribute 'Bad'; {others}",
        ),
        (
            "app.shop:Database",
            "app.shop.Database is a class that does not inherit typedbus.Container; {wanted}; {others}",
        ),
        ("app.shop", "give MODULE:NAME, with the module as Python imports it: app.shop:Shop"),
        ("app.shop:", "give MODULE:NAME, with the module as Python imports it: app.shop:Shop"),
        ("shop.py:Bad", "give MODULE:NAME, with the module as Python imports it: shop:Bad"),
        ("./app/shop.py:Bad", "give MODULE:NAME, with the module as Python imports it: app.shop:Bad"),
    ],
)
def test_a_target_that_cannot_be_loaded_is_reported_with_the_remedy(
    typedbus: Command, folder: Path, target: str, reason: str
) -> None:
    """The status is 2, stdout is empty, and the last line has the reason and the alternatives."""
    others = "containers in app.shop: Shop, Bad, Refusing"
    wanted = "inherit it, or declare it in a container: name = Component(Database)"

    done = typedbus("check", target)

    expected = f"Error: cannot load {target}: {reason.format(folder=folder, wanted=wanted, others=others)}\n"
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.removeprefix("imported\n") == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import nowhere", "its code raised ModuleNotFoundError"),
        ("raise OSError('no disk')", "its code raised OSError"),
        (
            "raise SystemExit(0)",
            'importing it ended the process; put the code that runs the program under `if __name__ == "__main__":`',
        ),
    ],
)
def test_the_traceback_of_a_module_begins_in_the_module(
    typedbus: Command, folder: Path, source: str, reason: str
) -> None:
    """The status is 2, even if the module exits with 0."""
    (folder / "broken.py").write_text(source + "\n", encoding="utf-8")

    done = typedbus("check", "broken:Shop")

    output = done.stderr.splitlines()
    assert output[:2] == [
        "Traceback (most recent call last):",
        f'  File "{folder / "broken.py"}", line 1, in <module>',
    ]
    assert output[-1] == f"Error: cannot load broken:Shop: {reason}"
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.slow
def test_a_syntax_error_is_reported_with_its_line(typedbus: Command, folder: Path) -> None:
    """It has no traceback."""
    (folder / "broken.py").write_text("\nx = (\n", encoding="utf-8")

    done = typedbus("check", "broken:Shop")

    assert done.stderr.startswith(f'  File "{folder / "broken.py"}", line 2\n')
    assert done.stderr.endswith("\nError: cannot load broken:Shop: its code raised SyntaxError\n")
    assert done.returncode == 2


@pytest.mark.slow
def test_the_traceback_of_a_container_begins_in_its_constructor(typedbus: Command, folder: Path) -> None:
    """Constructing the instance is part of loading it."""
    done = typedbus("check", "app.shop:Refusing")

    file = folder / "app" / "shop.py"
    assert f'imported\nTraceback (most recent call last):\n  File "{file}", line 36, in __init__\n' in done.stderr
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.slow
def test_a_terminal_shows_faults_in_colour_and_places_as_links(folder: Path) -> None:
    """A place is an unbroken link to its file on a narrow terminal, too; brackets in names are not markup."""
    with (folder / "app" / "shop.py").open("a", encoding="utf-8") as module:
        module.write("\nBad.__name__ = 'Bad[bold]'\n")
    reading, writing = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "typedbus", "check", "app.shop:Bad"],
        cwd=folder,
        env={
            **{name: value for name, value in os.environ.items() if name != "NO_COLOR"},
            "TERM": "xterm-256color",
            "COLUMNS": "10",
        },
        stdout=writing,
        stderr=subprocess.DEVNULL,
    ) as command:
        os.close(writing)
        shown = b""
        # On Linux, reading fails when the last writer has closed the terminal.
        with contextlib.suppress(OSError):
            while piece := os.read(reading, 1024):
                shown += piece
    os.close(reading)

    text = shown.decode().replace("\r\n", "\n")
    assert text.startswith("\x1b[1;31mBad[bold]")
    assert f";{(folder / 'app' / 'shop.py').as_uri()}\x1b\\\x1b[36mapp/shop.py:26\x1b[0m\x1b]8;;" in text
    assert command.returncode == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "mark"),
    [
        ([], "\nflowchart "),
        (["--format", "dot"], "digraph "),
        (["--format", "json"], '"nodes": ['),
        (["--format", "svg"], "<svg "),
        (["--output", "picture.dot"], "digraph "),
        (["--output", "picture.json"], '"nodes": ['),
        (["--output", "picture.svg"], "<svg "),
        (["--output", "picture.mmd"], "\nflowchart "),
        (["--output", "picture.svg", "--format", "dot"], "digraph "),
    ],
)
def test_a_container_is_drawn_in_the_format_of_the_file(
    typedbus: Command, folder: Path, arguments: list[str], mark: str
) -> None:
    """--format has precedence over the suffix of the file; without a file, stdout has only the picture."""
    done = typedbus("graph", "app.shop:Shop", *arguments)

    if "--output" in arguments:
        assert done.stdout == ""
        drawn = (folder / arguments[1]).read_text(encoding="utf-8")
    else:
        drawn = done.stdout
    assert mark in drawn
    assert drawn.endswith("\n")
    assert (done.returncode, done.stderr) == (0, "imported\n")


@pytest.mark.slow
def test_a_container_with_faults_is_drawn_too(typedbus: Command) -> None:
    """Stdout has the picture, stderr the number of faults and the command that lists them; the status is 1."""
    done = typedbus("graph", "app.shop:Bad", "--format", "json")

    assert json.loads(done.stdout)["container"] == "Bad"
    assert (done.returncode, done.stderr) == (
        1,
        "imported\nBad has 2 faults: run `typedbus check app.shop:Bad` to list them\n",
    )


@pytest.mark.slow
def test_a_picture_that_cannot_be_written_is_an_error(typedbus: Command) -> None:
    """The status is 2, and stderr has the reason."""
    done = typedbus("graph", "app.shop:Shop", "--output", "nowhere/shop.json")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("Error: cannot write nowhere/shop.json: No such file or directory\n")


@pytest.mark.slow
def test_a_failed_write_leaves_the_old_file_unchanged(folder: Path) -> None:
    """No partial file is left in its place or beside it."""
    picture = folder / "shop.json"
    picture.write_text("older", encoding="utf-8")
    before = set(folder.iterdir())
    command = [sys.executable, "-B", "-m", "typedbus", "graph", "app.shop:Shop", "--output", "shop.json"]

    done = subprocess.run(
        ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", *command],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.endswith("Error: cannot write shop.json: File too large\n")
    assert (picture.read_text(encoding="utf-8"), set(folder.iterdir())) == ("older", before)


@pytest.mark.slow
def test_a_drawing_without_the_layout_library_names_the_extra(folder: Path) -> None:
    """The status is 2."""
    source = (
        "import sys; sys.modules['igraph'] = None; from typedbus.__main__ import main;"
        "sys.argv[1:] = ['graph', 'app.shop:Shop', '--format', 'svg']; raise SystemExit(main())"
    )

    done = subprocess.run(
        [sys.executable, "-c", source], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert 'pip install "typedbus[graph]"' in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_ctrl_c_ends_a_check_quietly(typedbus: Command, folder: Path) -> None:
    """The status is 130, as in a shell after SIGINT, without a traceback."""
    (folder / "long.py").write_text(
        "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\nsignal.raise_signal(signal.SIGINT)\n"
    )

    done = typedbus("check", "long:Shop")

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "\n")


@pytest.mark.slow
def test_a_closed_pipe_does_not_change_the_status_of_a_check(folder: Path) -> None:
    """No error about the pipe is printed."""
    reading, writing = os.pipe()
    os.close(reading)
    # With PYTHONUNBUFFERED, no output would remain for the exit.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}

    with os.fdopen(writing) as stdout:
        done = subprocess.run(
            [sys.executable, "-m", "typedbus", "check", "app.shop:Shop", "--format", "json"],
            cwd=folder,
            env=environment,
            stdout=stdout,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            timeout=60,
            check=False,
        )

    assert (done.returncode, done.stderr) == (0, "imported\n")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["click", "rich"])
def test_the_command_without_its_libraries_names_the_extra(name: str) -> None:
    """The status is 2."""
    source = f"import sys; sys.modules[{name!r}] = None; from typedbus.__main__ import main; raise SystemExit(main())"

    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=False)

    output = 'the command line needs click and rich: pip install "typedbus[cli]"\n'
    assert (done.returncode, done.stdout, done.stderr) == (2, "", output)


@pytest.mark.slow
def test_help_imports_no_heavy_library() -> None:
    """The container library, igraph and rich are imported when a command needs them."""
    source = (
        "import sys; from typedbus.__main__ import main; sys.argv[1:] = ['--help']; main();"
        "print([name for name in ('dependency_injector', 'igraph', 'rich.console') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "[]")


@pytest.mark.slow
def test_the_installed_command_imports_from_the_working_directory(folder: Path) -> None:
    """As `python -m typedbus` does."""
    command = [str(Path(sys.executable).with_name("typedbus")), "check", "app.shop:Shop"]

    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout) == (0, "Shop is valid: 2 components\n")


@pytest.mark.slow
def test_a_shell_completes_commands(folder: Path) -> None:
    """Click's completion works with the installed command."""
    done = subprocess.run(
        [Path(sys.executable).with_name("typedbus")],
        env={**os.environ, "_TYPEDBUS_COMPLETE": "bash_complete", "COMP_WORDS": "typedbus ch", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stdout == "plain,channels\nplain,check\n"


def test_the_version_of_the_package_is_printed() -> None:
    """On a line of its own, which scripts can read."""
    from importlib.metadata import version

    assert CliRunner().invoke(commands, ["--version"]).output == f"typedbus {version('typedbus')}\n"


@pytest.mark.parametrize("command", sorted(commands.commands))
def test_the_help_of_a_command_has_an_example_and_the_exit_statuses(command: str) -> None:
    """None of their lines is wrapped."""
    done = CliRunner().invoke(commands, [command, "--help"])

    assert f"\n    {'mv shop.log shop.log.1 && ' * (command == 'reload')}typedbus {command} " in done.output
    assert "\n  Exit status:\n    0 " in done.output
    assert done.exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["chekc"],
        ["check"],
        ["check", "a:B", "--format", "yaml"],
        ["graph", "a:B", "c:D"],
        ["run"],
        ["graph", "a:B", "--output", "."],
        ["run", "a:B", "--workers", "0"],
        ["run", "a:B", "--start-limit", "0"],
        ["run", "a:B", "--hook-limit", "nan"],
        ["run", "a:B", "--report", "."],
        ["run", "a:B", "--report", "nowhere/report.json"],
    ],
    ids=" ".join,
)
def test_an_invalid_command_line_is_a_usage_error(arguments: list[str]) -> None:
    """The status is 2, stderr refers to the help, and no module is imported."""
    done = CliRunner().invoke(commands, arguments)

    assert (done.exit_code, done.stdout) == (2, "")
    assert "' for help." in done.stderr


PROGRAM = """\
import os
import sys
import threading

from typedbus import MAIN, START, STOP, Bus, Component, Container, Limits

print("imported")
meeting = threading.Barrier(2)


class Part:
    def __init__(self, bus: Bus, *needed: object) -> None:
        self.bus = bus
        os.chdir("/")


class First(Part):
    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def main(self) -> None:
        self.bus.request_exit()


def fail(part: Part) -> None:
    raise OSError("no heat")


def hang(part: Part) -> None:
    threading.Event().wait()


class Shop(Container):
    bus = Component(Bus)
    first = Component(First, bus.provided)


class Failing(Shop):
    last = Component(Part, Shop.bus.provided, Shop.first.provided).on(START.calls(fail))


class Leaving(Shop):
    last = Component(Part, Shop.bus.provided).on(MAIN.calls(lambda part: sys.exit(3)))


class Meeting(Shop):
    one = Component(Part, Shop.bus.provided).on(START.calls(lambda part: meeting.wait(20)))
    other = Component(Part, Shop.bus.provided).on(START.calls(lambda part: meeting.wait(20)))


class HangingStart(Shop):
    last = Component(Part, Shop.bus.provided).on(START.calls(hang))


class HangingStop(Shop):
    last = Component(Part, Shop.bus.provided).on(STOP.calls(hang))


class Hasty(HangingStart):
    bus = Component(Bus, limits=Limits(start=1.0))


class Bad(Container):
    part = Component(Part)  # type: ignore[call-arg]
"""


@pytest.fixture
def program(folder: Path, typedbus: Command) -> Command:
    """Run a container of the program."""
    (folder / "program.py").write_text(PROGRAM, encoding="utf-8")
    return lambda name, *arguments: typedbus("run", f"program:{name}", *arguments)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "status", "output"),
    [
        ("Shop", 0, "bus      EXITED\n"),
        ("Leaving", 3, "bus      EXITED\n"),
        ("Failing", 1, "failed   Failing.last in start ("),
        ("Bad", 1, "error: Bad cannot be wired: "),
        ("Nobody", 2, "Error: cannot load program:Nobody: "),
    ],
)
def test_a_container_runs_as_the_program_of_the_process(program: Command, name: str, status: int, output: str) -> None:
    """The status is that of `run`, and stdout has only the output of the program."""
    done = program(name)

    assert (done.returncode, done.stdout) == (status, "imported\n")
    assert output in done.stderr


@pytest.mark.slow
def test_workers_start_components_in_parallel(program: Command) -> None:
    """Two hooks that wait for each other both return."""
    done = program("Meeting", "--workers", "2")

    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "limit", "status", "output"),
    [
        ("HangingStart", "--start-limit", 1, "the limit of the whole start is 1 s"),
        ("HangingStart", "--hook-limit", 1, "its limit is 1 s"),
        ("HangingStop", "--stop-limit", 70, "the limit of the whole stop is 1 s"),
    ],
)
def test_a_hook_that_exceeds_its_limit_is_abandoned(
    program: Command, name: str, limit: str, status: int, output: str
) -> None:
    """The program reports where it hangs, and ends."""
    done = program(name, limit, "1")

    assert done.returncode == status
    assert output in done.stderr


@pytest.mark.slow
def test_an_omitted_limit_keeps_the_value_of_the_bus(program: Command) -> None:
    """Setting a limit does not change the others."""
    done = program("Hasty", "--stop-limit", "50")

    assert done.returncode == 1
    assert "the limit of the whole start is 1 s" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "beginning"),
    [
        (["--report", "report"], "started in "),
        (["--report", "report", "--report-format", "json"], '{\n  "format": 1,\n  "outcome": "started"'),
        (["--report", "report.json"], '{\n  "format": 1,\n  "outcome": "started"'),
        (["--report", "report.trace.json"], '{"traceEvents"'),
        (["--report", "report.json", "--report-format", "table"], "started in "),
    ],
)
def test_a_report_is_written_in_the_format_of_its_suffix(
    program: Command, folder: Path, arguments: list[str], beginning: str
) -> None:
    """--report-format has precedence; the path is relative to the original working directory."""
    before = {*folder.iterdir(), folder / arguments[1], folder / "program.py"}

    done = program("Shop", *arguments)

    assert (done.returncode, done.stdout) == (0, "imported\n")
    assert (folder / arguments[1]).read_text(encoding="utf-8").lstrip().startswith(beginning)
    assert {path for path in folder.iterdir() if path.name != "__pycache__"} == before


@pytest.mark.slow
def test_a_start_that_fails_has_a_report_with_its_rollback(program: Command, folder: Path) -> None:
    """It replaces an older report after the rollback; an open older report stays readable."""
    report = folder / "report.json"
    report.write_text("older", encoding="utf-8")

    with report.open(encoding="utf-8") as older:
        done = program("Failing", "--report", "report.json")
        assert older.read() == "older"

    record = json.loads(report.read_text(encoding="utf-8"))
    outcomes = {component["path"]: component["outcome"] for component in record["components"]}
    assert (outcomes["Failing.first"], outcomes["Failing.last"]) == ("rolled back", "failed")
    assert done.returncode == 1


@pytest.mark.slow
def test_a_report_can_be_written_to_stdout(program: Command) -> None:
    """Once, among the output of the program."""
    done = program("Shop", "--report", "-")

    assert done.stdout.startswith("imported\nstarted in ")
    assert done.stdout.count("started in ") == 1


@pytest.mark.slow
def test_a_report_can_be_written_to_a_pipe(program: Command, folder: Path) -> None:
    """A pipe is written to, and not replaced by a file."""
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, encoding="utf-8") as reader:
        done = program("Shop", "--report", "pipe")
        assert done.returncode == 0
        assert reader.communicate(timeout=20)[0].startswith("started in ")
    assert pipe.is_fifo()
