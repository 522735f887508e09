"""What a process runs, whether it was daemonised, and how it is replaced by the same program anew."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from typedbus._errors import RestartError
from typedbus._image import Image

AGAIN = """
import os, sys
from typedbus._image import Image, is_daemon, mark_daemon

def again():
    if "AGAIN" not in os.environ:
        os.environ["AGAIN"] = "yes"
        print("first", os.getpid())
        Image().replace()
    print("second", os.getpid(), sys.argv[1:], sys.flags.optimize, sys._xoptions, os.getcwd())

"""


def program(folder: Path, source: str, name: str = "program.py") -> Path:
    """Write a program, and return where."""
    path = folder / name
    path.write_text(AGAIN + textwrap.dedent(source), encoding="utf-8")
    return path


def ran(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    # Without PYTHONUNBUFFERED, under which nothing could be lost.
    environment = {name: value for name, value in os.environ.items() if name not in ("AGAIN", "PYTHONUNBUFFERED")}
    return subprocess.run(
        [sys.executable, *command], cwd=cwd, capture_output=True, text=True, timeout=60, check=False, env=environment
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [["program.py"], ["-m", "program"], ["-mprogram"], ["-c", "import program"]],
    ids=["script", "module", "module in one", "code"],
)
def test_the_program_is_called_as_before(tmp_path: Path, how: list[str]) -> None:
    """Interpreter, its options, how it finds the program, arguments, working directory and pid are the same."""
    program(tmp_path, "again()")

    done = ran("-O", "-X", "dev", *how, "-m", "-c", "x y", cwd=tmp_path)

    first, second = done.stdout.splitlines()
    pid = first.removeprefix("first ")
    assert done.stderr == ""
    assert second == f"second {pid} ['-m', '-c', 'x y'] 1 {{'dev': True}} {tmp_path}"


@pytest.mark.slow
def test_the_program_is_found_after_the_directory_was_changed(tmp_path: Path) -> None:
    """A relative script is named from where the process began; what is buffered is not lost."""
    program(tmp_path, "'AGAIN' in os.environ or os.chdir('/'); print('buffered ', end=''); again()")

    done = ran("program.py", cwd=tmp_path)

    assert done.stdout.startswith("buffered first")
    assert done.stdout.endswith(f"{tmp_path}\n")


@pytest.mark.slow
def test_what_a_logging_handler_holds_is_written(tmp_path: Path) -> None:
    """A buffer in front of a handler is flushed before the process is replaced."""
    program(
        tmp_path,
        """
        import logging, logging.handlers
        target = logging.StreamHandler(sys.stdout)
        held = logging.handlers.MemoryHandler(100, target=target)
        if "AGAIN" not in os.environ:
            logging.getLogger().addHandler(held)
            logging.getLogger().warning("held back")
        again()
        """,
    )

    done = ran("program.py", cwd=tmp_path)

    assert "held back" in done.stdout.splitlines()


@pytest.mark.slow
def test_a_process_stays_a_daemon_and_its_children_are_none(tmp_path: Path) -> None:
    """The mark survives the replacement, since the pid does, and is not believed by a child that inherits it."""
    program(
        tmp_path,
        """
        import subprocess
        if "AGAIN" not in os.environ:
            print(is_daemon())
            mark_daemon()
        print(is_daemon())
        again()
        print(is_daemon())
        child = "from typedbus._image import is_daemon; print(is_daemon())"
        sys.stdout.flush()
        subprocess.run([sys.executable, "-c", child])
        """,
    )

    done = ran("program.py", cwd=tmp_path)

    said = [line for line in done.stdout.splitlines() if line in ("True", "False")]
    assert said == ["False", "True", "True", "True", "False"]


@pytest.mark.slow
def test_an_inheritable_socket_is_kept_and_others_are_closed(tmp_path: Path) -> None:
    """Activated sockets outlive the replacement, with LISTEN_FDS and a LISTEN_PID that is still true."""
    program(
        tmp_path,
        """
        import fcntl, socket
        with socket.socket() as own, open(__file__) as file:
            if "AGAIN" not in os.environ:
                os.environ["LISTEN_PID"] = str(os.getpid())
                os.environ["LISTEN_FDS"] = "1"
                os.environ["OWN"] = str(own.fileno() + 40)
                fcntl.fcntl(own.fileno(), fcntl.F_DUPFD_CLOEXEC, own.fileno() + 40)
            again()
        print(os.environ["LISTEN_PID"] == str(os.getpid()), os.environ["LISTEN_FDS"])
        print(socket.socket(fileno=int(sys.argv[1])).getsockname()[1])
        try:
            os.fstat(int(os.environ["OWN"]))
        except OSError as error:
            print(error.strerror)
        """,
    )
    with socket.create_server(("127.0.0.1", 0)) as given:
        os.set_inheritable(given.fileno(), True)
        environment = {name: value for name, value in os.environ.items() if name != "AGAIN"}
        done = subprocess.run(
            [sys.executable, "program.py", str(given.fileno())],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment,
            close_fds=False,
        )
        port = given.getsockname()[1]

    assert done.stdout.splitlines()[-3:] == ["True 1", str(port), "Bad file descriptor"]


@pytest.mark.slow
def test_a_process_that_was_started_nowhere_cannot_be_replaced(tmp_path: Path) -> None:
    """Where the working directory was gone at the import, the reason says so."""
    gone = tmp_path / "gone"
    gone.mkdir()
    path = program(
        tmp_path,
        """
        from typedbus._errors import RestartError
        try:
            again()
        except RestartError as error:
            print(error)
        """,
    )
    path.write_text(f"import os\nos.rmdir({str(gone)!r})\n" + path.read_text())

    done = ran(path, cwd=gone)

    assert done.stdout.splitlines()[1:] == [
        "this process cannot be restarted: the directory in which it was started was gone; start it in one that lasts"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_of_multiprocessing_is_not_replaced(tmp_path: Path, method: str) -> None:
    """Its command line is its parent's, or says nothing to anybody."""
    program(
        tmp_path,
        f"""
        import multiprocessing

        def say():
            print(Image().problem(), flush=True)

        if __name__ == "__main__":
            context = multiprocessing.get_context({method!r})
            child = context.Process(target=say)
            child.start()
            child.join()
            print(Image().problem())
        """,
    )

    done = ran("program.py", cwd=tmp_path)

    assert done.stdout.splitlines() == [
        "it is a child of multiprocessing, and its command line is another's; restart the parent",
        "None",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("how", [[], ["-"]], ids=["nothing", "dash"])
def test_a_program_from_a_pipe_cannot_be_replaced(how: list[str]) -> None:
    """What came from standard input is gone."""
    source = "from typedbus._image import Image; print(Image().problem())"

    done = subprocess.run([sys.executable, *how], input=source, capture_output=True, text=True, timeout=60, check=False)

    assert done.stdout == ("its program came from a terminal or a pipe and cannot be read again; put it into a file\n")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"platform": "win32"}, "Windows replaces no process; exit, and let a service manager start it anew"),
        ({"command": ()}, "an interpreter inside another program has no command line; "),
        ({"executable": ""}, "an interpreter inside another program has no command line; "),
        ({"directory": "/no/such"}, "its directory /no/such is gone; put it back, or start the program anew elsewhere"),
        ({"executable": "/no/python"}, "its interpreter /no/python is gone; put it back"),
        ({"executable": __file__}, f"its interpreter {__file__} cannot be entered any more"),
    ],
)
def test_what_cannot_be_replaced_says_why(tmp_path: Path, given: dict[str, object], reason: str) -> None:
    """Every reason is known before anything is touched, and says what to do."""
    image = Image(**({"source": "program.py", "directory": str(tmp_path)} | given))  # type: ignore[arg-type]  # by name

    problem = image.problem()
    with pytest.raises(RestartError) as refused:
        image.replace()

    assert problem is not None
    assert problem.startswith(reason)
    assert str(refused.value) == f"this process cannot be restarted: {problem}"


def test_a_frozen_program_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """What made it from Python sources says how it is started, and nobody else."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)

    assert Image().problem() == (
        "it is a frozen program, whose command line is its own business; exit, and start it anew from outside"
    )


def test_what_the_system_refuses_is_told(tmp_path: Path) -> None:
    """An interpreter that is none is a RestartError with the system's own words."""
    none = tmp_path / "python"
    none.write_text("this is no program")
    none.chmod(0o755)
    image = Image(executable=str(none), source="program.py", directory=str(Path.cwd()))

    with pytest.raises(RestartError, match=r"the system refused: .*Exec format error.*start it anew from outside"):
        image.replace()
