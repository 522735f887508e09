"""The data of a report, as text and as JSON."""

from __future__ import annotations

import json
from typing import Final

import attrs

from typedbus.porting._modules import short

FORMAT: Final = 1


@attrs.frozen
class ReportedListener:
    """
    One listener.

    Attributes:
        name: The name of the function, or of the component and its method.
        place: File and line of its definition.
        signature: Its parameters and result.
        priority: Lower runs first.
        subscribed: File and line of the call that subscribed it by name; None if typed code subscribed it.
        is_read: Whether the call was found in the source, and the listener is not subscribed now.
    """

    name: str
    place: str
    signature: str
    priority: float
    subscribed: str | None
    is_read: bool = False


@attrs.frozen
class ReportedPublisher:
    """
    One place that publishes by name.

    Attributes:
        place: File and line.
        positional: The number of positional arguments.
        named: The names of the keyword arguments.
        is_read: Whether it was found in the source, and not recorded at run time.
    """

    place: str
    positional: int
    named: tuple[str, ...]
    is_read: bool


@attrs.frozen
class ReportedChannel:
    """
    A channel that is used by name.

    Attributes:
        name: Its name, or the repr of a name that is not a string.
        is_typed: Whether the bus has a typed channel of that name.
        declaration: The code that imports the typed channel, or would declare it.
        listeners: Its listeners in running order, including those of typed code.
        publishers: The places that publish on it.
    """

    name: str
    is_typed: bool
    declaration: str
    listeners: tuple[ReportedListener, ...]
    publishers: tuple[ReportedPublisher, ...]


@attrs.frozen
class Report:
    """
    The channels of a bus that are used by name.

    Attributes:
        channels: In the order of their first use on the bus.
    """

    channels: tuple[ReportedChannel, ...]

    def text(self) -> str:
        """Return the report as text, with places relative to the working directory if they are below it."""
        count = len(self.channels)
        lines = [f"{count or 'no'} channel{'' if count == 1 else 's'} used by name"]
        for channel in self.channels:
            lines += ["", f"{channel.name}, already typed" if channel.is_typed else channel.name]
            for listener in channel.listeners:
                origin = "by typed code" if listener.subscribed is None else f"at {short(listener.subscribed)}"
                if listener.is_read:
                    origin = f"in the source {origin}"
                lines.append(f"  {listener.priority:g} {listener.name}{listener.signature} subscribed {origin}")
            if not channel.listeners:
                lines.append("  no listeners")
            for publisher in channel.publishers:
                lines.append(f"  published {'in the source ' if publisher.is_read else ''}at {short(publisher.place)}")
            lines += [f"    {line}".rstrip() for line in channel.declaration.splitlines()]
        return "\n".join(lines)

    def json(self) -> str:
        """
        Return the report as JSON: `format`, and `channels`.

        Its objects have the attributes of `ReportedChannel`, `ReportedListener` and `ReportedPublisher`.
        """
        return json.dumps({"format": FORMAT, **attrs.asdict(self)}, indent=2)

    def __str__(self) -> str:
        return self.text()
