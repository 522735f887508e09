"""
A TCP socket that refuses new clients while it still accepts clients that are already connected.

Linux has no option for this, and closing the socket resets the connections that
wait to be accepted. There are two workarounds, both for packets that arrive at the
listening socket itself:

- A filter drops the packets that ask for a connection. It is exact, but some
  kernels let only root attach one.
- A minimum for the remaining hops (RFC 5082) drops all packets that have passed a
  router, or that were sent with fewer hops than 255, as nearly every system does.
  It needs no privilege. A connection whose handshake ends after that inherits the
  minimum, so `accept` removes it again.

In both cases the client asks again after a second. By then the socket is closed,
or belongs to the next process.
"""

from __future__ import annotations

import array
import errno
import socket
import struct
import sys
from typing import Any, Final

# socket(7), ip(7), and linux/in6.h; Python has no names for these.
_SO_ATTACH_FILTER: Final = 26
_IP_MINTTL: Final = 21
_IPV6_MINHOPCOUNT: Final = 73
_MOST_HOPS: Final = 255
# A classic filter, see Documentation/networking/filter.rst in the Linux sources: load the flags of the TCP header, and
# drop packets with SYN but without ACK. The last packet of a handshake has no SYN.
_DROP_SYN: Final = b"".join(
    struct.pack("=HBBI", *instruction)
    for instruction in [(0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 2), (6, 0, 0, 0), (6, 0, 0, 0xFFFFFFFF)]
)


class ListeningSocket(socket.socket):
    """A TCP socket with `refuse`."""

    _limits_hops = False

    def refuse(self) -> OSError | None:
        """
        Drop requests for new connections from now on, until the socket is closed; only on Linux.

        Returns:
            The reason, if the system does not allow it; None on other systems than Linux.
        """
        if sys.platform != "linux":
            return None
        code = array.array("B", _DROP_SYN)
        try:
            self.setsockopt(
                socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(code) // 8, code.buffer_info()[0])
            )
        except OSError:
            self._limits_hops = True
            try:
                _set_hops(self, _MOST_HOPS)
            except OSError as error:
                # A server that has died has closed the socket.
                return None if error.errno == errno.EBADF else error
        return None

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept as usual; after `refuse`, the connection receives packets as usual, too."""
        accepted, peer = super().accept()
        if self._limits_hops:
            _set_hops(accepted, 0)
        return accepted, peer


def _set_hops(connection: socket.socket, minimum: int) -> None:
    # An IPv6 socket may accept IPv4 as well, which has a separate minimum.
    if connection.family == socket.AF_INET6:
        connection.setsockopt(socket.IPPROTO_IPV6, _IPV6_MINHOPCOUNT, minimum)
    connection.setsockopt(socket.IPPROTO_IP, _IP_MINTTL, minimum)
