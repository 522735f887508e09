"""The file that says in which process a site runs: whose it is, and what becomes of it."""

from __future__ import annotations

import errno
import os
import pickle
import resource
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

import pytest

if sys.platform == "win32":
    pytest.skip("this system has no flock", allow_module_level=True)

import fcntl

from typedbus import LOG, Bus, Component, Container
from typedbus.plugins.pidfile import AlreadyRunning, NoFileLocks, NotPIDFile, PIDFile, PIDFileError, UnknownHolder, read
from typedbus.testing import Recorder, running

MINE = f"{os.getpid()}\n"

HOLDER = """
import os, sys
from typedbus import *
from typedbus.plugins.pidfile import AlreadyRunning, PIDFile, read


def say(text):
    print(text, flush=True)


bus, path = Bus(), sys.argv[1]
pidfile = PIDFile(bus, path=path)
bus.subscribe(START, pidfile.start)
bus.subscribe(EXIT, pidfile.exit)
"""
HOLDS = "pidfile.start()\nsay('holds')\nsys.stdin.readline()\n"

Begin = Callable[..., "subprocess.Popen[str]"]
#: A PID namespace with a /proc of its own.
UNSHARE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
linux = pytest.mark.skipif(sys.platform != "linux", reason="what a lock proves is known on Linux alone")


def dead_pid() -> int:
    """Return the id of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-S", "-c", ""])
    child.wait()
    return child.pid


def lines_of(stream: IO[str] | None) -> Iterator[str]:
    """Give what comes from a child, line by line."""
    assert stream is not None
    return (line.rstrip() for line in iter(stream.readline, ""))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Give the path of a PID file that is not there."""
    return tmp_path / "site.pid"


@pytest.fixture
def bus() -> Bus:
    """Give a bus."""
    return Bus()


@pytest.fixture
def pidfile(bus: Bus, path: Path) -> Iterator[PIDFile]:
    """Give a component for *path*, which lets go of it at the end."""
    made = PIDFile(bus, path=path)
    yield made
    made.leave()


@pytest.fixture
def begin(path: Path) -> Iterator[Begin]:
    """Begin processes that have a `PIDFile` for *path*, and end them."""
    begun: list[subprocess.Popen[str]] = []

    def begin_one(source: str, within: Sequence[str] = (), at: Path = path) -> subprocess.Popen[str]:
        command = [*within, sys.executable, "-c", HOLDER + textwrap.dedent(source), str(at)]
        pipe = subprocess.PIPE
        begun.append(subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True))
        return begun[-1]

    yield begin_one
    for one in begun:
        one.kill()
        one.communicate()


def test_a_start_writes_the_pid_and_a_newline_for_everybody_to_read(pidfile: PIDFile, path: Path) -> None:
    """Whatever the umask, the file is one line with the pid, and only its owner may write it."""
    before = os.umask(0o077)
    try:
        pidfile.start()
    finally:
        os.umask(before)

    assert path.read_text() == MINE
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_start_leaves_nothing_else_in_the_folder(pidfile: PIDFile, path: Path) -> None:
    """What the file was written to before it was renamed is gone."""
    pidfile.start()

    assert list(path.parent.iterdir()) == [path]


def test_an_exit_removes_the_file(pidfile: PIDFile, path: Path) -> None:
    """What ended in order leaves nothing behind."""
    pidfile.start()
    pidfile.exit()

    assert list(path.parent.iterdir()) == []


def test_a_start_after_an_exit_writes_the_file_again(pidfile: PIDFile, path: Path) -> None:
    """Each run of a bus has its file."""
    for _ in range(2):
        pidfile.start()
        assert read(path) == os.getpid()
        pidfile.exit()
        assert read(path) is None


def test_a_second_start_keeps_the_file(pidfile: PIDFile, path: Path) -> None:
    """After a stop the file is still this process's, and stays what it is."""
    pidfile.start()
    before = path.stat()
    pidfile.start()

    assert os.path.samestat(path.stat(), before)


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_text("1\n")], ids=["removed", "changed"])
def test_a_second_start_writes_anew_what_was_spoilt(
    bus: Bus, pidfile: PIDFile, path: Path, spoil: Callable[[Path], object]
) -> None:
    """A file that was removed or changed meanwhile is taken again, and that is logged."""
    pidfile.start()
    spoil(path)
    with Recorder(bus[LOG]) as logged:
        pidfile.start()

    assert path.read_text() == MINE
    assert read(path) == os.getpid()
    assert logged.calls[0].args == (f"{path} was removed or changed by another program, and is written again", 30)


@pytest.mark.parametrize("other", ["1\n", "another\n", f"{MINE}0\n"], ids=["pid", "text", "more"])
def test_an_exit_leaves_what_somebody_else_wrote(bus: Bus, pidfile: PIDFile, path: Path, other: str) -> None:
    """A file with other content is not ours to remove, and that is logged."""
    pidfile.start()
    path.write_text(other)
    with Recorder(bus[LOG]) as logged:
        pidfile.exit()

    assert path.read_text() == other
    assert logged.calls[0].args == (f"{path} was removed or changed by another program, and is left as it is", 30)


def test_an_exit_leaves_another_file_of_the_same_content(pidfile: PIDFile, path: Path, tmp_path: Path) -> None:
    """It is the file that counts, and not only what is in it."""
    pidfile.start()
    (tmp_path / "other").write_text(MINE)
    (tmp_path / "other").replace(path)

    pidfile.exit()

    assert path.read_text() == MINE


def test_an_exit_of_what_never_started_does_nothing(bus: Bus, pidfile: PIDFile, path: Path) -> None:
    """EXIT visits everybody; a file that was never taken is left alone, without a word."""
    path.write_text(MINE)
    with Recorder(bus[LOG]) as logged:
        pidfile.exit()

    assert path.read_text() == MINE
    assert logged.calls == []


def test_a_file_that_cannot_be_removed_is_emptied(bus: Bus, path: Path) -> None:
    """Nobody is to signal a process by it; the reason is logged, and the next start replaces it."""

    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    pidfile = PIDFile(bus, path=path)
    pidfile._unlink = refuse
    pidfile.start()
    with Recorder(bus[LOG]) as logged:
        pidfile.exit()

    assert path.read_text() == ""
    assert logged.calls[0].args == (
        f"cannot remove {path}: Permission denied; it was emptied, and the next start replaces it",
        30,
    )
    pidfile.start()
    assert path.read_text() == MINE
    pidfile.leave()


@pytest.mark.parametrize("left", ["{dead}\n", "{dead}", " {dead} \n", "{alive}\n"])
def test_a_stale_file_is_replaced(bus: Bus, pidfile: PIDFile, path: Path, left: str) -> None:
    """What no process holds is stale, though its number be another process's by now; that is logged."""
    path.write_text(left.format(dead=dead_pid(), alive=os.getppid()))
    pid = int(path.read_text())
    with Recorder(bus[LOG]) as logged:
        pidfile.start()

    assert path.read_text() == MINE
    assert logged.calls[0].args == (f"replaced {path}, which process {pid} had left behind", 20)


def test_an_empty_file_is_replaced(bus: Bus, pidfile: PIDFile, path: Path) -> None:
    """Nothing is lost with it, and nothing logged."""
    path.touch()
    with Recorder(bus[LOG]) as logged:
        pidfile.start()

    assert path.read_text() == MINE
    assert logged.calls == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[site]\n", "begins with b'[site]'"),
        ("0\n", "begins with b'0'"),
        ("-1\n", "begins with b'-1'"),
        ("12 13\n", "begins with b'12 13'"),
        ("\N{SUPERSCRIPT TWO}", r"begins with b'\xc2\xb2'"),
        ("1" * 200, "begins with b'11111111111111111111'"),
        ("99999999999999999999\n", "has the number 99999999999999999999, which no process can have"),
        (f"{2**63}\n", f"has the number {2**63}, which no process can have"),
        (f"{2**31}\n", f"has the number {2**31}, which no process can have"),
        ("4194305\n", "has the number 4194305, which no process can have"),
    ],
)
@pytest.mark.parametrize("use", [lambda pidfile: pidfile.start(), lambda pidfile: read(pidfile.path)])
def test_a_file_with_something_else_in_it_is_refused(
    pidfile: PIDFile, path: Path, content: str, reason: str, use: Callable[[PIDFile], object]
) -> None:
    """A wrong path costs nobody a file: it stays as it is, and the error says what is in it."""
    path.write_text(content, encoding="utf-8")

    with pytest.raises(NotPIDFile) as refused:
        use(pidfile)

    assert (refused.value.path, refused.value.reason) == (path, reason)
    assert str(refused.value) == f"{path} is not a PID file: it {reason}; correct the path, or remove the file"
    assert path.read_text(encoding="utf-8") == content
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Path.mkdir, "is not a regular file"),
        (os.mkfifo, "is not a regular file"),
        (lambda path: path.symlink_to("/etc/passwd"), "is a symbolic link"),
        (lambda path: path.symlink_to("nowhere"), "is a symbolic link"),
    ],
    ids=["folder", "pipe", "link", "broken"],
)
def test_what_is_no_file_is_refused(pidfile: PIDFile, path: Path, make: Callable[[Path], object], reason: str) -> None:
    """Folders, pipes and links stay as they are; nobody waits for the other end of a pipe."""
    make(path)

    with pytest.raises(NotPIDFile) as refused:
        pidfile.start()

    assert refused.value.reason == reason
    assert not path.is_file() or path.is_symlink()


@pytest.mark.parametrize(
    ("place", "number", "remedy"),
    [
        ("none/site.pid", errno.ENOENT, "create the folder {} first"),
        ("file/site.pid", errno.ENOTDIR, "{} must be a folder"),
    ],
)
def test_a_place_that_cannot_be_written_is_told(bus: Bus, tmp_path: Path, place: str, number: int, remedy: str) -> None:
    """The error of the start names the file, the reason and what to do."""
    (tmp_path / "file").touch()
    path = tmp_path / place

    with pytest.raises(PIDFileError) as refused:
        PIDFile(bus, path=path).start()

    assert (refused.value.errno, refused.value.path) == (number, path)
    assert (
        str(refused.value) == f"cannot write the PID file {path}: {os.strerror(number)}; {remedy.format(path.parent)}"
    )
    assert isinstance(refused.value.__cause__, OSError)
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)


@pytest.mark.skipif(not Path("/sys/kernel").exists(), reason="a folder into which not even root may write is Linux's")
def test_a_folder_that_may_not_be_written_is_told(bus: Bus) -> None:
    """The remedy is the right to write there, or another path."""
    with pytest.raises(PIDFileError, match="give the user of this process write access to /sys/kernel") as refused:
        PIDFile(bus, path="/sys/kernel/site.pid").start()

    assert refused.value.errno in (errno.EACCES, errno.EPERM, errno.EROFS)


def test_a_socket_in_the_place_of_the_file_is_told(bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system does not open is an error of the start, with its reason."""
    monkeypatch.chdir(tmp_path)  # the path of a socket has to be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("site.pid")
        with pytest.raises(PIDFileError, match="cannot write the PID file .*site.pid: No such device or address"):
            PIDFile(bus, path="site.pid").start()


def test_a_file_that_cannot_be_written_to_its_end_leaves_nothing(bus: Bus, path: Path) -> None:
    """On a full disk there is neither half a file nor one that stays open."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = len(list(Path("/dev/fd").iterdir()))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(PIDFileError, match="File too large"):
            PIDFile(bus, path=path).start()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert list(path.parent.iterdir()) == []
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_a_system_without_locks_is_told() -> None:
    """The text says why, and what to do instead."""
    assert str(NoFileLocks()) == (
        "this system has no flock(2), which a PID file needs; leave out the PIDFile component, and let a service manager keep track of the process"
    )


def test_nothing_is_left_open(bus: Bus, path: Path) -> None:
    """A site that starts and exits again and again does not run out of files."""
    pidfile = PIDFile(bus, path=path)
    path.write_text("1\n")
    before = len(list(Path("/dev/fd").iterdir()))
    pidfile.start()
    with pytest.raises(AlreadyRunning):
        PIDFile(bus, path=path).start()
    pidfile.exit()

    assert len(list(Path("/dev/fd").iterdir())) == before


def test_a_path_is_one_at_construction(bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that changes its directory meanwhile removes what it wrote."""
    monkeypatch.chdir(tmp_path)
    pidfile = PIDFile(bus, path="site.pid")
    monkeypatch.chdir("/")
    pidfile.start()

    assert (tmp_path / "site.pid").read_text() == MINE
    pidfile.exit()
    assert list(tmp_path.iterdir()) == []


def test_nobody_else_takes_a_file_that_is_held(bus: Bus, pidfile: PIDFile, path: Path) -> None:
    """A second component of the same process is refused as well, and the first goes on holding it."""
    pidfile.start()

    with pytest.raises(
        AlreadyRunning, match=f"{path} is held by process {os.getpid()}, which is still running"
    ) as refused:
        PIDFile(bus, path=path).start()

    assert (refused.value.path, refused.value.pid) == (path, os.getpid())
    assert read(path) == os.getpid()
    assert list(path.parent.iterdir()) == [path]


def test_a_holder_that_cannot_be_identified_is_not_named(path: Path) -> None:
    """The number in the file would mislead."""
    assert str(AlreadyRunning(path, None)) == (
        f"{path} is held by another process, perhaps in another PID namespace or on another host, which is still running; "
        "end that process first, or give this one another path"
    )


@pytest.mark.parametrize("kind", [fcntl.LOCK_SH, fcntl.LOCK_EX])
def test_a_lock_on_the_folder_keeps_no_process_from_starting(pidfile: PIDFile, path: Path, kind: int) -> None:
    """Any user that may list a folder can lock it."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, kind)
        pidfile.start()
    finally:
        os.close(folder)

    assert read(path) == os.getpid()


def lock_as_reader(descriptor: int, how: str) -> None:
    """Take a lock that needs no right to write the file."""
    if how == "read":
        fcntl.lockf(descriptor, fcntl.LOCK_SH)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX if how == "exclusive" else fcntl.LOCK_SH)


@linux
@pytest.mark.parametrize("how", ["shared", "exclusive", "read"])
@pytest.mark.parametrize("pid", [os.getpid(), os.getppid(), 1], ids=["own", "parent", "first"])
def test_a_lock_of_a_reader_does_not_hold_a_file(pidfile: PIDFile, path: Path, how: str, pid: int) -> None:
    """The file is stale, and is replaced, though the process of that number runs and the file is locked."""
    path.write_text(f"{pid}\n")
    descriptor = os.open(path, os.O_RDONLY)
    try:
        lock_as_reader(descriptor, how)
        before = read(path)
        pidfile.start()
    finally:
        os.close(descriptor)

    assert before is None
    assert read(path) == os.getpid()


@linux
@pytest.mark.parametrize("flocks", [False, True], ids=["written", "locked"])
@pytest.mark.parametrize("content", ["1\n", "{parent}\n", "{dead}\n", "4194304\n", ""])
def test_a_number_counts_only_if_that_process_has_locked_the_file(
    bus: Bus, path: Path, content: str, flocks: bool
) -> None:
    """A program that may write the file can lock it and write any number: no process is named, and none starts."""
    path.write_text(content.format(parent=os.getppid(), dead=dead_pid()))
    before = path.read_text()
    number = int(before) if before else None
    with path.open("r+") as file:
        if flocks:
            fcntl.flock(file, fcntl.LOCK_EX)
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, struct.pack("hhqqi0q", fcntl.F_WRLCK, 0, 0, 0, 0))
        with pytest.raises(UnknownHolder) as unknown:
            read(path)
        with pytest.raises(AlreadyRunning) as refused:
            PIDFile(bus, path=path).start()

    assert (unknown.value.path, unknown.value.pid) == (path, number)
    reason = "it is empty"
    if number is not None:
        gone = number not in (1, os.getppid())
        reason = (
            f"no process {number}, which it names, runs here"
            if gone
            else f"process {number}, which it names, has not locked it"
        )
    assert unknown.value.reason == reason
    assert str(unknown.value) == (
        f"{path} is held by a process that cannot be identified from here: {reason}; "
        "look in the PID namespace (container) and on the host where that process runs"
    )
    assert refused.value.pid is None
    assert path.read_text() == before


@pytest.mark.parametrize("make", [Path.mkdir, lambda path: path.symlink_to("nowhere")], ids=["folder", "link"])
def test_a_lock_file_that_cannot_be_locked_is_named(bus: Bus, path: Path, make: Callable[[Path], object]) -> None:
    """The start waits for its turn and no longer; nothing is written."""
    turn = path.with_name(".site.pid.lock")
    make(turn)

    with pytest.raises(PIDFileError, match=f"another start has locked {turn}; wait for it, or remove that file"):
        PIDFile(bus, path=path, patience=0.02).start()

    assert list(path.parent.iterdir()) == [turn]


@pytest.mark.skipif(os.geteuid() != 0, reason="it takes root to give a file to another user")
def test_the_lock_file_of_another_user_is_not_trusted(bus: Bus, path: Path) -> None:
    """That user could keep it locked; the error names it."""
    turn = path.with_name(".site.pid.lock")
    turn.touch(0o600)
    os.chown(turn, 65534, 65534)

    with pytest.raises(PIDFileError, match=f"another start has locked {turn}"):
        PIDFile(bus, path=path, patience=0.02).start()


def test_a_start_waits_for_another_one(bus: Bus, path: Path) -> None:
    """The lock file of a start that goes on is respected, and the one that a killed start left is not."""
    turn = path.with_name(".site.pid.lock")
    descriptor = os.open(turn, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    pidfile = PIDFile(bus, path=path, patience=0.02)
    with pytest.raises(PIDFileError, match="another start has locked"):
        pidfile.start()
    os.close(descriptor)
    pidfile.start()

    assert list(path.parent.iterdir()) == [path]
    pidfile.exit()


def test_a_file_that_is_not_there_is_held_by_nobody(path: Path) -> None:
    """Reading it says so, and makes none."""
    assert read(path) is None
    assert not path.exists()


def test_reading_does_not_let_go_of_the_file(pidfile: PIDFile, path: Path) -> None:
    """Whoever opens and closes the file in this very process changes nothing."""
    pidfile.start()
    for _ in range(2):
        path.read_text()
        assert read(path) == os.getpid()


def test_a_container_holds_the_file_from_start_to_exit(path: Path) -> None:
    """The methods are hooks: no more than a declaration is needed."""

    class Site(Container):
        bus = Component(Bus)
        pidfile = Component(PIDFile, bus.provided, path=path)

    with running(Site()) as site:
        held = read(path)
        site.bus().stop()
        assert read(path) == held == os.getpid()

    assert not path.exists()


@pytest.mark.slow
def test_a_process_names_the_one_that_runs_already(begin: Begin, path: Path) -> None:
    """A second one is refused with the pid of the first, which goes on undisturbed."""
    first = begin(HOLDS)
    assert "holds" in lines_of(first.stdout)

    second, _ = begin("bus.start()").communicate(timeout=30)

    assert f"AlreadyRunning: {path} is held by process {first.pid}, which is still running" in second
    assert read(path) == first.pid


@pytest.mark.slow
def test_what_a_killed_process_leaves_is_replaced(begin: Begin, bus: Bus, pidfile: PIDFile, path: Path) -> None:
    """The lock goes with the process: the file is stale at once."""
    first = begin(HOLDS)
    assert "holds" in lines_of(first.stdout)
    first.send_signal(signal.SIGKILL)
    first.wait()

    left = path.read_text()
    held = read(path)
    pidfile.start()

    assert (left, held) == (f"{first.pid}\n", None)
    assert path.read_text() == MINE


@pytest.mark.slow
@pytest.mark.parametrize("does", ["bus.exit()", "pass"], ids=["exits", "stays"])
def test_a_forked_child_has_no_part_in_the_file(begin: Begin, path: Path, does: str) -> None:
    """Neither does its exit remove the file, nor does it keep it when its parent has been killed."""
    first = begin(f"""
        bus.start()
        if os.fork() == 0:
            {does}
            say(f"child {{os.path.exists(path)}} {{read(path) == os.getppid()}}")
            sys.stdin.readline()
            os._exit(0)
        sys.stdin.readline()
    """)
    assert "child True True" in lines_of(first.stdout)

    first.send_signal(signal.SIGKILL)
    first.wait()

    assert read(path) is None


@pytest.mark.slow
def test_a_process_that_is_replaced_takes_the_file_again(begin: Begin, path: Path) -> None:
    """A restart in place, in order or not, leaves no lock that would keep it from its own file."""
    first = begin("""
        pidfile.start()
        if "again" not in sys.argv:
            os.execv(sys.executable, [*sys.orig_argv, "again"])
        say("holds")
        sys.stdin.readline()
    """)
    assert "holds" in lines_of(first.stdout)

    assert read(path) == first.pid


@pytest.mark.slow
@pytest.mark.parametrize(
    "stale",
    [True, pytest.param(False, marks=pytest.mark.exhaustive)],
    ids=["stale", "new"],
)
def test_of_many_that_start_at_once_one_wins(begin: Begin, path: Path, stale: bool) -> None:
    """Each of the others is refused with the pid of the one, whatever there was before."""
    if stale:
        path.write_text(f"{dead_pid()}\n")
    racers = [
        begin("""
            say("ready")
            sys.stdin.readline()
            try:
                pidfile.start()
            except AlreadyRunning as refused:
                say(refused.pid)
            else:
                say("won")
            sys.stdin.readline()
        """)
        for _ in range(8)
    ]
    for racer in racers:
        assert next(lines_of(racer.stdout)) == "ready"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()

    said = {racer.pid: [line for line in [next(lines_of(racer.stdout))] if "replaced" not in line] for racer in racers}

    (winner,) = (pid for pid, lines in said.items() if lines == ["won"])
    assert sorted(map(str, said.values())) == sorted([*[str([str(winner)])] * 7, str(["won"])])
    assert path.read_text() == f"{winner}\n"
    assert list(path.parent.iterdir()) == [path]


@linux
@pytest.mark.slow
@pytest.mark.parametrize("holding", [False, True], ids=["outside", "inside"])
def test_a_number_of_another_pid_namespace_names_no_process(begin: Begin, path: Path, holding: bool) -> None:
    """Neither a process inside nor one outside is taken for the holder, and none starts."""
    if subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may make no PID namespace")
    look = """
        try:
            say(read(path))
        except Exception as error:
            say(type(error).__name__)
        try:
            pidfile.start()
        except AlreadyRunning as refused:
            say(refused.pid)
    """
    first = begin(HOLDS, within=UNSHARE if holding else ())
    assert "holds" in lines_of(first.stdout)
    second = begin(look, within=() if holding else UNSHARE)

    assert second.communicate(timeout=30)[0].split() == ["UnknownHolder", "None"]
    assert int(path.read_text()) == (1 if holding else first.pid)


@linux
@pytest.mark.slow
def test_a_proc_of_another_pid_namespace_is_not_asked(begin: Begin, path: Path) -> None:
    """It has other processes under the numbers of this namespace."""
    if subprocess.run([*UNSHARE[:-1], "true"], capture_output=True, check=False).returncode:
        pytest.skip("this user may make no PID namespace")
    first = begin(HOLDS)
    assert "holds" in lines_of(first.stdout)
    path.write_text("1\n")
    second = begin(
        """
        try:
            read(path)
        except Exception as error:
            say(error.reason)
    """,
        within=UNSHARE[:-1],
    )

    assert second.communicate(timeout=30)[0] == "/proc shows another PID namespace\n"


@linux
@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="it takes root to hold a file as another user")
def test_a_plain_user_identifies_the_process_of_another_user(begin: Begin) -> None:
    """The descriptors of a process are private, and its locks are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "site.pid"
        first = begin(HOLDS, at=path)
        assert "holds" in lines_of(first.stdout)
        second = begin(
            """
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            say(read(path))
            try:
                os.listdir(f"/proc/{read(path)}/fd")
            except PermissionError:
                say("private")
        """,
            at=path,
        )

        assert second.communicate(timeout=30)[0] == f"{first.pid}\nprivate\n"


@linux
@pytest.mark.slow
def test_a_child_forked_in_c_does_not_pass_for_its_parent(begin: Begin, path: Path) -> None:
    """It has the descriptor and so the locks, but they are not its own; its parent, which they name, has ended."""
    first = begin("""
        import ctypes
        pidfile.start()
        if ctypes.CDLL(None).fork() == 0:
            say("holds")
            sys.stdin.readline()
            os._exit(0)
        os._exit(0)
    """)
    assert "holds" in lines_of(first.stdout)
    first.wait()

    with pytest.raises(UnknownHolder, match=f"no process {first.pid}, which it names, runs here"):
        read(path)
