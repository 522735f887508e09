"""Programs that are the first process of a PID namespace, as in a container of Docker."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from host_process import BIN, FULL_LIFE, Host, wait_for

UNSHARE = [shutil.which("unshare") or "unshare", "--fork", "--pid", "--mount-proc", "--kill-child"]


def can_unshare() -> bool:
    try:
        return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


pytestmark = [pytest.mark.slow, pytest.mark.skipif(not can_unshare(), reason="no right to make a PID namespace")]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Host]]:
    hosts: list[Host] = []

    def begin_host(*command: str) -> Host:
        hosts.append(Host([*UNSHARE, *command], tmp_path))
        return hosts[-1]

    yield begin_host
    for host in hosts:
        host.kill()


def first_process(host: Host) -> int:
    """Return the number that the first process of the namespace has outside of it."""
    return int(Path(f"/proc/{host.child.pid}/task/{host.child.pid}/children").read_text().split()[0])


def test_sigterm_ends_a_site_in_order(begin: Callable[..., Host]) -> None:
    """As `docker stop` does."""
    host = begin(sys.executable, "-m", "typedbus", "run", "shop_site:Shop")
    wait_for(lambda: host.lives == {1: ["start"]}, host.described)

    os.kill(first_process(host), signal.SIGTERM)

    assert host.end(None) == 0
    assert host.lives == {1: FULL_LIFE}


def test_sigterm_is_lost_on_a_server_that_does_not_catch_it(begin: Callable[..., Host]) -> None:
    """The kernel gives the first process no signal that it has no handler for; SIGINT has one in Python."""
    host = begin(str(BIN / "waitress-serve"), "--listen", "127.0.0.1:{port}", "shop_site:application")
    host.serve()

    os.kill(first_process(host), signal.SIGTERM)
    assert host.get()[0] == 200
    os.kill(first_process(host), signal.SIGINT)

    assert host.end(None) == 0
    assert host.lives == {1: FULL_LIFE}
