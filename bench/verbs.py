# a program on its own, no part of a package
"""
Measure `first`, `fold`, `attempt` and watchers against `publish` on the same listeners, beside other libraries and loops.

``python bench/verbs.py`` prints tables for sync and async channels. All contenders take turns in one run, and
the fastest round of each counts. The listeners do nothing: the tables show the overhead of a call, not the work.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from rounds import Measured, measure, pin
from scenarios import Timed
from tables import print_interpreter, print_table, timed
from typedbus import AsyncChannel, Bus, Channel

ROUNDS = 60
SECONDS = 0.002
SENDER = object()
COUNTS = {"one": 1, "ten": 10, "a hundred": 100}
Listeners = Sequence[Callable[..., Any]]

_LISTENER = """\
{define} listen({parameters}):
    return {result}
"""


def listeners(count: int, parameters: str, result: str, *, is_async: bool) -> Listeners:
    """Return functions with code of their own, which the interpreter specialises each call for."""
    made = []
    for _ in range(count):
        names: dict[str, Any] = {}
        define = "async def" if is_async else "def"
        exec(_LISTENER.format(define=define, parameters=parameters, result=result), names)
        made.append(names["listen"])
    return made


class Loops:
    """The loops of a program without a library, as other programs write them."""

    def __init__(self, listens: Listeners) -> None:
        self.listens = listens

    def first(self, value: int) -> object:
        """Return the first result that is not None; a failure ends the loop."""
        for listen in self.listens:
            result = listen(value)
            if result is not None:
                return result
        return None

    def fold(self, value: int) -> object:
        """Pass *value* through the listeners; a failure ends the loop."""
        for listen in self.listens:
            result = listen(value)
            if result is not None:
                value = result
        return value

    def attempt(self, value: int) -> list[tuple[Callable[..., Any], object]]:
        """Return each listener with its result or its exception."""
        outcomes = []
        for listen in self.listens:
            try:
                outcomes.append((listen, listen(value)))
            except Exception as error:
                outcomes.append((listen, error))
        return outcomes


def on_typedbus(listens: Listeners, *, is_async: bool, watch: str = "") -> Any:
    """Return a bound channel, with a watcher on the "channel" or on the "bus" if *watch* says so."""
    bus = Bus()
    bound: Any = (
        bus[AsyncChannel[[int], int | None]("measured")] if is_async else bus[Channel[[int], int | None]("measured")]
    )
    for listen in listens:
        bound.subscribe(listen)
    if watch == "channel":
        bound.watch(lambda value: None)
    elif watch == "bus":
        bus.watch(lambda published: None)
    return bound


def on_pluggy(listens: Listeners, *, firstresult: bool = True, watch: bool = False) -> Any:
    """Return a hook: keyword arguments only, the last plugin first; with monitoring of all hooks if *watch* is True."""
    library = importlib.import_module("pluggy")
    plugins = library.PluginManager("bench")

    class Specifications:
        @library.HookspecMarker("bench")(firstresult=firstresult)
        def measured(self, value: int) -> None: ...

    plugins.add_hookspecs(Specifications)
    for number, listen in enumerate(listens):
        plugin = type(f"Plugin{number}", (), {})()
        plugin.measured = library.HookimplMarker("bench")(listen)
        plugins.register(plugin)
    if watch:
        plugins.add_hookcall_monitoring(lambda name, methods, kwargs: None, lambda outcome, name, methods, kwargs: None)
    return plugins.hook.measured


def on_blinker(listens: Listeners, *, watch: bool = False) -> Any:
    """
    Return a signal, which returns a list of receivers and results, and ends at the first failure.

    If *watch* is True, the listeners receive one sender, and another receiver receives all of them.
    """
    library = importlib.import_module("blinker")
    signal = library.Signal()
    for listen in listens:
        signal.connect(listen, sender=SENDER if watch else library.ANY, weak=False)
    if watch:
        signal.connect(lambda sender, value: None, weak=False)
    return signal


def on_django(listens: Listeners, *, watch: bool = False) -> Any:
    """
    Return a signal, which returns a list of receivers and results; `send_robust` has exceptions among the results.

    If *watch* is True, the listeners receive one sender, and another receiver receives all of them.
    """
    logging.getLogger("django").addHandler(logging.NullHandler())
    signal = importlib.import_module("django.dispatch").Signal()
    for listen in listens:
        signal.connect(listen, sender=SENDER if watch else None, weak=False)
    if watch:
        signal.connect(lambda sender, value, **named: None, weak=False)
    return signal


@attrs.frozen
class Row:
    """
    A row of a table.

    Attributes:
        name: Its name.
        statement: The call, of ``channel``.
        make: Returns the channel with listeners.
        parameters: The parameters of the listeners.
    """

    name: str
    statement: str
    make: Callable[[Listeners], Any]
    parameters: str = "value"


def _sync(verb: str) -> Row:
    return Row(f"`{verb}`", f"channel.{verb}(1)", lambda listens: on_typedbus(listens, is_async=False))


def _watched(watch: str, *, is_async: bool = False) -> Row:
    return Row(
        f"`publish`, a watcher of the {watch}",
        f"{'await ' if is_async else ''}channel.publish(1)",
        lambda listens: on_typedbus(listens, is_async=is_async, watch=watch),
    )


def _async(verb: str) -> Row:
    return Row(f"`{verb}`", f"await channel.{verb}(1)", lambda listens: on_typedbus(listens, is_async=True))


#: The rows whose listeners return the same results; the first row of each is the one that the ratios refer to.
FIRST = (
    _sync("publish"),
    _sync("first"),
    Row("a loop for the first answer", "channel.first(1)", Loops),
    Row("pluggy `firstresult`", "channel(value=1)", on_pluggy),
)
VALUES = (
    _sync("publish"),
    _sync("fold"),
    Row("a loop that passes a value on", "channel.fold(1)", Loops),
    _sync("attempt"),
    Row("a loop that collects results and exceptions", "channel.attempt(1)", Loops),
    Row("Django `send_robust`", "channel.send_robust(None, value=1)", on_django, "sender, value, **named"),
    Row("Django `send`", "channel.send(None, value=1)", on_django, "sender, value, **named"),
    Row("blinker `send`", "channel.send(None, value=1)", on_blinker, "sender, value"),
)
WATCHED = (
    _sync("publish"),
    _watched("channel"),
    _watched("bus"),
    Row("pluggy", "channel(value=1)", lambda listens: on_pluggy(listens, firstresult=False)),
    Row(
        "pluggy, `add_hookcall_monitoring`",
        "channel(value=1)",
        lambda listens: on_pluggy(listens, firstresult=False, watch=True),
    ),
    Row("Django `send`", "channel.send(SENDER, value=1)", on_django, "sender, value, **named"),
    Row(
        "Django `send`, a receiver of all senders",
        "channel.send(SENDER, value=1)",
        lambda listens: on_django(listens, watch=True),
        "sender, value, **named",
    ),
    Row("blinker `send`", "channel.send(SENDER, value=1)", on_blinker, "sender, value"),
    Row(
        "blinker `send`, a receiver of `ANY`",
        "channel.send(SENDER, value=1)",
        lambda listens: on_blinker(listens, watch=True),
        "sender, value",
    ),
)
AWAITED_FIRST = (_async("publish"), _async("first"))
AWAITED_VALUES = (
    _async("publish"),
    _async("fold"),
    _async("attempt"),
    _watched("channel", is_async=True),
    _watched("bus", is_async=True),
    Row("blinker `send_async`", "await channel.send_async(None, value=1)", on_blinker, "sender, value"),
)
TABLES = (
    ("Listeners that return None", "None", FIRST),
    ("Listeners that return their argument", "value", VALUES),
    ("Listeners that return their argument, and one watcher", "value", WATCHED),
    ("Async listeners that return None", "None", AWAITED_FIRST),
    ("Async listeners that return their argument", "value", AWAITED_VALUES),
)


def loop_of(row: Row, count: int, result: str, loop: asyncio.AbstractEventLoop) -> Timed:
    """Return *row* with so many listeners, as a loop to measure."""
    is_async = row.statement.startswith("await")
    channel = row.make(listeners(count, row.parameters, result, is_async=is_async))
    return timed(row.name, row.statement, {"SENDER": SENDER, "channel": channel}, loop)


def table(rows: Sequence[Row], result: str) -> dict[str, dict[str, Measured]]:
    """Return the figures of each row, by number of listeners."""
    loop = asyncio.new_event_loop()
    figures = {}
    for title, count in COUNTS.items():
        contenders = [loop_of(row, count, result, loop) for row in rows]
        figures[title] = measure(contenders, rows[0].name, ROUNDS, SECONDS)
    loop.close()
    return figures


def main() -> None:
    """Print the tables."""
    pin(to_one=True)
    print_interpreter("`publish`")
    for heading, result, rows in TABLES:
        print_table(heading, table(rows, result))


if __name__ == "__main__":
    main()
