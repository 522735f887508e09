"""
What a contender is.

What a contender does is text, put into the loop that is timed, so that nothing
of the benchmark stands between the loop and the library. In the text stand
``channel`` for what is published on, ``listener`` for what is subscribed, and
``bus`` for what owns the channels where the library has such a thing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

#: What is published, as one would write it where it goes by position or by name.
POSITIONAL = {
    "positional": "1, 'two'",
    "keyword": "1, b='two'",
    "keyword_only": "1, b='two'",
    "default": "1",
    "variadic": "1, 'two', 3, name='four'",
}
#: The same where everything goes by name.
NAMED = {
    "positional": "a=1, b='two'",
    "keyword": "a=1, b='two'",
    "keyword_only": "a=1, b='two'",
    "default": "a=1",
}
PARAMETERS = {
    "positional": "a, b",
    "keyword": "a, b",
    "keyword_only": "a, *, b",
    "default": "a, b='two', c=3",
    "variadic": "a, *rest, **others",
}
ALL_KINDS = ("function", "method", "callable")
GOES_ON = "calls the rest, raises all together"
STOPS = "stops at the first"


def _sole(declared: Any) -> Any:
    return declared


def _as_is(declared: Any, listener: Any) -> Any:
    return listener


@attrs.frozen
class Contender:
    """
    One library, or one of its ways to publish.

    Attributes:
        name: For the tables.
        publish: The statement that publishes, by what is published; what is missing cannot be said with it.
        subscribe: The statement that subscribes ``listener``.
        unsubscribe: The statement that ends that.
        declare: Makes what a program has at import time, by what is published.
        bind: Makes the channel of it.
        bus: What owns the channels, if anything does.
        prepare: Makes what the library subscribes of what was declared and of a listener.
        parameters: Of the listeners, by what is published.
        kinds: Of listeners that it takes.
        results: Takes the answers out of what publish returned; None if it gives none.
        order: In which the listeners are called: "as subscribed", "last first" or "unspecified".
        failing: What becomes of the listeners after one that raises.
        is_async: Whether publish is awaited.
        package: The distribution whose version is told, and what is imported of it.
        heat: Publishes after which a channel is as fast as it gets.
    """

    name: str
    publish: dict[str, str]
    subscribe: str
    unsubscribe: str
    declare: Callable[[str], Any]
    bind: Callable[[Any], Any] = _sole
    bus: Any = None
    prepare: Callable[[Any, Any], Any] = _as_is
    parameters: dict[str, str] = PARAMETERS
    kinds: tuple[str, ...] = ALL_KINDS
    results: Callable[[Any], list[Any]] | None = list
    order: str = "as subscribed"
    failing: str = GOES_ON
    is_async: bool = False
    package: tuple[str, str] | None = None
    heat: int = 1


def statements(text: str, arguments: dict[str, str]) -> dict[str, str]:
    """Return *text* with each of *arguments* put into it."""
    return {form: text.format(given) for form, given in arguments.items()}
