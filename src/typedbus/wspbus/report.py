"""
Reports which channels of a bus are still used by name, from where, and their possible typed declarations.

``python -m typedbus.wspbus.report MODULE[:BUS]`` imports the module that subscribes
and prints the report; `report` covers a bus that runs. Subscriptions are known for
every bus, since a subscription by name records its place. Recording publishers
costs time at each publish, so they are known only for a bus that `watch` was called
for, and otherwise as far as they can be found in the source: the command reads the
modules that it has imported, where calls such as ``bus.publish("order-placed",
order)`` contain the name literally. Listeners that are subscribed later, for
example in the ``start`` of a plugin, are found in the source in the same way.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import os
import sys
import sysconfig
import traceback
import types
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import typedbus.wspbus
from typedbus._base.exports import export
from typedbus._base.failures import describe, place_of
from typedbus._channels.channel import DEFAULT_PRIORITY, AnyChannel
from typedbus.wspbus._bus import Bus
from typedbus.wspbus._declarations import declaration_of, known_signature
from typedbus.wspbus._listeners import ByName, speaker
from typedbus.wspbus._report_data import Report, ReportedChannel, ReportedListener, ReportedPublisher

__all__ = ["CannotReport", "Report", "ReportedChannel", "ReportedListener", "ReportedPublisher", "report", "watch"]

_OWN: Final = ("start", "stop", "exit", "graceful", "log", "main")
_FOLDER: Final = str(Path(__file__).parent)


class _Overheard:
    """Publishes for a bus, and records each calling place once."""

    def __init__(self, bus: Bus) -> None:
        self._publish: Callable[..., list[Any]] = bus.publish
        self.said: dict[tuple[Hashable, ReportedPublisher], None] = {}

    def __call__(self, channel: Hashable, *args: Any, **kwargs: Any) -> list[Any]:
        by_bus = sys._getframe(1).f_code.co_filename.startswith(_FOLDER)
        # Publishes of the bus itself on its own channels are not counted.
        if not (isinstance(channel, AnyChannel) or (by_bus and channel in _OWN)):
            self.said[
                channel, ReportedPublisher(_place(speaker()), len(args), tuple(sorted(kwargs)), is_read=False)
            ] = None
        return self._publish(channel, *args, **kwargs)


def watch(bus: Bus) -> None:
    """
    Record all later publishes by name on *bus* for its reports, for as long as it lives.

    A publish by name then takes a few microseconds more. Only calls that look up
    ``bus.publish`` are recorded, not those of a reference taken earlier.
    """
    if not isinstance(vars(bus).get("publish"), _Overheard):
        vars(bus)["publish"] = _Overheard(bus)


def report(bus: Bus, sources: Iterable[ModuleType] = ()) -> Report:
    """
    Return the channels of *bus* that are currently used by name.

    Args:
        bus: The bus, which may be running.
        sources: Modules whose source is searched for publishes by a literal name.
    """
    overheard = vars(bus).get("publish")
    known = list(overheard.said) if isinstance(overheard, _Overheard) else []
    publishers: dict[Hashable, dict[object, ReportedPublisher]] = {}
    modules = list(sources)
    for name, said in [*known, *_written(modules)]:
        # One place may publish with different arguments, as a loop over calls does.
        publishers.setdefault(name, {}).setdefault((said.place, said.positional, said.named), said)
    later: dict[Hashable, list[tuple[ReportedListener, Callable[..., Any] | None]]] = {}
    for name, heard, listener in _subscribed_in(modules):
        later.setdefault(name, []).append((heard, listener))
    typed = bus.typed
    with typed._lock:
        names: dict[Hashable, None] = dict.fromkeys([*typed._meant, *publishers, *later])
        meant, made = dict(typed._meant), set(typed._made)
        subscribed = {name: typed[channel].subscriptions for name, channel in meant.items()}
    channels = []
    for name in names:
        subscriptions = subscribed.get(name, ())
        told = tuple(publishers.get(name, {}).values())
        channel = meant.get(name)
        is_typed = channel is not None and channel not in made
        by_name = [one for one in subscriptions if isinstance(one, ByName)]
        subscribed_at = {_place(one.said) for one in by_name}
        read = [(one, listener) for one, listener in later.get(name, ()) if one.subscribed not in subscribed_at]
        if is_typed and not told and not by_name and not read:
            continue
        calls = [(said.positional, said.named) for said in told]
        listeners = [one.listener for one in subscriptions] + [listener for _, listener in read if listener is not None]
        code = _variable_of(channel) if is_typed else declaration_of(name, listeners, calls)
        heard_now = tuple(
            ReportedListener(
                one.name,
                one.place,
                str(known_signature(one.listener) or "(...)"),
                one.priority,
                _place(one.said) if isinstance(one, ByName) else None,
            )
            for one in subscriptions
        )
        heard_in_all = (*heard_now, *(one for one, _ in read))
        channels.append(
            ReportedChannel(name if isinstance(name, str) else repr(name), is_typed, code, heard_in_all, told)
        )
    return Report(tuple(channels))


def _place(said: tuple[str, int]) -> str:
    return f"{said[0]}:{said[1]}"


def _variable_of(channel: AnyChannel | None) -> str:
    """Return the statement that imports *channel*, from the shortest public module."""
    found = [
        (module, name)
        for module, loaded in list(sys.modules.items())
        for name, value in list(getattr(loaded, "__dict__", {}).items())
        if value is channel
    ]
    if not found:
        return "# it is declared, but is in no module; give it a place to be imported from"
    module, name = min(found, key=lambda one: ("._" in one[0] or one[1].startswith("_"), len(one[0]), one))
    return f"from {module} import {name}"


def _trees(sources: Iterable[ModuleType]) -> Iterable[tuple[ModuleType, str, ast.Module]]:
    """Yield the syntax tree of each module that has a source file, with the path of the file."""
    for module in sources:
        file = getattr(module, "__file__", None) or ""
        if not file.endswith(".py") or file.startswith(_FOLDER):
            continue
        try:
            yield module, file, ast.parse(Path(file).read_bytes(), file)
        except (OSError, SyntaxError):
            # The module was imported from elsewhere, or the file has changed since.
            continue


def _written(sources: Iterable[ModuleType]) -> Iterable[tuple[str, ReportedPublisher]]:
    """Yield the literal names in calls of ``publish``, with their places."""
    for _, file, tree in _trees(sources):
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Attribute(attr="publish"), args=[ast.Constant(value=str(name)), *args]):
                    named = tuple(sorted(word.arg for word in node.keywords if word.arg is not None))
                    yield name, ReportedPublisher(f"{file}:{node.lineno}", len(args), named, is_read=True)
                case _:
                    pass


def _subscribed_in(sources: Iterable[ModuleType]) -> Iterable[tuple[str, ReportedListener, Callable[..., Any] | None]]:
    """
    Yield the literal names in calls of ``subscribe`` inside functions, each with its listener.

    A call outside a function was made during the import, on this bus or on another one. The
    listener is known if it is a function of the module, or a method of the class around the
    call, such as ``self.broadcast``.
    """
    for module, file, tree in _trees(sources):
        pending: deque[tuple[ast.AST, object, bool]] = deque([(tree, module, False)])
        while pending:
            node, scope, is_inside = pending.popleft()
            if isinstance(node, ast.ClassDef):
                # A class inside a function cannot be found by its name.
                scope = vars(scope).get(node.name) if isinstance(scope, (ModuleType, type)) else None
            is_inside = is_inside or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            pending.extend((child, scope, is_inside) for child in ast.iter_child_nodes(node))
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="subscribe"), args=[ast.Constant(value=str(name)), given, *_]
                ) if is_inside:
                    listener = _listener_in(given, scope, module)
                    place = f"{file}:{node.lineno}"
                    shown = ast.unparse(given) if listener is None else describe(listener)
                    signature = None if listener is None else known_signature(listener)
                    where = place if listener is None else place_of(listener)
                    heard = ReportedListener(
                        shown, where, str(signature or "(...)"), DEFAULT_PRIORITY, place, is_read=True
                    )
                    yield name, heard, listener
                case _:
                    pass


def _listener_in(given: ast.expr, scope: object, module: ModuleType) -> Callable[..., Any] | None:
    """Return the function that *given* names; a method is bound, so that it lacks its first argument."""
    match given:
        case ast.Name(id=name):
            found = vars(module).get(name)
            return found if isinstance(found, types.FunctionType) else None
        case ast.Attribute(value=ast.Name(id="self"), attr=name) if isinstance(scope, type):
            method = next((vars(base)[name] for base in scope.__mro__ if name in vars(base)), None)
            return types.MethodType(method, scope) if isinstance(method, types.FunctionType) else None
        case _:
            return None


class CannotReport(Exception):
    """
    Raised if the argument of the command does not name a bus; the exit status is 2.

    Attributes:
        target: The argument as given.
        reason: What is wrong, and how to correct it.
    """

    def __init__(self, target: str, reason: str) -> None:
        super().__init__(target, reason)
        self.target = target
        self.reason = reason

    def __str__(self) -> str:
        return f"cannot report on {self.target}: {self.reason}"


def _load(target: str) -> tuple[Bus, list[ModuleType]]:
    """Import the module of *target*; return its bus, and the modules of the application that it imported."""
    name, colon, path = target.partition(":")
    if name.endswith(".py") or not all(part.isidentifier() for part in f"{name}.{path if colon else 'bus'}".split(".")):
        raise CannotReport(target, "give a module as Python imports it, and the bus in it if it has one: shop.main:bus")
    if not colon:
        watch(typedbus.wspbus.bus)
    before = set(sys.modules)
    try:
        # Its output must not mix with the report.
        with contextlib.redirect_stdout(sys.stderr):
            module = importlib.import_module(name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            raise CannotReport(target, f"{error}; it was looked for in {Path.cwd()} and in sys.path") from None
        traceback.print_exception(error)
        reason = f"its code raised {type(error).__name__} when it was imported"
        if isinstance(error, SystemExit):
            reason = 'its code ended the process; put what runs it under `if __name__ == "__main__":`'
        raise CannotReport(target, reason) from None
    found: object = module if colon else typedbus.wspbus.bus
    for part in path.split(".") if colon else ():
        if not hasattr(found, part):
            raise CannotReport(target, f"there is no {part!r} in it")
        found = getattr(found, part)
    if not isinstance(found, Bus):
        raise CannotReport(target, f"{found!r} is no bus of typedbus.wspbus")
    installed = tuple(sysconfig.get_path(kind) + os.sep for kind in ("stdlib", "platstdlib", "purelib", "platlib"))
    came = [loaded for word, loaded in list(sys.modules.items()) if word not in before or word == name]
    return found, [one for one in came if not (getattr(one, "__file__", None) or "").startswith(installed)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report on the bus that the command line names; return 2 if there is no such bus."""
    parser = argparse.ArgumentParser(
        "python -m typedbus.wspbus.report",
        description="List the channels that are spoken to by name, and what their typed declaration would be.",
    )
    parser.add_argument(
        "target",
        metavar="MODULE[:BUS]",
        help="what subscribes when it is imported, and its bus; typedbus.wspbus.bus unless given",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="text unless given")
    asked = parser.parse_args(arguments)
    try:
        bus, sources = _load(asked.target)
    except CannotReport as wrong:
        print(wrong, file=sys.stderr)
        return 2
    found = report(bus, sources)
    print(found.json() if asked.format == "json" else found.text())
    return 0


if __name__ == "__main__":
    # Imported by its own name, so that the application calls the same `watch`.
    raise SystemExit(importlib.import_module("typedbus.wspbus.report").main())


export(globals())
