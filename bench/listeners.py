"""
Listeners for the measurements, each with its own code object.

The interpreter specialises a loop for the code that it calls. Listeners with a
common code object, such as lambdas of one loop, would be called faster than the
listeners of a real program.
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
    Return a listener of *kind* with its own code object.

    Args:
        kind: One of `KINDS`.
        parameters: Its parameter list, as source text.
        body: Its statement; ``{number}`` is replaced by *number*.
        number: The number of the listener.
    """
    text = KINDS[kind].format(parameters=parameters, body=body.format(number=number))
    names: dict[str, Listener] = {}
    exec(compile(text, f"<{kind} {number} of the benchmark>", "exec"), names)
    return names["listener"]
