"""What the processes have in common: the folder of their files, and the address of the server."""

from __future__ import annotations

import os
from pathlib import Path

import attrs

from typedbus import Bus
from typedbus.nats import Link

FOLDER, PORT = "SHOP_FOLDER", "SHOP_PORT"


@attrs.frozen
class Settings:
    """
    The settings of a process.

    Attributes:
        folder: The folder with the databases, and with the streams and the token of the server.
        port: The port of the server.
        orders: How many orders the front takes.
    """

    folder: Path
    port: int
    orders: int

    @classmethod
    def of_environment(cls) -> Settings:
        """Read the environment variables that `__main__` sets."""
        return cls(Path(os.environ[FOLDER]), int(os.environ[PORT]), int(os.environ.get("SHOP_ORDERS", "0")))

    @property
    def server(self) -> Path:
        """The folder of the server."""
        return self.folder / "server"


def link(bus: Bus, settings: Settings, name: str) -> Link:
    """Return the link of the process *name*, which waits for the server for up to 20 s."""
    servers = [f"nats://127.0.0.1:{settings.port}"]
    return Link(bus, servers, name=name, token_file=settings.server / "token", connect_within=20.0)
