"""The command line, as a shell runs it: real processes, real modules, and every byte that comes out."""

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

# What a test compares holds lines of this: a change of it changes those.
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
    """Run the command in the folder, with the variables that are named."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if name != "GITHUB_WORKSPACE"}
        return subprocess.run(
            [sys.executable, "-m", "typedbus", *arguments],
            cwd=folder,
            env={**kept, **variables},
            capture_output=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )

    return run


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Shop", "shop", "Outer.Shop"])
def test_a_valid_container_is_said_to_be_so(typedbus: Command, name: str) -> None:
    """A class, an instance and an attribute of something else are containers alike; nothing of them is built."""
    done = typedbus("check", f"app.shop:{name}")

    assert (done.returncode, done.stdout, done.stderr) == (0, "Shop is valid: 2 components\n", "imported\n")


@pytest.mark.slow
def test_every_fault_is_told_with_its_place(typedbus: Command) -> None:
    """A fault is a line that begins with file and line, as editors read it, and what to do below; the status is 1."""
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
def test_programs_get_the_faults_as_json(typedbus: Command, folder: Path, name: str) -> None:
    """All of stdout is one JSON text, with the whole path of each file."""
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
    }
    assert (done.returncode, done.stderr) == (int(name == "Bad"), "imported\n")


@pytest.mark.slow
@pytest.mark.parametrize(("root", "file"), [("", "app/shop.py"), ("app", "shop.py")])
def test_github_gets_annotations(typedbus: Command, folder: Path, root: str, file: str) -> None:
    """Stdout has workflow commands alone, with files as seen from the repository, or else from the working directory."""
    done = typedbus("check", "app.shop:Bad", "--format", "github", GITHUB_WORKSPACE=root and str(folder / root))

    assert done.stdout == (
        f"::error file={file},line=26,title=ArgumentFault::Bad.database: {MISSES}; correct the declaration\n"
        f"::error file={file},line=27,title=HookFault::Bad.orders: {MISFIT}; {RENAME}\n"
    )
    assert (done.returncode, done.stderr) == (1, "imported\nBad cannot be wired: 2 faults, nothing was built\n")


def test_an_annotation_has_nothing_in_it_that_github_would_take_for_its_own() -> None:
    """Percent signs and ends of lines are escaped, in properties colons and commas as well."""
    fault = ArgumentFault("Shop.a", "/else:where/a,b%.py:3", "50% of\r\nthem: a, b", "mend it")

    assert annotation(fault) == (
        "::error file=/else%3Awhere/a%2Cb%25.py,line=3,title=ArgumentFault::Shop.a: 50%25 of%0D%0Athem: a, b; mend it\n"
    )


@pytest.mark.parametrize("place", ["its class", "<stdin>", "shop.py:?"])
def test_a_fault_without_a_place_is_told_without_one(place: str) -> None:
    """What has no file and line is shown as it is to people, and left out for programs."""
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
def test_a_target_that_leads_nowhere_is_told_with_the_way_out(
    typedbus: Command, folder: Path, target: str, reason: str
) -> None:
    """The status is 2, stdout is empty, and the last line says what was tried and what there is."""
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
def test_a_module_that_raises_is_told_from_its_first_line_on(
    typedbus: Command, folder: Path, source: str, reason: str
) -> None:
    """The traceback begins in the user's file, and the status is 2, also where the module claims success."""
    (folder / "broken.py").write_text(source + "\n", encoding="utf-8")

    done = typedbus("check", "broken:Shop")

    told = done.stderr.splitlines()
    assert told[:2] == [
        "Traceback (most recent call last):",
        f'  File "{folder / "broken.py"}", line 1, in <module>',
    ]
    assert told[-1] == f"Error: cannot load broken:Shop: {reason}"
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.slow
def test_a_module_that_is_no_python_is_told_with_its_line(typedbus: Command, folder: Path) -> None:
    """A syntax error has no traceback, but the place of the error."""
    (folder / "broken.py").write_text("\nx = (\n", encoding="utf-8")

    done = typedbus("check", "broken:Shop")

    assert done.stderr.startswith(f'  File "{folder / "broken.py"}", line 2\n')
    assert done.stderr.endswith("\nError: cannot load broken:Shop: its code raised SyntaxError\n")
    assert done.returncode == 2


@pytest.mark.slow
def test_a_container_that_cannot_be_made_is_told_from_its_constructor_on(typedbus: Command, folder: Path) -> None:
    """Making the instance is a part of loading it."""
    done = typedbus("check", "app.shop:Refusing")

    file = folder / "app" / "shop.py"
    assert f'imported\nTraceback (most recent call last):\n  File "{file}", line 36, in __init__\n' in done.stderr
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.slow
def test_a_terminal_shows_faults_in_colour_and_places_as_links(folder: Path) -> None:
    """A place is a link to its file, in one piece however narrow; brackets in names stand there as they are."""
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
        # Linux tells with an error that nobody can write any more.
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
    """The format is the one that is given, else that of the file's name; without a file stdout has the picture alone."""
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
    """Stdout has the picture, stderr the number of faults and the command that lists them, and the status is 1."""
    done = typedbus("graph", "app.shop:Bad", "--format", "json")

    assert json.loads(done.stdout)["container"] == "Bad"
    assert (done.returncode, done.stderr) == (
        1,
        "imported\nBad has 2 faults: run `typedbus check app.shop:Bad` to list them\n",
    )


@pytest.mark.slow
def test_a_picture_that_cannot_be_written_is_no_fault_of_the_container(typedbus: Command) -> None:
    """The status is 2, and stderr says why."""
    done = typedbus("graph", "app.shop:Shop", "--output", "nowhere/shop.json")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("Error: cannot write nowhere/shop.json: No such file or directory\n")


@pytest.mark.slow
def test_a_file_that_cannot_be_written_to_its_end_stays_as_it_was(folder: Path) -> None:
    """Neither is there half a file in its place, nor one beside it."""
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
def test_without_the_layout_a_drawing_says_how_to_get_it(folder: Path) -> None:
    """Who has not installed the extra is told its name, and gets 2."""
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
    """The status is 130, as a shell has it for SIGINT, without a traceback."""
    (folder / "long.py").write_text(
        "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\nsignal.raise_signal(signal.SIGINT)\n"
    )

    done = typedbus("check", "long:Shop")

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "\n")


@pytest.mark.slow
def test_a_reader_that_leaves_changes_nothing(folder: Path) -> None:
    """Nobody complains of a pipe that is closed at its other end, and the status is that of the check."""
    reading, writing = os.pipe()
    os.close(reading)
    # With PYTHONUNBUFFERED nothing would be left to write at the exit.
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
def test_without_the_extra_the_command_says_how_to_get_it(name: str) -> None:
    """Whoever installed typedbus alone is told what is missing, and gets 2."""
    source = f"import sys; sys.modules[{name!r}] = None; from typedbus.__main__ import main; raise SystemExit(main())"

    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=False)

    told = 'the command line needs click and rich: pip install "typedbus[cli]"\n'
    assert (done.returncode, done.stdout, done.stderr) == (2, "", told)


@pytest.mark.slow
def test_help_imports_nothing_heavy() -> None:
    """Neither the container library nor what draws and colours is imported before a command needs it."""
    source = (
        "import sys; from typedbus.__main__ import main; sys.argv[1:] = ['--help']; main();"
        "print([name for name in ('dependency_injector', 'igraph', 'rich.console') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "[]")


@pytest.mark.slow
def test_the_installed_command_is_the_same(folder: Path) -> None:
    """It looks into the working directory first, too."""
    command = [str(Path(sys.executable).with_name("typedbus")), "check", "app.shop:Shop"]

    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout) == (0, "Shop is valid: 2 components\n")


@pytest.mark.slow
def test_a_shell_completes_commands(folder: Path) -> None:
    """Click's completion works through the installed command."""
    done = subprocess.run(
        [Path(sys.executable).with_name("typedbus")],
        env={**os.environ, "_TYPEDBUS_COMPLETE": "bash_complete", "COMP_WORDS": "typedbus ch", "COMP_CWORD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stdout == "plain,check\n"


def test_the_version_is_that_of_the_package() -> None:
    """It is a line of its own, for scripts as well."""
    from importlib.metadata import version

    assert CliRunner().invoke(commands, ["--version"]).output == f"typedbus {version('typedbus')}\n"


@pytest.mark.parametrize("command", sorted(commands.commands))
def test_the_help_of_a_command_has_an_example_and_the_exit_statuses(command: str) -> None:
    """Who has never seen it need look nowhere else; no line of them is broken."""
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
def test_a_wrong_command_line_is_an_error_of_usage(arguments: list[str]) -> None:
    """The status is 2, stderr has the way to the help, and no module is imported."""
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
    bus = Component(Bus, limits=Limits(start=0.1))


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
    ("name", "status", "told"),
    [
        ("Shop", 0, "bus      EXITED\n"),
        ("Leaving", 3, "bus      EXITED\n"),
        ("Failing", 1, "failed   Failing.last in start ("),
        ("Bad", 1, "error: Bad cannot be wired: "),
        ("Nobody", 2, "Error: cannot load program:Nobody: "),
    ],
)
def test_a_container_runs_as_the_program_of_the_process(program: Command, name: str, status: int, told: str) -> None:
    """The status is that of `run`, and stdout is the program's own."""
    done = program(name)

    assert (done.returncode, done.stdout) == (status, "imported\n")
    assert told in done.stderr


@pytest.mark.slow
def test_workers_start_components_side_by_side(program: Command) -> None:
    """Two hooks that wait for each other end together."""
    done = program("Meeting", "--workers", "2")

    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "limit", "status", "told"),
    [
        ("HangingStart", "--start-limit", 1, "the limit of the whole start is 0.1 s"),
        ("HangingStart", "--hook-limit", 1, "its limit is 0.1 s"),
        ("HangingStop", "--stop-limit", 70, "the limit of the whole stop is 0.1 s"),
    ],
)
def test_what_overruns_its_limit_is_given_up(program: Command, name: str, limit: str, status: int, told: str) -> None:
    """A program that would hang tells where, and ends."""
    done = program(name, limit, "0.1")

    assert done.returncode == status
    assert told in done.stderr


@pytest.mark.slow
def test_a_limit_that_is_not_given_stays_as_the_bus_has_it(program: Command) -> None:
    """Giving one takes none of the others away."""
    done = program("Hasty", "--stop-limit", "50")

    assert done.returncode == 1
    assert "the limit of the whole start is 0.1 s" in done.stderr


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
def test_a_report_is_written_in_the_format_of_its_name(
    program: Command, folder: Path, arguments: list[str], beginning: str
) -> None:
    """Unless a format is given; the file is where it was asked for, whatever the program's working directory is."""
    before = {*folder.iterdir(), folder / arguments[1], folder / "program.py"}

    done = program("Shop", *arguments)

    assert (done.returncode, done.stdout) == (0, "imported\n")
    assert (folder / arguments[1]).read_text(encoding="utf-8").lstrip().startswith(beginning)
    assert {path for path in folder.iterdir() if path.name != "__pycache__"} == before


@pytest.mark.slow
def test_a_start_that_fails_has_a_report_with_its_rollback(program: Command, folder: Path) -> None:
    """It takes the place of an older one when the start is undone; who reads that one reads it to its end."""
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
def test_a_report_may_go_to_stdout(program: Command) -> None:
    """It stands among what the program writes, once."""
    done = program("Shop", "--report", "-")

    assert done.stdout.startswith("imported\nstarted in ")
    assert done.stdout.count("started in ") == 1


@pytest.mark.slow
def test_a_report_may_go_into_a_pipe(program: Command, folder: Path) -> None:
    """A pipe is written to, and not replaced by a file."""
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, encoding="utf-8") as reader:
        done = program("Shop", "--report", "pipe")
        assert done.returncode == 0
        assert reader.communicate(timeout=20)[0].startswith("started in ")
    assert pipe.is_fifo()
