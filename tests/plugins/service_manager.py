"""A service manager that records the notifications of a service."""

from __future__ import annotations

import socket
import threading
from queue import SimpleQueue

LONG = 60.0


class Manager:
    """A service manager that records its notifications, in order."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.inbox: SimpleQueue[str] = SimpleQueue()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.bound)
        # It reads at all times: a system may have room for ten datagrams and no more.
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    @property
    def bound(self) -> str:
        return f"\0{self.address[1:]}" if self.address.startswith("@") else self.address

    @property
    def environ(self) -> dict[str, str]:
        return {"NOTIFY_SOCKET": self.address}

    def read(self) -> None:
        while (message := self.socket.recv(65536)) != b"end":
            self.inbox.put(message.decode())

    def send(self, message: bytes) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(message, self.bound)

    @property
    def messages(self) -> list[str]:
        """All messages since the last call, with semicolons between their lines."""
        self.send(b"all")
        return [message.replace("\n", "; ") for message in iter(self.next, "all")]

    def next(self) -> str:
        """Wait for the next datagram."""
        return self.inbox.get(timeout=LONG)

    def await_(self, text: str) -> list[str]:
        """Wait for a datagram with *text* in it, and return all up to it."""
        messages = []
        while True:
            messages.append(self.next())
            if text in messages[-1]:
                return messages

    def close(self) -> None:
        self.send(b"end")
        self.thread.join()
        self.socket.close()
