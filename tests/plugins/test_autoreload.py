"""Autoreload: restarts of a process when a file of its program changes."""

from __future__ import annotations

import os
import pickle
import re
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest
from tests.processes import Program

from typedbus import LOG, START, STOP, Bus, Component, Container, RestartError, State, TransitionFailures, running
from typedbus.plugins.autoreload import Autoreload, NothingToWatch, PeriodError
from typedbus.plugins.autoreload._edits import Edits
from typedbus.plugins.autoreload._files import Files, Place
from typedbus.testing import Recorder

PATTERNS = ("*.py",)
IGNORE = (".*", "__pycache__")


def write(path: Path, text: str = "") -> Path:
    """Write *text* to *path*, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Return the watched files of a folder that contains two files."""
    write(tmp_path / "a.py")
    write(tmp_path / "shop" / "b.py")
    return Files([Place(tmp_path, is_deep=True)], PATTERNS, IGNORE)


def test_an_unchanged_file_is_not_reported(files: Files, tmp_path: Path) -> None:
    """Nor is a file whose permissions changed."""
    (tmp_path / "a.py").chmod(0o600)

    assert files.changes() == {}


def test_a_change_is_reported_once(files: Files, tmp_path: Path) -> None:
    """A changed, a new and a removed file, at any depth."""
    write(tmp_path / "a.py", "x = 1")
    write(tmp_path / "shop" / "new" / "c.py")
    (tmp_path / "shop" / "b.py").unlink()

    assert files.changes() == {
        str(tmp_path / "a.py"): "changed",
        str(tmp_path / "shop" / "b.py"): "is gone",
        str(tmp_path / "shop" / "new" / "c.py"): "is new",
    }
    assert files.changes() == {}


def test_a_file_with_an_older_time_has_changed(files: Files, tmp_path: Path) -> None:
    """It may have been restored from a backup or another branch."""
    os.utime(tmp_path / "a.py", (1, 1))

    assert files.changes() == {str(tmp_path / "a.py"): "changed"}


def test_a_file_that_was_replaced_has_changed(files: Files, tmp_path: Path) -> None:
    """Even if the new file has the same size and time."""
    before = (tmp_path / "a.py").stat()
    other = write(tmp_path / "a.tmp")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(tmp_path / "a.py")

    assert files.changes() == {str(tmp_path / "a.py"): "changed"}


@pytest.mark.parametrize("name", ["a.txt", ".#a.py", ".git/a.py", "__pycache__/a.py", "deep/.hidden/a.py"])
def test_ignored_files_are_not_reported(files: Files, tmp_path: Path, name: str) -> None:
    """Their own name or that of a parent folder is ignored."""
    write(tmp_path / name)

    assert files.changes() == {}


def test_a_virtual_environment_is_not_watched(files: Files, tmp_path: Path) -> None:
    """Whatever its name is."""
    write(tmp_path / "world" / "pyvenv.cfg")
    write(tmp_path / "world" / "lib" / "a.py")

    assert files.changes() == {}


def test_the_folders_below_a_flat_place_are_not_scanned(tmp_path: Path) -> None:
    """The script may be in a home directory."""
    files = Files([Place(tmp_path, is_deep=False)], PATTERNS, IGNORE)
    write(tmp_path / "a.py")
    write(tmp_path / "other" / "b.py")

    assert files.changes() == {str(tmp_path / "a.py"): "is new"}
    assert files.folders == [str(tmp_path)]


def test_a_single_file_may_have_any_name(tmp_path: Path) -> None:
    """It may also be removed and appear again."""
    path = write(tmp_path / ".settings")
    files = Files([Place(path, is_deep=False)], PATTERNS, IGNORE)
    write(tmp_path / "a.py")
    path.unlink()

    assert files.changes() == {str(path): "is gone"}
    write(path)
    assert files.changes() == {str(path): "is new"}
    assert files.folders == [str(tmp_path)]


def batch(files: Files, act: Callable[[], object]) -> dict[str, str]:
    """Watch *files*, call *act*, and return the reported changes."""
    stopping, has_acted = threading.Event(), threading.Event()
    batches: list[dict[str, str]] = []

    def watch() -> None:
        for changed in files.batches(0.02, stopping):
            batches.append(changed)
            has_acted.set()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        act()
        assert has_acted.wait(20)
    finally:
        stopping.set()
        thread.join(10)
    assert not thread.is_alive()
    return batches[0]


def test_a_change_before_or_during_the_watch_is_reported(files: Files, tmp_path: Path) -> None:
    """The change may come before the system watches the files."""
    changed = batch(files, lambda: write(tmp_path / "a.py", "x = 1"))

    assert changed == {str(tmp_path / "a.py"): "changed"}


@pytest.mark.slow
def test_a_file_in_a_new_folder_is_reported(files: Files, tmp_path: Path) -> None:
    """The file may have been written before the new folder was watched."""
    stopping = threading.Event()
    batches = files.batches(0.02, stopping)
    write(tmp_path / "new" / "c.py")
    assert next(batches) == {str(tmp_path / "new" / "c.py"): "is new"}
    write(tmp_path / "new" / "c.py", "x = 1")

    assert next(batches) == {str(tmp_path / "new" / "c.py"): "changed"}
    write(tmp_path / "new" / "c.py", "x = 1 + 1")
    assert next(batches) == {str(tmp_path / "new" / "c.py"): "changed"}
    write(tmp_path / "later" / "d.py")
    assert next(batches) == {str(tmp_path / "later" / "d.py"): "is new"}
    stopping.set()
    assert list(batches) == []


@pytest.mark.slow
def test_a_removed_folder_is_reported(files: Files, tmp_path: Path) -> None:
    """The others are still watched, and a removed place may appear again."""
    stopping = threading.Event()
    batches = files.batches(0.02, stopping)
    (tmp_path / "shop" / "b.py").unlink()
    (tmp_path / "shop").rmdir()
    assert next(batches) == {str(tmp_path / "shop" / "b.py"): "is gone"}
    (tmp_path / "a.py").unlink()
    assert next(batches) == {str(tmp_path / "a.py"): "is gone"}
    stopping.set()
    assert list(batches) == []


def test_the_project_is_the_imported_modules(tmp_path: Path) -> None:
    """Whole packages, the folders of other modules, and no installed packages."""
    write(tmp_path / "site.py")
    write(tmp_path / "shop" / "__init__.py")
    write(tmp_path / "shop" / "infra" / "database.py", "import desk")
    write(tmp_path / "libraries" / "desk.py")
    write(tmp_path / "env" / "lib" / "site-packages" / "other.py")
    write(
        tmp_path / "program" / "__main__.py",
        """
        import json, sys
        import attrs
        sys.path[:0] = ["libraries", "env/lib/site-packages"]
        import other, shop.infra.database
        from typedbus.plugins.autoreload._files import project
        print(json.dumps([(str(place.path), place.is_deep) for place in project()]))
        """,
    )
    output = subprocess.run(
        [sys.executable, "-m", "program"], cwd=tmp_path, capture_output=True, encoding="utf-8", check=True
    ).stdout

    expected = {("program", True), ("shop", True), ("libraries", False)}
    assert {
        (os.path.relpath(path, tmp_path), is_deep) for path, is_deep in eval(output, {"true": True, "false": False})
    } == expected


def test_modules_beside_the_main_module_belong_to_the_project(tmp_path: Path) -> None:
    """Whatever the working directory is."""
    write(tmp_path / "elsewhere" / "other.py")
    program = write(
        tmp_path / "app" / "program.py",
        """
        from typedbus.plugins.autoreload._files import project
        print(*(f"{place.path} {place.is_deep}" for place in project()))
        """,
    )
    command = [sys.executable, str(program)]
    output = subprocess.run(
        command, cwd=tmp_path / "elsewhere", capture_output=True, encoding="utf-8", check=True
    ).stdout

    assert output == f"{tmp_path / 'app'} False\n"


def test_a_module_that_is_imported_later_belongs_to_the_project(tmp_path: Path) -> None:
    """It is watched from then on, even if the import failed; the import itself is not a change."""
    write(tmp_path / "libraries" / "late.py")
    write(tmp_path / "broken" / "fails.py", "import nowhere")
    write(
        tmp_path / "program.py",
        """
        import contextlib, os, sys
        sys.path[:0] = ["libraries", "broken"]
        from typedbus.plugins.autoreload._files import Files

        def name(changed):
            print(*(f"{os.path.basename(path)} {what}" for path, what in changed.items()), sep=", ")

        files = Files(None, ("*.py",), ())
        with open("libraries/early.py", "w"):
            name(files.changes())
        import late
        name(files.changes())
        os.utime("libraries/late.py", (1, 1))
        name(files.changes())
        with open("libraries/new.py", "w"):
            name(files.changes())
        os.mkdir("libraries/deeper")
        with contextlib.suppress(ImportError):
            import fails
        name(files.changes())
        """,
    )
    command = [sys.executable, "program.py"]
    output = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", check=True).stdout

    assert output.split("\n") == ["", "", "late.py changed", "new.py is new", "", ""]


def test_the_folder_of_an_unloaded_module_stays_watched(files: Files, tmp_path: Path) -> None:
    """A failed import, or a module removed from sys.modules, is not a removed file."""
    files.places = []

    assert files.changes() == {}
    write(tmp_path / "a.py", "x = 1")
    assert files.changes() == {str(tmp_path / "a.py"): "changed"}


def edits(changed: dict[str, str]) -> tuple[bool, list[tuple[str, int]]]:
    """Return whether *changed* is complete, and the messages."""
    messages: list[tuple[str, int]] = []
    return Edits(lambda text, level: messages.append((text, level))).are_complete(changed), messages


def test_the_message_of_a_restart_names_the_changed_files(tmp_path: Path) -> None:
    """It has five of them, and the number of the others."""
    paths = [str(write(tmp_path / f"{name}.py")) for name in "abcdefg"]
    is_complete, messages = edits(dict.fromkeys(paths, "changed"))

    assert is_complete
    assert messages == [(f"restarting: {', '.join(f'{path} changed' for path in paths[:5])}, and 2 more", 20)]


@pytest.mark.parametrize(
    ("source", "pattern"),
    [
        (b"x = 1\ndef\n", r":2: SyntaxError: "),
        (b"x = 1\n  y\n", r":2: IndentationError: "),
        (b"return\n", r":1: SyntaxError: 'return' outside function"),
        (b"x = '\xff'\n", r": SyntaxError: "),
        (b"x\0\n", r": (SyntaxError|ValueError): source code string cannot contain null bytes"),
    ],
)
def test_a_file_that_cannot_be_compiled_delays_the_restart(tmp_path: Path, source: bytes, pattern: str) -> None:
    """The message has its path and line."""
    path = tmp_path / "a.py"
    path.write_bytes(source)
    is_complete, messages = edits({str(path): "changed"})

    assert not is_complete
    ((text, level),) = messages
    assert text.startswith(str(path))
    assert re.search(pattern, text)
    assert text.endswith("; not restarting until it is fixed")
    assert level == 40


def test_a_broken_file_delays_the_restart_for_other_files(tmp_path: Path) -> None:
    """Until it is corrected or removed."""
    broken, well = write(tmp_path / "a.py", "def"), write(tmp_path / "b.py")
    messages: list[str] = []
    edited = Edits(lambda text, level: messages.append(text))
    assert not edited.are_complete({str(broken): "changed"})
    assert not edited.are_complete({str(well): "is new"})
    broken.unlink()

    assert edited.are_complete({str(broken): "is gone"})
    assert messages[-1] == f"restarting: {broken} is gone, {well} is new"


def test_only_python_files_are_compiled(tmp_path: Path) -> None:
    """Errors in other files are found by the code that reads them."""
    assert edits({str(write(tmp_path / "a.toml", "def")): "changed"})[0]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_cannot_be_read_delays_the_restart(tmp_path: Path) -> None:
    """A restarted process could not read it either."""
    path = write(tmp_path / "a.py")
    path.chmod(0)
    is_complete, messages = edits({str(path): "changed"})

    assert not is_complete
    assert "PermissionError" in messages[0][0]


def test_a_missing_path_is_an_error_at_construction(tmp_path: Path) -> None:
    """The error names it."""
    path = tmp_path / "gone"
    with pytest.raises(NothingToWatch) as raised:
        Autoreload(Bus(), paths=[tmp_path, path])

    assert str(raised.value) == f"there is nothing to watch at {path}: give paths of files or folders that exist"
    assert raised.value.paths == (str(path),)
    assert isinstance(raised.value, FileNotFoundError)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)
    with pytest.raises(NothingToWatch, match="no file of the program was found"):
        Autoreload(Bus(), paths=())


def test_a_single_path_or_pattern_needs_no_list(tmp_path: Path) -> None:
    """A string is not split into characters."""
    component = Autoreload(Bus(), paths=str(tmp_path), patterns="*.toml", ignore="x")
    assert (component.paths, component.patterns, component.ignore) == ((str(tmp_path),), ("*.toml",), ("x",))

    component = Autoreload(Bus(), paths=tmp_path)
    assert component.paths == (str(tmp_path),)
    assert component.patterns == ("*.py",)


def test_a_debounce_of_zero_is_refused() -> None:
    """Files would be read while they are being written."""
    with pytest.raises(PeriodError, match="autoreload: debounce=0 is not a duration"):
        Autoreload(Bus(), debounce=0)


def test_a_start_without_a_replacement_is_refused(tmp_path: Path) -> None:
    """In a test or with an embedded bus; the error has the remedy."""

    class Site(Container):
        bus = Component(Bus)
        autoreload = Component(Autoreload, bus.provided, paths=(str(tmp_path),))

    with pytest.raises(TransitionFailures) as raised, running(Site()):
        raise AssertionError

    (error,) = raised.value.exceptions
    assert isinstance(error, RestartError)
    assert "run the container with run()" in str(error)


class Replacement:
    """A replacement of the process that records its calls."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.refuses_later = False
        self.replaced: list[BaseException | None] = []

    def problem(self) -> str | None:
        """Return the reason; later calls may return another."""
        reason = self.reason
        if self.refuses_later:
            self.reason = "it is busy"
        return reason

    def replace(self, failed: BaseException | None, /) -> None:
        """Record the call."""
        self.replaced.append(failed)


@pytest.fixture
def replacement(monkeypatch: pytest.MonkeyPatch) -> Replacement:
    """Return the replacement, in a process without the variable of an earlier restart."""
    monkeypatch.setenv("TYPEDBUS_AUTORELOAD", "")
    return Replacement()


@pytest.fixture
def bus(replacement: Replacement, tmp_path: Path) -> Iterator[Bus]:
    """Yield a bus whose autoreload watches the folder; it has exited afterwards."""
    bus = Bus()
    bus.replacement = replacement
    autoreload = Autoreload(bus, paths=tmp_path, debounce=0.02)
    bus[START].subscribe(autoreload.start)
    bus[STOP].subscribe(autoreload.stop)
    yield bus
    bus.exit()


def test_a_change_restarts_the_bus(bus: Bus, replacement: Replacement, tmp_path: Path) -> None:
    """The process is replaced after an orderly exit; no thread is left."""
    before = threading.active_count()
    bus.start()
    with Recorder(bus[LOG]) as messages:
        path = write(tmp_path / "a.py")
        bus.block()

    assert replacement.replaced == [None]
    assert messages.times(f"autoreload: restarting: {path} is new", 20) == 1
    assert threading.active_count() == before


def test_a_change_during_a_stop_restarts_the_bus_after_the_next_start(
    bus: Bus, replacement: Replacement, tmp_path: Path
) -> None:
    """The running code is older than the file; the stop ended the thread, and the start begins another."""
    before = threading.active_count()
    for _ in range(2):
        bus.start()
        bus.stop()
        assert threading.active_count() == before
    write(tmp_path / "a.py")
    bus.start()
    bus.block()

    assert replacement.replaced == [None]


def test_a_start_with_a_replacement_that_refuses_is_refused(bus: Bus, replacement: Replacement) -> None:
    """The error has the reason of the replacement."""
    replacement.reason = "it is frozen"
    with pytest.raises(TransitionFailures) as raised:
        bus.start()

    assert str(raised.value.exceptions[0]) == "this process cannot be restarted: it is frozen"


def test_a_refused_restart_is_logged(bus: Bus, replacement: Replacement, tmp_path: Path) -> None:
    """The site continues, and the files are still watched."""
    messages: SimpleQueue[tuple[str, int]] = SimpleQueue()
    bus[LOG].subscribe(lambda text, level: messages.put((text, level)))
    replacement.refuses_later = True
    bus.start()
    write(tmp_path / "a.py")
    assert messages.get(timeout=20)[0].startswith("autoreload: restarting:")
    assert messages.get(timeout=20) == ("autoreload: this process cannot be restarted: it is busy", 40)
    replacement.refuses_later, replacement.reason = False, None
    write(tmp_path / "b.py")
    bus.block()

    assert replacement.replaced == [None]


def test_a_failure_of_the_watch_is_logged(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message has the remedy; the site continues."""
    messages: SimpleQueue[tuple[str, int]] = SimpleQueue()
    bus[LOG].subscribe(lambda text, level: messages.put((text, level)))
    # An interval of polling beyond what the library's integers hold is the one failure of its own that can be had everywhere.
    monkeypatch.setenv("WATCHFILES_POLL_DELAY_MS", "99999999999999999999999999")
    monkeypatch.setenv("WATCHFILES_FORCE_POLLING", "1")
    bus.start()
    text, level = messages.get(timeout=20)

    assert text.startswith("autoreload: no file is watched any more: OverflowError")
    assert "WATCHFILES_FORCE_POLLING=1" in text
    assert level == 40
    assert bus.state is State.STARTED


def test_a_missing_watchfiles_is_an_error_with_the_command_to_install_it() -> None:
    """The import raises it."""
    source = "import sys; sys.modules['watchfiles'] = None; import typedbus.plugins.autoreload"
    ended = subprocess.run([sys.executable, "-c", source], capture_output=True, encoding="utf-8", check=False)

    assert ended.returncode == 1
    assert (
        "ImportError: typedbus.plugins.autoreload needs watchfiles: pip install 'typedbus[autoreload]'" in ended.stderr
    )


SITE = """
    import os, signal

    # Whoever began this may have it ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    from typedbus import Bus, Component, Container, State, on, run
    from typedbus.events import MOVED, Moved
    from typedbus.plugins.autoreload import Autoreload
    import desk

    class Desk:
        def start(self) -> None:
            desk.start()

        # A signal that comes just as the main thread falls asleep is seen when that wakes: ticks wake it.
        def main(self) -> None: ...

        @on(MOVED)
        def moved(self, moved: Moved) -> None:
            if moved.after is State.STARTED:
                print("serving", desk.NAME, os.getpid(), flush=True)

    class Site(Container):
        bus = Component(Bus)
        desk = Component(Desk)
        autoreload = Component(Autoreload, bus.provided)

    raise SystemExit(run(Site))
"""

DESK = """
    {head}
    NAME = {name!r}

    def start() -> None:
        {start}
"""


class EditedSite(Program):
    """A site in its own process, whose files are edited."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        write(folder / "site.py", SITE)
        self.edit("one")
        super().__init__(sys.executable, "site.py", cwd=folder)

    def edit(self, name: str, start: str = "pass", head: str = "") -> None:
        """Replace the module of the desk, like an editor."""
        write(self.folder / "desk.tmp", DESK.format(name=name, start=start, head=head))
        (self.folder / "desk.tmp").replace(self.folder / "desk.py")

    def serves(self, name: str) -> None:
        """Read until the same process serves *name*."""
        assert self.reach(f"serving {name}") == f"serving {name} {self.pid}"


@pytest.fixture
def program(tmp_path: Path) -> Iterator[EditedSite]:
    """Run a site that serves, and kill it at the end of the test."""
    site = EditedSite(tmp_path)
    try:
        site.serves("one")
        yield site
    finally:
        site.kill()


real = pytest.mark.skipif(sys.platform == "win32", reason="Windows replaces no process")


@real
@pytest.mark.slow
def test_an_edit_restarts_the_process(program: EditedSite) -> None:
    """It logs the reason, stops in order, and the same process runs the new code."""
    program.edit("two")
    program.serves("two")

    assert any(line.endswith(f"autoreload: restarting: {program.folder / 'desk.py'} changed") for line in program.lines)
    assert "bus      EXITED" in program.lines
    assert program.end(signal.SIGTERM) == 0


@real
@pytest.mark.slow
def test_a_syntax_error_is_logged_and_the_site_continues(program: EditedSite) -> None:
    """The message has path and line; the site restarts after the correction."""
    program.edit("two", "1 +")
    line = program.reach("SyntaxError")
    assert f"{program.folder / 'desk.py'}:6: SyntaxError: invalid syntax; not restarting until it is fixed" in line
    assert program.child.poll() is None
    assert "bus      STOPPING" not in program.lines
    program.edit("three")
    program.serves("three")

    assert program.end(signal.SIGTERM) == 0


@real
@pytest.mark.slow
def test_new_removed_and_older_files_restart_the_process(program: EditedSite) -> None:
    """Each of them changes the program."""
    new = write(program.folder / "till.py")
    program.reach(f"{new} is new")
    program.serves("one")
    new.unlink()
    program.reach(f"{new} is gone")
    program.serves("one")
    os.utime(program.folder / "desk.py", (1, 1))
    program.reach("desk.py changed")
    program.serves("one")

    assert program.end(signal.SIGTERM) == 0


@real
@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "head", "message"),
    [("raise OSError('no desk')", "", "OSError: no desk"), ("pass", "import nowhere", "ModuleNotFoundError")],
    ids=["start", "import"],
)
def test_a_restart_that_fails_waits_for_the_next_change(
    program: EditedSite, start: str, head: str, message: str
) -> None:
    """The process waits, logs a syntax error in between, and serves after the correction."""
    program.edit("two", start, head)
    program.reach(message)
    program.reach("it is restarted when a file changes; Ctrl-C ends it")
    program.edit("three", "1 +")
    program.reach("SyntaxError")
    program.edit("four")
    program.serves("four")

    assert program.end(signal.SIGTERM) == 0


@real
@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 1), (signal.SIGTERM, -signal.SIGTERM)], ids=["INT", "TERM"]
)
def test_a_process_that_waits_for_a_correction_can_be_ended(
    program: EditedSite, number: signal.Signals, status: int
) -> None:
    """It exits at once with the status of its failure, or by the signal."""
    program.edit("two", "raise OSError('no desk')")
    program.reach("Ctrl-C ends it")

    assert program.end(number) == status


@real
@pytest.mark.slow
def test_a_restarted_process_whose_start_is_cancelled_ends(program: EditedSite) -> None:
    """A signal during the start ends the process, as at the first start."""
    program.edit("two", "print('begins', flush=True); __import__('sys').stdin.readline()")
    program.reach("begins")
    program.send(signal.SIGTERM)
    program.reach("SIGTERM")
    program.write()

    assert program.end() == 0
    assert not any("when a file changes" in line for line in program.lines)


@real
@pytest.mark.slow
def test_a_first_start_that_fails_ends_the_process(tmp_path: Path) -> None:
    """Only a restarted process waits for a change."""
    write(tmp_path / "site.py", SITE)
    write(tmp_path / "desk.py", DESK.format(name="one", start="raise OSError('no desk')", head=""))
    ended = subprocess.run([sys.executable, "site.py"], cwd=tmp_path, capture_output=True, check=False, timeout=30)

    assert ended.returncode == 1
