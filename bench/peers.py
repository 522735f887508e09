"""
The other libraries, each used as its documentation recommends.

Each function imports its library, so that a library that is not installed is left out.
"""

from __future__ import annotations

import importlib
import itertools
import logging
from typing import Any

from contender import NAMED, PARAMETERS, POSITIONAL, STOPS, Contender, statements

_numbers = itertools.count()


def _pairs(returned: Any) -> list[Any]:
    return [result for _, result in returned]


def _with_sender(rest: str = "") -> dict[str, str]:
    return {form: f"sender, {PARAMETERS[form].replace('*, ', '')}{rest}" for form in NAMED}


def blinker() -> Contender:
    """Return blinker: a sender and keyword arguments, weak references to listeners."""
    library = importlib.import_module("blinker")
    return Contender(
        name="blinker",
        publish=statements("channel.send(None, {})", NAMED),
        subscribe="channel.connect(listener)",
        unsubscribe="channel.disconnect(listener)",
        declare=lambda form: None,
        bind=lambda _: library.Signal(),
        parameters=_with_sender(),
        results=_pairs,
        order="unspecified",
        failing=STOPS,
        package=("blinker", "blinker"),
    )


def pluggy() -> Contender:
    """Return pluggy: keyword arguments only, the last plugin first."""
    library = importlib.import_module("pluggy")
    specified, implemented = library.HookspecMarker("bench"), library.HookimplMarker("bench")
    plugins = library.PluginManager("bench")

    class Plugin:
        pass

    def bind(name: str) -> Any:
        def specification(a: int, b: str) -> None: ...

        plugins.add_hookspecs(type("Specifications", (), {name: staticmethod(specified(specification))}))
        return getattr(plugins.hook, name)

    def prepare(name: str, listener: Any) -> Any:
        implemented(getattr(listener, "__func__", listener))
        plugin = Plugin()
        setattr(plugin, name, listener)
        return plugin

    return Contender(
        name="pluggy",
        publish={form: f"channel({NAMED[form]})" for form in ("positional", "keyword")},
        subscribe="bus.register(listener)",
        unsubscribe="bus.unregister(listener)",
        declare=lambda form: f"placed_{next(_numbers)}",
        bind=bind,
        bus=plugins,
        prepare=prepare,
        kinds=("function", "method"),
        order="last first",
        failing=STOPS,
        package=("pluggy", "pluggy"),
    )


def psygnal(method: str) -> Contender:
    """Return psygnal, with its `emit` or its `emit_fast`."""
    library = importlib.import_module("psygnal")
    return Contender(
        name=f"psygnal {method}",
        publish={"positional": f"channel.{method}(1, 'two')"},
        subscribe="channel.connect(listener)",
        unsubscribe="channel.disconnect(listener)",
        declare=lambda form: None,
        bind=lambda _: library.SignalInstance((int, str)),
        results=None,
        failing=STOPS,
        package=("psygnal", "psygnal"),
    )


def pyee() -> Contender:
    """Return pyee: channels are strings."""
    emitter = importlib.import_module("pyee").EventEmitter()
    return Contender(
        name="pyee",
        publish=statements("bus.emit(channel, {})", POSITIONAL),
        subscribe="bus.on(channel, listener)",
        unsubscribe="bus.remove_listener(channel, listener)",
        declare=lambda form: f"placed_{next(_numbers)}",
        bus=emitter,
        results=None,
        failing=STOPS,
        package=("pyee", "pyee"),
    )


def _process_bus(name: str, bus: Any, package: tuple[str, str]) -> Contender:
    return Contender(
        name=name,
        publish=statements("bus.publish(channel, {})", POSITIONAL),
        subscribe="bus.subscribe(channel, listener)",
        unsubscribe="bus.unsubscribe(channel, listener)",
        declare=lambda form: f"placed_{next(_numbers)}",
        bus=bus,
        order="unspecified",
        package=package,
    )


def wspbus() -> Contender:
    """Return CherryPy's bus: channels are strings, listeners of equal priority have no order."""
    library = importlib.import_module("cherrypy.process.wspbus")
    return _process_bus("CherryPy wspbus", library.Bus(), ("CherryPy", "cherrypy.process.wspbus"))


def magicbus() -> Contender:
    """Return magicbus, CherryPy's bus as a separate library."""
    library = importlib.import_module("magicbus.process")
    return _process_bus("magicbus", library.ProcessBus(), ("magicbus", "magicbus.process"))


def django() -> Contender:
    """Return Django's dispatcher: a sender and keyword arguments; `send_robust` returns errors as results, and logs them."""
    logging.getLogger("django").addHandler(logging.NullHandler())
    library = importlib.import_module("django.dispatch")
    return Contender(
        name="Django send_robust",
        publish=statements("channel.send_robust(None, {})", NAMED),
        subscribe="channel.connect(listener)",
        unsubscribe="channel.disconnect(listener)",
        declare=lambda form: None,
        bind=lambda _: library.Signal(),
        parameters=_with_sender(", **named"),
        results=_pairs,
        failing="calls the rest, returns the errors",
        package=("Django", "django.dispatch"),
    )


def asphalt() -> Contender:
    """Return asphalt's signals: an event object for each publish, a task of the event loop, no results."""
    logging.getLogger("asphalt").addHandler(logging.NullHandler())
    library = importlib.import_module("asphalt.core")
    event: Any = library.Event
    sources = []

    class Placed(event):  # type: ignore[misc]  # untyped here
        def __init__(self, source: object, topic: str, a: int, b: str = "two", c: int = 3) -> None:
            super().__init__(source, topic)
            self.a, self.b, self.c = a, b, c

    class Source:
        placed = library.Signal(Placed)

    def bind(_: object) -> Any:
        sources.append(Source())
        return sources[-1].placed

    forms = ("positional", "keyword", "default")
    return Contender(
        name="asphalt",
        publish={form: f"await channel.dispatch({POSITIONAL[form]})" for form in forms},
        subscribe="channel.connect(listener)",
        unsubscribe="channel.disconnect(listener)",
        declare=lambda form: None,
        bind=bind,
        parameters=dict.fromkeys(forms, "event"),
        results=None,
        failing="calls the rest, logs the errors",
        is_async=True,
        package=("asphalt", "asphalt.core"),
    )
