"""PIDFile: the file with the pid of the process in which a site runs."""

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
    """Return the pid of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-S", "-c", ""])
    child.wait()
    return child.pid


def lines_of(stream: IO[str] | None) -> Iterator[str]:
    """Yield the output of a child, line by line."""
    assert stream is not None
    return (line.rstrip() for line in iter(stream.readline, ""))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a PID file that does not exist."""
    return tmp_path / "site.pid"


@pytest.fixture
def bus() -> Bus:
    """Return a bus."""
    return Bus()


@pytest.fixture
def pidfile(bus: Bus, path: Path) -> Iterator[PIDFile]:
    """Yield a component for *path*, and release it at the end."""
    component = PIDFile(bus, path=path)
    yield component
    component.leave()


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


def test_a_start_writes_one_line_with_the_pid_that_every_user_may_read(pidfile: PIDFile, path: Path) -> None:
    """Whatever the umask is; only its owner may write it."""
    before = os.umask(0o077)
    try:
        pidfile.start()
    finally:
        os.umask(before)

    assert path.read_text() == MINE
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_start_leaves_only_the_pid_file_in_the_folder(pidfile: PIDFile, path: Path) -> None:
    """The temporary file and the lock file are removed."""
    pidfile.start()

    assert list(path.parent.iterdir()) == [path]


def test_an_exit_removes_the_file(pidfile: PIDFile, path: Path) -> None:
    """After an orderly exit nothing is left."""
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
    """After a stop the file still belongs to this process, and is unchanged."""
    pidfile.start()
    before = path.stat()
    pidfile.start()

    assert os.path.samestat(path.stat(), before)


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_text("1\n")], ids=["removed", "changed"])
def test_a_second_start_writes_a_damaged_file_again(
    bus: Bus, pidfile: PIDFile, path: Path, spoil: Callable[[Path], object]
) -> None:
    """A file that was removed or changed in between is replaced, which is logged."""
    pidfile.start()
    spoil(path)
    with Recorder(bus[LOG]) as logged:
        pidfile.start()

    assert path.read_text() == MINE
    assert read(path) == os.getpid()
    assert logged.calls[0].args == (f"{path} was removed or changed by another program, and is written again", 30)


@pytest.mark.parametrize("other", ["1\n", "another\n", f"{MINE}0\n"], ids=["pid", "text", "more"])
def test_an_exit_leaves_a_file_that_another_program_changed(bus: Bus, pidfile: PIDFile, path: Path, other: str) -> None:
    """It is not removed, which is logged."""
    pidfile.start()
    path.write_text(other)
    with Recorder(bus[LOG]) as logged:
        pidfile.exit()

    assert path.read_text() == other
    assert logged.calls[0].args == (f"{path} was removed or changed by another program, and is left as it is", 30)


def test_an_exit_leaves_another_file_of_the_same_content(pidfile: PIDFile, path: Path, tmp_path: Path) -> None:
    """The files are compared, not only their content."""
    pidfile.start()
    (tmp_path / "other").write_text(MINE)
    (tmp_path / "other").replace(path)

    pidfile.exit()

    assert path.read_text() == MINE


def test_an_exit_without_a_start_does_not_remove_the_file(bus: Bus, pidfile: PIDFile, path: Path) -> None:
    """A file that was never locked is unchanged, and nothing is logged."""
    path.write_text(MINE)
    with Recorder(bus[LOG]) as logged:
        pidfile.exit()

    assert path.read_text() == MINE
    assert logged.calls == []


def test_a_file_that_cannot_be_removed_is_emptied(bus: Bus, path: Path) -> None:
    """No command can then signal a process by its number; the reason is logged, and the next start replaces the file."""

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


@pytest.mark.parametrize("content", ["{dead}\n", "{dead}", " {dead} \n", "{alive}\n"])
def test_a_stale_file_is_replaced(bus: Bus, pidfile: PIDFile, path: Path, content: str) -> None:
    """A file that no process holds is stale, even if another process has its number by now; this is logged."""
    path.write_text(content.format(dead=dead_pid(), alive=os.getppid()))
    pid = int(path.read_text())
    with Recorder(bus[LOG]) as logged:
        pidfile.start()

    assert path.read_text() == MINE
    assert logged.calls[0].args == (f"replaced {path}, which process {pid} had left behind", 20)


def test_an_empty_file_is_replaced(bus: Bus, pidfile: PIDFile, path: Path) -> None:
    """Nothing is lost, and nothing is logged."""
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
def test_a_file_with_other_content_is_refused(
    pidfile: PIDFile, path: Path, content: str, reason: str, use: Callable[[PIDFile], object]
) -> None:
    """It is unchanged, and the error shows its content: the path may be wrong."""
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
def test_a_path_to_anything_but_a_file_is_refused(
    pidfile: PIDFile, path: Path, make: Callable[[Path], object], reason: str
) -> None:
    """Folders, pipes and links are unchanged, and a pipe does not block."""
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
def test_the_error_of_a_start_names_a_folder_that_cannot_be_written(
    bus: Bus, tmp_path: Path, place: str, number: int, remedy: str
) -> None:
    """It has the file, the reason and the remedy."""
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
def test_the_remedy_for_a_folder_without_permission_is_access_or_another_path(bus: Bus) -> None:
    """The text of the error has both."""
    with pytest.raises(PIDFileError, match="give the user of this process write access to /sys/kernel") as refused:
        PIDFile(bus, path="/sys/kernel/site.pid").start()

    assert refused.value.errno in (errno.EACCES, errno.EPERM, errno.EROFS)


def test_a_socket_at_the_path_is_an_error_of_the_start(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system does not open it, and the error has its reason."""
    monkeypatch.chdir(tmp_path)  # the path of a socket has to be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("site.pid")
        with pytest.raises(PIDFileError, match="cannot write the PID file .*site.pid: No such device or address"):
            PIDFile(bus, path="site.pid").start()


def test_a_failed_write_leaves_no_file(bus: Bus, path: Path) -> None:
    """On a full disk no incomplete file is left, and none stays open."""
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


def test_the_error_on_a_system_without_locks_names_the_alternative() -> None:
    """The text has the reason and the remedy."""
    assert str(NoFileLocks()) == (
        "this system has no flock(2), which a PID file needs; leave out the PIDFile component, and let a service manager keep track of the process"
    )


def test_repeated_starts_and_exits_leave_no_descriptor_open(bus: Bus, path: Path) -> None:
    """A site does not run out of descriptors."""
    pidfile = PIDFile(bus, path=path)
    path.write_text("1\n")
    before = len(list(Path("/dev/fd").iterdir()))
    pidfile.start()
    with pytest.raises(AlreadyRunning):
        PIDFile(bus, path=path).start()
    pidfile.exit()

    assert len(list(Path("/dev/fd").iterdir())) == before


def test_a_relative_path_is_resolved_at_construction(bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that changes its directory removes the file that it wrote."""
    monkeypatch.chdir(tmp_path)
    pidfile = PIDFile(bus, path="site.pid")
    monkeypatch.chdir("/")
    pidfile.start()

    assert (tmp_path / "site.pid").read_text() == MINE
    pidfile.exit()
    assert list(tmp_path.iterdir()) == []


def test_a_second_component_of_the_process_is_refused(bus: Bus, pidfile: PIDFile, path: Path) -> None:
    """The first still holds the file."""
    pidfile.start()

    with pytest.raises(
        AlreadyRunning, match=f"{path} is held by process {os.getpid()}, which is still running"
    ) as refused:
        PIDFile(bus, path=path).start()

    assert (refused.value.path, refused.value.pid) == (path, os.getpid())
    assert read(path) == os.getpid()
    assert list(path.parent.iterdir()) == [path]


def test_a_holder_that_cannot_be_identified_is_not_named(path: Path) -> None:
    """The number in the file may be wrong."""
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
    """Take a lock that needs no permission to write the file."""
    if how == "read":
        fcntl.lockf(descriptor, fcntl.LOCK_SH)
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX if how == "exclusive" else fcntl.LOCK_SH)


@linux
@pytest.mark.parametrize("how", ["shared", "exclusive", "read"])
@pytest.mark.parametrize("pid", [os.getpid(), os.getppid(), 1], ids=["own", "parent", "first"])
def test_a_lock_of_a_reader_does_not_hold_a_file(pidfile: PIDFile, path: Path, how: str, pid: int) -> None:
    """The file is stale, and is replaced, although a process with that number runs and the file is locked."""
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
        is_gone = number not in (1, os.getppid())
        reason = (
            f"no process {number}, which it names, runs here"
            if is_gone
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
    """The start waits no longer than its patience; nothing is written."""
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
    """The lock file of a running start is respected; one that a killed start left behind is not."""
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


def test_no_process_holds_a_missing_file(path: Path) -> None:
    """Reading returns None, and creates no file."""
    assert read(path) is None
    assert not path.exists()


def test_reading_keeps_the_locks(pidfile: PIDFile, path: Path) -> None:
    """Opening and closing the file in the same process releases nothing."""
    pidfile.start()
    for _ in range(2):
        path.read_text()
        assert read(path) == os.getpid()


def test_a_container_holds_the_file_from_start_to_exit(path: Path) -> None:
    """The methods are hooks: a declaration is sufficient."""

    class Site(Container):
        bus = Component(Bus)
        pidfile = Component(PIDFile, bus.provided, path=path)

    with running(Site()) as site:
        held = read(path)
        site.bus().stop()
        assert read(path) == held == os.getpid()

    assert not path.exists()


@pytest.mark.slow
def test_a_second_process_is_refused_with_the_pid_of_the_first(begin: Begin, path: Path) -> None:
    """The first continues."""
    first = begin(HOLDS)
    assert "holds" in lines_of(first.stdout)

    second, _ = begin("bus.start()").communicate(timeout=30)

    assert f"AlreadyRunning: {path} is held by process {first.pid}, which is still running" in second
    assert read(path) == first.pid


@pytest.mark.slow
def test_the_file_of_a_killed_process_is_replaced(begin: Begin, bus: Bus, pidfile: PIDFile, path: Path) -> None:
    """The lock ends with the process, so the file is stale at once."""
    first = begin(HOLDS)
    assert "holds" in lines_of(first.stdout)
    first.send_signal(signal.SIGKILL)
    first.wait()

    content = path.read_text()
    held = read(path)
    pidfile.start()

    assert (content, held) == (f"{first.pid}\n", None)
    assert path.read_text() == MINE


@pytest.mark.slow
@pytest.mark.parametrize("does", ["bus.exit()", "pass"], ids=["exits", "stays"])
def test_a_forked_child_does_not_hold_or_remove_the_file(begin: Begin, path: Path, does: str) -> None:
    """Neither at its exit, nor after its parent was killed."""
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
def test_a_replaced_process_takes_its_file_again(begin: Begin, path: Path) -> None:
    """A restart in place, orderly or not, leaves no lock that prevents this."""
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
def test_one_of_many_simultaneous_starts_succeeds(begin: Begin, path: Path, stale: bool) -> None:
    """The others are refused with its pid, whatever the file had before."""
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

    messages = {
        racer.pid: [line for line in [next(lines_of(racer.stdout))] if "replaced" not in line] for racer in racers
    }

    (winner,) = (pid for pid, lines in messages.items() if lines == ["won"])
    assert sorted(map(str, messages.values())) == sorted([*[str([str(winner)])] * 7, str(["won"])])
    assert path.read_text() == f"{winner}\n"
    assert list(path.parent.iterdir()) == [path]


@linux
@pytest.mark.slow
@pytest.mark.parametrize("holding", [False, True], ids=["outside", "inside"])
def test_a_number_of_another_pid_namespace_names_no_process(begin: Begin, path: Path, holding: bool) -> None:
    """No process inside or outside is reported as the holder, and none starts."""
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
def test_proc_of_another_pid_namespace_is_not_read(begin: Begin, path: Path) -> None:
    """Its numbers name other processes."""
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
def test_a_child_forked_in_c_is_not_reported_as_its_parent(begin: Begin, path: Path) -> None:
    """It has inherited the locks, which name its parent, and that has ended."""
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
