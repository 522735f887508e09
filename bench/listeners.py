"""
Listeners to measure with, each with code of its own.

An interpreter adapts code to what it meets there. Listeners that share their
code, as lambdas of one loop do, would look like one and the same listener to
the loop that calls them, and flatter it.
"""

from __future__ import annotations

from collections.abc import Callable

Listener = Callable[..., object]

_FUNCTION = """\
def listener({parameters}):
    {body}
"""
_METHOD = """\
class Component:
    def listener(self, {parameters}):
        {body}
listener = Component().listener
"""
_CALLABLE = """\
class Component:
    def __call__(self, {parameters}):
        {body}
listener = Component()
"""
KINDS = {"function": _FUNCTION, "method": _METHOD, "callable": _CALLABLE}

ANSWERS = "return {number}"
FAILS = "raise ValueError('no')"


def listener(kind: str, parameters: str, body: str, number: int) -> Listener:
    """
    Return a listener of *kind* whose code nobody else has.

    Args:
        kind: One of `KINDS`.
        parameters: Its parameter list, as it stands in source.
        body: What it does, with ``{number}`` in it.
        number: Which one it is.
    """
    text = KINDS[kind].format(parameters=parameters, body=body.format(number=number))
    names: dict[str, Listener] = {}
    exec(compile(text, f"<{kind} {number} of the benchmark>", "exec"), names)
    return names["listener"]
