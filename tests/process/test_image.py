"""The command line of a process, whether it is a daemon, and how its program is started again in its place."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
import venv
from pathlib import Path

import attrs
import pytest

import typedbus
from typedbus._base.errors import RestartError
from typedbus._os.reexec import Image

AGAIN = """
import os, sys
from typedbus._os.reexec import Image, is_daemon, mark_daemon

def again():
    if "AGAIN" not in os.environ:
        os.environ["AGAIN"] = "yes"
        print("first", os.getpid())
        Image().replace()
    print("second", os.getpid(), sys.argv[1:], sys.flags.optimize, sys._xoptions, os.getcwd())

"""


def program(folder: Path, source: str, name: str = "program.py") -> Path:
    """Write a program, and return its path."""
    path = folder / name
    path.write_text(AGAIN + textwrap.dedent(source), encoding="utf-8")
    return path


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    # Without PYTHONUNBUFFERED, so that output can be lost.
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
def test_a_restart_keeps_the_command_line(tmp_path: Path, how: list[str]) -> None:
    """Interpreter, options, the form of the program, arguments, working directory and PID are the same."""
    program(tmp_path, "again()")

    done = run("-O", "-X", "dev", *how, "-m", "-c", "x y", cwd=tmp_path)

    first, second = done.stdout.splitlines()
    pid = first.removeprefix("first ")
    assert done.stderr == ""
    assert second == f"second {pid} ['-m', '-c', 'x y'] 1 {{'dev': True}} {tmp_path}"


@pytest.mark.slow
def test_the_program_is_found_after_the_directory_was_changed(tmp_path: Path) -> None:
    """A relative path refers to the first working directory; buffered output is written."""
    program(tmp_path, "'AGAIN' in os.environ or os.chdir('/'); print('buffered ', end=''); again()")

    done = run("program.py", cwd=tmp_path)

    assert done.stdout.startswith("buffered first")
    assert done.stdout.endswith(f"{tmp_path}\n")


@pytest.mark.slow
def test_buffered_log_records_are_written_before_a_restart(tmp_path: Path) -> None:
    """A memory handler is flushed before the process is replaced."""
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

    done = run("program.py", cwd=tmp_path)

    assert "held back" in done.stdout.splitlines()


@pytest.mark.slow
def test_a_daemon_stays_a_daemon_and_its_children_are_not_daemons(tmp_path: Path) -> None:
    """The mark survives the replacement with the PID; a child that inherits it ignores it."""
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
        child = "from typedbus._os.reexec import is_daemon; print(is_daemon())"
        sys.stdout.flush()
        subprocess.run([sys.executable, "-c", child])
        """,
    )

    done = run("program.py", cwd=tmp_path)

    flags = [line for line in done.stdout.splitlines() if line in ("True", "False")]
    assert flags == ["False", "True", "True", "True", "False"]


@pytest.mark.slow
def test_inheritable_sockets_stay_open(tmp_path: Path) -> None:
    """Activated sockets survive the replacement, and LISTEN_FDS and LISTEN_PID stay valid."""
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
def test_a_process_started_in_a_removed_directory_cannot_be_replaced(tmp_path: Path) -> None:
    """The reason is that its working directory did not exist at the import."""
    removed = tmp_path / "removed"
    removed.mkdir()
    path = program(
        tmp_path,
        """
        from typedbus._base.errors import RestartError
        try:
            again()
        except RestartError as error:
            print(error)
        """,
    )
    path.write_text(f"import os\nos.rmdir({str(removed)!r})\n" + path.read_text())

    done = run(path, cwd=removed)

    assert done.stdout.splitlines()[1:] == [
        "this process cannot be restarted: its working directory did not exist when it was started; start it in an existing directory"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_of_multiprocessing_is_not_replaced(tmp_path: Path, method: str) -> None:
    """Its command line is that of its parent, or cannot be started again."""
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

    done = run("program.py", cwd=tmp_path)

    assert done.stdout.splitlines() == [
        "it is a child process of multiprocessing, without a command line of its own; restart the parent process",
        "None",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("how", [[], ["-"]], ids=["nothing", "dash"])
def test_a_program_from_a_pipe_cannot_be_replaced(how: list[str]) -> None:
    """Standard input cannot be read again."""
    source = "from typedbus._os.reexec import Image; print(Image().problem())"

    done = subprocess.run([sys.executable, *how], input=source, capture_output=True, text=True, timeout=60, check=False)

    assert done.stdout == (
        "its program was read from a terminal or a pipe and cannot be read again; run it from a file\n"
    )


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (
            {"platform": "win32"},
            "Windows cannot replace a running process; exit, and let a service manager start the program again",
        ),
        ({"command": ()}, "its interpreter is part of another program and has no command line; "),
        ({"executable": ""}, "its interpreter is part of another program and has no command line; "),
        (
            {"directory": "/no/such"},
            "its directory /no/such no longer exists; restore it, or start the program from another place",
        ),
        ({"executable": "/no/python"}, "its interpreter /no/python no longer exists; restore it"),
        ({"source": "x.py", "command": ("python", "x.py")}, "its program x.py no longer exists; restore it"),
        ({"executable": __file__}, f"its interpreter {__file__} can no longer be executed"),
    ],
)
def test_a_process_that_cannot_be_replaced_has_a_reason(tmp_path: Path, given: dict[str, object], reason: str) -> None:
    """The reason is available before components are stopped, and names the remedy."""
    image = Image(**({"source": "program.py", "directory": str(tmp_path)} | given))  # type: ignore[arg-type]  # by name

    problem = image.problem()
    with pytest.raises(RestartError) as refused:
        image.replace()

    assert problem is not None
    assert problem.startswith(reason)
    assert str(refused.value) == f"this process cannot be restarted: {problem}"


def test_a_frozen_program_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its command line is unknown."""
    monkeypatch.setattr(sys, "frozen", True, raising=False)

    assert Image().problem() == (
        "it is a frozen program, whose command line is unknown; exit, and start the program again from outside"
    )


def test_an_error_of_the_system_is_reported(tmp_path: Path) -> None:
    """An invalid interpreter raises a RestartError with the message of the system."""
    none = tmp_path / "python"
    none.write_text("this is no program")
    none.chmod(0o755)
    image = Image(executable=str(none), source="program.py", directory=str(Path.cwd()))

    with pytest.raises(
        RestartError, match=r"the system refused: .*Exec format error.*start the program again from outside"
    ):
        image.replace()


class Releases:
    """Two releases of a program, and a link to the current release, as in a deployment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.current = folder / "current"
        for release in ("42", "43"):
            path = folder / "releases" / release
            path.mkdir(parents=True)
            program(path, "import where; again(); print(where.RELEASE)")
            (path / "where.py").write_text(f"RELEASE = 'release {release}'")
        self.current.symlink_to("releases/42")

    def python(self, release: str) -> Path:
        """Create an environment in *release*, and return the path of its interpreter."""
        environment = self.folder / "releases" / release / "venv"
        venv.create(environment, symlinks=True)
        packages = Path(typedbus.__file__).parents[1], Path(attrs.__file__).parents[1]
        (site,) = environment.glob("lib/*/site-packages")
        (site / "paths.pth").write_text("\n".join(map(str, packages)))
        return environment / "bin" / "python"

    def run(self, *command: str | Path, flip: str = "ln -sfn releases/43 ../../current", **environ: str) -> list[str]:
        """Run *command* in the current release, let *flip* make the other release current, and return its last lines."""
        for release in ("42", "43"):
            path = self.folder / "releases" / release / "program.py"
            first = "import os; " + f"'AGAIN' in os.environ or os.system('cd /proc/self/cwd; {flip}')\n"
            body = path.read_text()
            path.write_text(body.replace("import where; ", "import where\n" + first))
        inherited = {name: value for name, value in os.environ.items() if name not in ("AGAIN", "PYTHONPATH")}
        done = subprocess.run(
            command,
            cwd=self.current,
            env={**inherited, "PWD": str(self.current), **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return [done.stderr, *done.stdout.splitlines()[-1:]]


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    """Return two releases, of which 42 is current."""
    return Releases(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("how", [["program.py"], ["-m", "program"], ["{current}/program.py"], ["-c", "import program"]])
def test_a_restart_follows_the_link_to_the_current_release(releases: Releases, how: list[str]) -> None:
    """The working directory and the program are stored as paths, for each way to start the program."""
    how = [word.format(current=releases.current) for word in how]

    assert releases.run(sys.executable, *how) == ["", "release 43"]


@pytest.mark.slow
def test_a_restart_runs_the_new_release_after_the_old_release_was_deleted(releases: Releases) -> None:
    """No file of the started release is needed."""
    flip = "ln -sfn releases/43 ../../current; rm -r ../42"

    assert releases.run(sys.executable, "-m", "program", flip=flip) == ["", "release 43"]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["relative", "link", "path"])
def test_a_restart_uses_the_interpreter_of_the_new_release(releases: Releases, how: str) -> None:
    """The environment inside of a release is found through the link as well."""
    for release in ("42", "43"):
        releases.python(release)
        where = releases.folder / "releases" / release / "where.py"
        where.write_text("import os, sys; RELEASE = os.path.realpath(sys.prefix).split(os.sep)[-2]")
    link = releases.current / "venv" / "bin"
    command = {"relative": "venv/bin/python", "link": str(link / "python"), "path": "python"}[how]
    path = os.pathsep.join([os.path.relpath(link, releases.current), os.environ["PATH"]])

    assert releases.run(command, "program.py", PATH=path) == ["", "43"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape", ["#!{python}\n", "#!{python} -I\n", "#!/bin/sh\n'''exec' {python} \"$0\" \"$@\"\n' '''\n"]
)
def test_a_console_script_runs_with_the_interpreter_of_its_first_line(releases: Releases, shape: str) -> None:
    """The script of the new release names the interpreter of the new release, which alone has its packages."""
    for release in ("42", "43"):
        python = releases.python(release)
        folder = releases.folder / "releases" / release
        (site,) = folder.glob("venv/lib/*/site-packages")
        for name in ("where.py", "program.py"):
            (folder / name).replace(site / name)
        script = python.with_name("shop")
        script.write_text(shape.format(python=python) + "import program\n")
        script.chmod(0o755)
        (folder / "program.py").symlink_to(site / "program.py")

    assert releases.run(releases.current / "venv" / "bin" / "shop") == ["", "release 43"]


@pytest.mark.slow
def test_a_script_started_with_an_interpreter_keeps_that_interpreter(tmp_path: Path) -> None:
    """The interpreter and its options are those of the command line."""
    path = program(tmp_path, "again()")
    path.write_text("#!/usr/bin/false\n" + path.read_text())
    path.chmod(0o755)

    done = run("-O", "program.py", cwd=tmp_path)

    assert done.stdout.splitlines()[1].endswith(f"[] 1 {{}} {tmp_path}")


@pytest.mark.slow
def test_a_wrong_pwd_is_ignored(tmp_path: Path) -> None:
    """$PWD may name another directory than the working directory."""
    program(tmp_path, "again()")

    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env={**os.environ, "PWD": "/"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stdout.endswith(f"{tmp_path}\n")


@pytest.mark.slow
def test_a_broken_link_is_refused(releases: Releases) -> None:
    """The reason is available before components are stopped, and names the link."""
    flip = "ln -sfn releases/44 ../../current"

    error, *_ = releases.run(sys.executable, "program.py", flip=flip)

    assert f"RestartError: this process cannot be restarted: its directory {releases.current} no longer exists" in error


@pytest.mark.slow
@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_ended_children_are_reaped_after_a_restart(tmp_path: Path, method: str) -> None:
    """Those of a pool, the helpers of multiprocessing, and a process that the program never waits for."""
    path = tmp_path / "program.py"
    path.write_text(
        textwrap.dedent(f"""
        import multiprocessing, os, subprocess, sys
        from concurrent.futures import ProcessPoolExecutor
        from pathlib import Path
        from typedbus._os.reexec import Image

        def parent_and_state(path):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:
                return None
            return fields[1], fields[0]

        if __name__ == "__main__":
            if "AGAIN" in os.environ:
                found = [parent_and_state(path) for path in Path("/proc").glob("[0-9]*/stat")]
                print(found.count((str(os.getpid()), "Z")))
            else:
                os.environ["AGAIN"] = "yes"
                with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context({method!r})) as pool:
                    pool.submit(int).result()
                ended = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
                ended.stdout.read()
                os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
                Image().replace()
        """)
    )

    done = run("program.py", cwd=tmp_path)

    assert (done.stdout, done.stderr) == ("0\n", "")
