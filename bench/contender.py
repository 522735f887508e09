"""
The description of a contender: a library, and the statements that use it.

A statement is text that is inserted into the timed loop, so that no call of the
benchmark adds to the time. It refers to the channel as ``channel``, to the listener
as ``listener``, and to the owner of the channels, if the library has one, as ``bus``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

#: The arguments of a publish, by form, for libraries that accept positional arguments.
POSITIONAL = {
    "positional": "1, 'two'",
    "keyword": "1, b='two'",
    "keyword_only": "1, b='two'",
    "default": "1",
    "variadic": "1, 'two', 3, name='four'",
}
#: The same for libraries that accept keyword arguments only.
NAMED = {
    "positional": "a=1, b='two'",
    "keyword": "a=1, b='two'",
    "keyword_only": "a=1, b='two'",
    "default": "a=1",
}
#: The parameters of a listener, by form.
PARAMETERS = {
    "positional": "a, b",
    "keyword": "a, b",
    "keyword_only": "a, *, b",
    "default": "a, b='two', c=3",
    "variadic": "a, *rest, **others",
}
ALL_KINDS = ("function", "method", "callable")
CALLS_REST = "calls the rest, raises all together"
STOPS = "stops at the first"


def _same_channel(declaration: Any) -> Any:
    return declaration


def _same_listener(declaration: Any, listener: Any) -> Any:
    return listener


@attrs.frozen
class Contender:
    """
    One library, or one of its ways to publish.

    Attributes:
        name: Its name in the tables.
        publish: The statement that publishes, by form; the library does not support a missing form.
        subscribe: The statement that subscribes ``listener``.
        unsubscribe: The statement that unsubscribes ``listener``.
        declare: Returns the declaration of a channel, which a program makes at import time, for a form.
        bind: Returns the channel of a declaration.
        bus: The owner of the channels, if there is one.
        prepare: Returns the object to subscribe, from a declaration and a listener.
        parameters: The parameters of the listeners, by form.
        kinds: The kinds of listeners that the library accepts.
        results: Extracts the results from the return value of publish; None if it returns none.
        order: The order of the listeners: "as subscribed", "last first" or "unspecified".
        failing: How publish continues after a listener has raised.
        is_async: Whether publish is awaited.
        package: The name of the distribution, and of the module to import.
        heat: The number of publishes after which a channel is at its fastest.
    """

    name: str
    publish: dict[str, str]
    subscribe: str
    unsubscribe: str
    declare: Callable[[str], Any]
    bind: Callable[[Any], Any] = _same_channel
    bus: Any = None
    prepare: Callable[[Any, Any], Any] = _same_listener
    parameters: dict[str, str] = PARAMETERS
    kinds: tuple[str, ...] = ALL_KINDS
    results: Callable[[Any], list[Any]] | None = list
    order: str = "as subscribed"
    failing: str = CALLS_REST
    is_async: bool = False
    package: tuple[str, str] | None = None
    heat: int = 1


def statements(text: str, arguments: dict[str, str]) -> dict[str, str]:
    """Return *text* with the arguments of each form inserted."""
    return {form: text.format(values) for form, values in arguments.items()}
