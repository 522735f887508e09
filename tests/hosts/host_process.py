"""A host in a process of its own, clients that load it, and what its processes noted."""

from __future__ import annotations

import contextlib
import http.client
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import pytest

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
LIMIT = 60.0
FULL_LIFE = ["start", "stop", "exit"]


def free_port() -> int:
    """Return a port that was free a moment ago, for hosts that take no listening socket."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def wait_for(condition: Callable[[], bool], what: Callable[[], str], limit: float = LIMIT) -> None:
    """Return when *condition* holds."""
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.02)


@contextlib.contextmanager
def hosts_in(folder: Path) -> Iterator[Callable[..., Host]]:
    """Yield a function that begins a server in *folder*; no process of a server outlives the block."""
    hosts: list[Host] = []

    def begin(command: str, files: Mapping[str, str], environment: Mapping[str, str]) -> Host:
        program, *options = shlex.split(command)
        if not (BIN / program).exists():
            pytest.skip(f"{program} is not installed beside this Python")
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        hosts.append(Host([str(BIN / program), *options], folder, environment))
        return hosts[-1]

    try:
        yield begin
    finally:
        for host in hosts:
            host.kill()


class Host:
    """
    A server that runs `shop_site`, with its output in a file.

    Args:
        command: What to run; ``{port}`` is the port to listen on.
        folder: Where it runs.
        environment: What is added to that of the tests.
        port: Where it listens; unless given, a port that was free.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
        port: int | None = None,
    ) -> None:
        self.life_file = folder / "life.txt"
        self.output_file = folder / "output.txt"
        self.life_file.touch()
        self.life_file.chmod(0o666)
        self.port = free_port() if port is None else port
        self.command = [part.replace("{port}", str(self.port)) for part in command]
        with self.output_file.open("w") as output:
            self.child = subprocess.Popen(
                self.command,
                cwd=folder,
                env={
                    **os.environ,
                    "LIFE": str(self.life_file),
                    "PORT": str(self.port),
                    "PYTHONPATH": f"{HERE}",
                    "PYTHONUNBUFFERED": "1",
                    **(environment or {}),
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.output_file.read_text(encoding="utf-8", errors="replace")

    @property
    def notes(self) -> list[tuple[int, str]]:
        """Every note, with the number of the process that made it."""
        lines = [line.partition(" ") for line in self.life_file.read_text(encoding="utf-8").splitlines()]
        return [(int(pid), text) for pid, _, text in lines]

    @property
    def requests(self) -> list[int]:
        """The process of each slow request, in the order in which they began."""
        return [pid for pid, text in self.notes if text == "request"]

    @property
    def lives(self) -> dict[int, list[str]]:
        """The starts, stops and exits of each process."""
        lives: dict[int, list[str]] = {}
        for pid, text in self.notes:
            if text != "request":
                lives.setdefault(pid, []).append(text)
        return lives

    def described(self) -> str:
        return f"{self.command}\n{self.output}\n{self.lives}"

    def get(self, path: str = "/") -> tuple[int, str]:
        """Return status and body of one request, on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT)
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def try_to_get(self, path: str = "/") -> tuple[int, str] | None:
        """Return the answer to one request; None where there is none."""
        try:
            return self.get(path)
        except (OSError, http.client.HTTPException):
            return None

    def serve(self, path: str = "/") -> str:
        """Return the first answer: the host listens, and a process of it has started."""
        answers: list[tuple[int, str]] = []

        def is_answered() -> bool:
            assert self.child.poll() is None, self.described()
            answer = self.try_to_get(path)
            if answer is not None:
                answers.append(answer)
            return bool(answers)

        wait_for(is_answered, self.described)
        assert answers[0][0] == 200, (answers, self.described())
        return answers[0][1]

    def slow(self) -> Answer:
        """Begin a request that takes half a second, and return when a process has it."""
        earlier = len(self.requests)
        answer = Answer(self)
        wait_for(lambda: len(self.requests) > earlier, self.described)
        answer.pid = self.requests[-1]
        return answer

    def send(self, number: signal.Signals) -> None:
        self.child.send_signal(number)

    def end(self, number: signal.Signals | None = signal.SIGTERM) -> int:
        """Send the signal, and return the status when no process of the host is left."""
        if number is not None:
            self.send(number)
        status = self.child.wait(LIMIT)
        wait_for(lambda: not self.left(), lambda: f"left: {self.left()}\n{self.described()}")
        return status

    def left(self) -> list[int]:
        """Return the processes of the host's session."""
        return [pid for pid in pids() if session(pid) == self.child.pid]

    def kill(self) -> None:
        """Leave no process, whatever has become of it."""
        for pid in self.left():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.child.wait()


def pids() -> list[int]:
    return [int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit()]


def session(pid: int) -> int | None:
    """Return the session of a process; None for one that is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[3])


class Answer:
    """
    One request, under way in a thread.

    Attributes:
        pid: The process that answers it.
    """

    pid = 0

    def __init__(self, host: Host) -> None:
        self.result: tuple[int, str] | BaseException | None = None
        self.thread = threading.Thread(target=self._ask, args=[host])
        self.thread.start()

    def _ask(self, host: Host) -> None:
        try:
            self.result = host.get("/slow")
        except (OSError, http.client.HTTPException) as error:
            self.result = error

    def get(self) -> tuple[int, str] | BaseException | None:
        self.thread.join(LIMIT)
        return self.result


class Load:
    """Clients that ask again and again until the end of the block, and what came of it."""

    def __init__(self, host: Host, clients: int = 3, paths: Sequence[str] = ("/",)) -> None:
        self.host = host
        self.paths = paths
        self.is_over = threading.Event()
        self.answers: list[tuple[int, str]] = []
        self.failures: list[str] = []
        self.threads = [threading.Thread(target=self._ask, args=[number]) for number in range(clients)]

    def __enter__(self) -> Self:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        for thread in self.threads:
            thread.join(LIMIT)

    def _ask(self, number: int) -> None:
        while not self.is_over.is_set():
            try:
                self.answers.append(self.host.get(self.paths[number % len(self.paths)]))
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(repr(error))
                self.is_over.wait(0.02)

    def reach(self, condition: Callable[[set[int]], bool]) -> None:
        """Return when *condition* holds for the processes that have answered."""
        wait_for(lambda: condition(self.served), self.host.described)

    @property
    def served(self) -> set[int]:
        """The processes that have answered."""
        return {int(body) for status, body in list(self.answers) if status == 200}
