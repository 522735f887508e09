"""Checks of the arguments of links, ports, consumers and streams."""

from __future__ import annotations

from typing import TypeGuard


def is_count(value: object, least: int = 1) -> TypeGuard[int]:
    """Return whether *value* is an int of at least *least*; a bool is no count."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_word(value: object) -> TypeGuard[str]:
    """Return whether *value* is printable ASCII without spaces, which the protocol needs, and not empty."""
    return isinstance(value, str) and value != "" and all("!" <= one <= "~" for one in value)
