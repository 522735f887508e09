"""Comparing what a page shows with what its code prints."""

from __future__ import annotations

import doctest
import re

# A component that takes longer than a second gets a line while it takes that long, with one of these verbs.
_SLOW = re.compile(r"^(building|starting|stopping|exiting) +\S+ \.\.\.\n", re.MULTILINE)


def is_shown(shown: str, printed: str) -> bool:
    """
    Return whether *printed* is what a page shows as *shown*, in which ``...`` stands for any text.

    Places, durations, and the lines that only slow components cause are not compared.
    """
    return doctest.OutputChecker().check_output(_comparable(shown), _comparable(printed), doctest.ELLIPSIS)


def _comparable(text: str) -> str:
    """Return *text* without what differs between machines and from edit to edit."""
    text = re.sub(r"[^\s(]+\.(py|md):\d+", "PLACE", text)
    text = re.sub(r"\d+\.\d ms", "TIME", text)
    return _SLOW.sub("", text)
