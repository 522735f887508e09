"""Texts that the programs and the tests of the page share."""

from typing import Final

TOKEN: Final = "the-token-of-these-tests"
PASSWORD: Final = "correct-horse-battery"
HOSTILE: Final = "<img src=x onerror='window.broken = true'>"
