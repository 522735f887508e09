"""Networks of their own for servers, whose cables are cut and joined again: a bridge, and a namespace for each server."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
from collections.abc import Iterator, Sequence

import attrs
import pytest
from tests.nats.servers import Place


@attrs.frozen
class Cable:
    """
    The cable between a namespace and the bridge.

    Attributes:
        place: The address in the namespace, and the command that runs a program there.
        name: The end at the bridge.
    """

    place: Place
    name: str

    def cut(self) -> None:
        """Let nothing through: packets are lost, and connections stay open without an answer."""
        _ip("link", "set", self.name, "down")

    def join(self) -> None:
        """Let packets through again."""
        _ip("link", "set", self.name, "up")


@contextlib.contextmanager
def network(size: int) -> Iterator[Sequence[Cable]]:
    """
    Give *size* namespaces that a bridge connects with each other and with the test; remove them at the end.

    Skip the test where that is not permitted.
    """
    if shutil.which("ip") is None or os.geteuid():
        pytest.skip("network namespaces need root and the command ip of iproute2")
    suffix = f"{os.getpid() % 100_000}"
    bridge, subnet = f"tbb{suffix}", f"198.18.{random.randrange(256)}"
    with contextlib.ExitStack() as undo:
        try:
            _ip("link", "add", bridge, "type", "bridge")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"network namespaces are not permitted here: {error.stderr.strip()}")
        undo.callback(_ip, "link", "delete", bridge)
        _ip("address", "add", f"{subnet}.254/24", "dev", bridge)
        _ip("link", "set", bridge, "up")
        yield [_connected(undo, bridge, f"{suffix}n{number}", f"{subnet}.{number}") for number in range(1, size + 1)]


def _connected(undo: contextlib.ExitStack, bridge: str, name: str, host: str) -> Cable:
    namespace, inside, outside = f"tb{name}", f"tbi{name}", f"tbo{name}"
    _ip("netns", "add", namespace)
    undo.callback(_ip, "netns", "delete", namespace)
    _ip("link", "add", outside, "type", "veth", "peer", "name", inside)
    undo.callback(_ip, "link", "delete", outside)
    _ip("link", "set", inside, "netns", namespace)
    _ip("link", "set", outside, "master", bridge)
    _ip("link", "set", outside, "up")
    _ip("-n", namespace, "link", "set", "lo", "up")
    _ip("-n", namespace, "address", "add", f"{host}/24", "dev", inside)
    _ip("-n", namespace, "link", "set", inside, "up")
    return Cable(Place(host, ("ip", "netns", "exec", namespace)), outside)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)
