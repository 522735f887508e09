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
import importlib
import sys
from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import typedbus.wspbus
from typedbus._base.exports import export
from typedbus._channels.channel import AnyChannel
from typedbus.porting._declarations import declaration_of, signature_text
from typedbus.porting._modules import CannotReport, import_quietly, is_installed
from typedbus.wspbus._bus import Bus
from typedbus.wspbus._listeners import ByName, caller_place
from typedbus.wspbus._report_data import Report, ReportedChannel, ReportedListener, ReportedPublisher
from typedbus.wspbus._source import SourceListener, source_listeners, source_publishers

__all__ = ["CannotReport", "Report", "ReportedChannel", "ReportedListener", "ReportedPublisher", "report", "watch"]

_BUILT_IN: Final = ("start", "stop", "exit", "graceful", "log", "main")
_PACKAGE: Final = str(Path(__file__).parent)


class _RecordingPublish:
    """The ``publish`` of a watched bus: publishes, and records each calling place once."""

    def __init__(self, bus: Bus) -> None:
        self._publish: Callable[..., list[Any]] = bus.publish
        self.publishers: dict[tuple[Hashable, ReportedPublisher], None] = {}

    def __call__(self, channel: Hashable, *args: Any, **kwargs: Any) -> list[Any]:
        by_bus = sys._getframe(1).f_code.co_filename.startswith(_PACKAGE)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # documented
        # Publishes of the bus itself on its own channels are not counted.
        if not (isinstance(channel, AnyChannel) or (by_bus and channel in _BUILT_IN)):
            publisher = ReportedPublisher(_place(caller_place()), len(args), tuple(sorted(kwargs)), is_read=False)
            self.publishers[channel, publisher] = None
        return self._publish(channel, *args, **kwargs)


def watch(bus: Bus) -> None:
    """
    Record all later publishes by name on *bus* for its reports, for as long as it lives.

    A publish by name then takes a few microseconds more. Only calls that look up
    ``bus.publish`` are recorded, not those of a reference taken earlier.
    """
    if not isinstance(vars(bus).get("publish"), _RecordingPublish):
        vars(bus)["publish"] = _RecordingPublish(bus)


def report(bus: Bus, sources: Iterable[ModuleType] = ()) -> Report:
    """
    Return the channels of *bus* that are currently used by name.

    Args:
        bus: The bus, which may be running.
        sources: Modules whose source is searched for publishes by a literal name.
    """
    modules = list(sources)
    publish = vars(bus).get("publish")
    recorded = list(publish.publishers) if isinstance(publish, _RecordingPublish) else []
    publishers: dict[Hashable, dict[object, ReportedPublisher]] = {}
    for name, publisher in [*recorded, *source_publishers(modules)]:
        # One place may publish with different arguments, as a loop over calls does.
        publishers.setdefault(name, {}).setdefault((publisher.place, publisher.positional, publisher.named), publisher)
    in_source: dict[Hashable, list[SourceListener]] = {}
    for listener in source_listeners(modules):
        in_source.setdefault(listener.channel, []).append(listener)
    channels = bus.names.snapshot()
    names: dict[Hashable, None] = dict.fromkeys([*channels, *publishers, *in_source])
    reported: list[ReportedChannel] = []
    for name in names:
        channel = channels.get(name)
        is_typed = channel is not None and channel.is_declared
        own_publishers = tuple(publishers.get(name, {}).values())
        subscriptions = () if channel is None else channel.subscriptions
        by_name = [subscription for subscription in subscriptions if isinstance(subscription, ByName)]
        subscribed_at = {_place(subscription.subscribed_at) for subscription in by_name}
        later = [listener for listener in in_source.get(name, ()) if listener.entry.subscribed not in subscribed_at]
        if is_typed and not own_publishers and not by_name and not later:
            continue
        if channel is not None and channel.is_declared:
            code = _import_of(channel.channel)
        else:
            functions = [subscription.listener for subscription in subscriptions]
            functions += [listener.function for listener in later if listener.function is not None]
            code = declaration_of(name, functions, [(each.positional, each.named) for each in own_publishers])
        listeners = [
            ReportedListener(
                subscription.name,
                subscription.place,
                signature_text(subscription.listener),
                subscription.priority,
                _place(subscription.subscribed_at) if isinstance(subscription, ByName) else None,
            )
            for subscription in subscriptions
        ]
        listeners += [listener.entry for listener in later]
        shown = name if isinstance(name, str) else repr(name)
        reported.append(ReportedChannel(shown, is_typed, code, tuple(listeners), own_publishers))
    return Report(tuple(reported))


def _place(location: tuple[str, int]) -> str:
    return f"{location[0]}:{location[1]}"


def _import_of(channel: AnyChannel) -> str:
    """Return the statement that imports *channel*, from the shortest public module."""
    variables = [
        (module, name)
        for module, loaded in list(sys.modules.items())
        for name, value in list(getattr(loaded, "__dict__", {}).items())
        if value is channel
    ]
    if not variables:
        return "# declared, but not a global of any module: assign it to one, to import it from there"
    module, name = min(
        variables, key=lambda variable: ("._" in variable[0] or variable[1].startswith("_"), len(variable[0]), variable)
    )
    return f"from {module} import {name}"


def _load(target: str) -> tuple[Bus, list[ModuleType]]:
    """Import the module of *target*; return its bus, and the modules of the application that it imported."""
    name, colon, path = target.partition(":")
    if name.endswith(".py") or not all(part.isidentifier() for part in f"{name}.{path if colon else 'bus'}".split(".")):
        raise CannotReport(
            target, "give the name of a module, without .py, and the bus in it if it has one, as in shop.main:bus"
        )
    if not colon:
        watch(typedbus.wspbus.bus)
    before = set(sys.modules)
    module = import_quietly(name, target)
    value: object = module if colon else typedbus.wspbus.bus
    owner = name
    for part in path.split(".") if colon else ():
        if not hasattr(value, part):
            raise CannotReport(target, f"{owner} has no attribute {part!r}")
        value = getattr(value, part)
        owner += f".{part}"
    if not isinstance(value, Bus):
        raise CannotReport(target, f"{value!r} is not a bus of typedbus.wspbus")
    loaded = [module for key, module in list(sys.modules.items()) if key not in before or key == name]
    return value, [module for module in loaded if not is_installed(module)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report on the bus that the command line names; return 2 if there is no such bus."""
    parser = argparse.ArgumentParser(
        "python -m typedbus.wspbus.report",
        description="List the channels that are used by name, with a typed declaration for each.",
    )
    parser.add_argument(
        "target",
        metavar="MODULE[:BUS]",
        help="the module, which is imported, and a bus in it (default: typedbus.wspbus.bus)",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="the output format (default: text)")
    options = parser.parse_args(arguments)
    try:
        bus, sources = _load(options.target)
    except CannotReport as error:
        print(error, file=sys.stderr)
        return 2
    result = report(bus, sources)
    print(result.json() if options.format == "json" else result.text())
    return 0


if __name__ == "__main__":
    # Imported by its own name, so that the application calls the same `watch`.
    raise SystemExit(importlib.import_module("typedbus.wspbus.report").main())


export(globals())
