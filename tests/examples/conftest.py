"""Servers in processes of their own, for the tests of the examples."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.processes import LIMIT, Program, free_port, until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Callable[..., tuple[Program, str]]]:
    """Start modules with their arguments, wait until they serve, and return each with its address; kill them at the end."""
    servers = []

    def serve(*command: str) -> tuple[Program, str]:
        port = free_port()
        module = (part.format(port=port) for part in command)
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        server = Program(sys.executable, "-m", *module, cwd=tmp_path, env=environ)
        servers.append(server)

        def accepts() -> bool:
            assert server.child.poll() is None, (server.end(), server.output)
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=LIMIT).close()
                return True
            return False

        until(accepts)
        return server, f"127.0.0.1:{port}"

    yield serve
    for server in servers:
        server.kill()
