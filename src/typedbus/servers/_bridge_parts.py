"""Texts of a WSGI environ, and the time that the threads behind a bridge have to end."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote_from_bytes

#: How long a stop waits for threads to end, in seconds.
ENDING: Final = 1.0
_QUERY: Final = "".join(map(chr, range(0x21, 0x7F)))


def to_wsgi(text: str) -> str:
    """Return *text* as a WSGI string: each character is a byte of its UTF-8 (PEP 3333, "Unicode Issues")."""
    return text.encode("utf-8").decode("latin-1")


def quoted(query: bytes) -> str:
    """Return *query* with every byte that is not visible ASCII as a %-code."""
    return quote_from_bytes(query, safe=_QUERY)
