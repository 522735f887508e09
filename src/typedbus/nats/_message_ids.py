"""Ids of messages that are ordered by time, in the form of UUID version 7."""

from __future__ import annotations

import os
import time


def new_message_id() -> str:
    """Return 32 hexadecimal digits: the time in milliseconds since 1970, the version and the variant, and random bits."""
    value = (time.time_ns() // 1_000_000 & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10))
    value = value & ~(0xF << 76) | 7 << 76
    value = value & ~(0x3 << 62) | 2 << 62
    return f"{value:032x}"
