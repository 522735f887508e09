"""The report's own facts, for people and for programs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

import attrs

FORMAT: Final = 1


@attrs.frozen
class Heard:
    """
    One listener.

    Attributes:
        name: Of the function, or of the component and its method.
        place: File and line of its definition.
        signature: What it takes and answers.
        priority: Lower runs first.
        subscribed: File and line of the call that subscribed it by the name of the channel; None if typed code did.
        is_read: Whether the call was read in the source, and the listener is not subscribed now.
    """

    name: str
    place: str
    signature: str
    priority: float
    subscribed: str | None
    is_read: bool = False


@attrs.frozen
class Said:
    """
    One place that publishes by name.

    Attributes:
        place: File and line.
        positional: How many arguments by position.
        named: The names of the others.
        is_read: Whether it was read in the source, and not seen.
    """

    place: str
    positional: int
    named: tuple[str, ...]
    is_read: bool


@attrs.frozen
class Spoken:
    """
    A channel that is spoken to by name.

    Attributes:
        name: Its name; the repr of one that is no string.
        is_typed: Whether a typed channel of that name is known to the bus.
        declaration: The code that imports the typed channel, or else would declare it.
        listeners: Who hears it, in running order, those of typed code included.
        publishers: Who says it.
    """

    name: str
    is_typed: bool
    declaration: str
    listeners: tuple[Heard, ...]
    publishers: tuple[Said, ...]


@attrs.frozen
class Report:
    """
    The channels of a bus that are spoken to by name.

    Attributes:
        channels: In the order in which the bus came to know them.
    """

    channels: tuple[Spoken, ...]

    def text(self) -> str:
        """Return it for people, with places below the working directory as from there."""
        count = len(self.channels)
        lines = [f"{count or 'no'} channel{'' if count == 1 else 's'} spoken to by name"]
        for channel in self.channels:
            lines += ["", channel.name + (", typed already" if channel.is_typed else "")]
            for heard in channel.listeners:
                how = "by typed code" if heard.subscribed is None else f"at {_short(heard.subscribed)}"
                if heard.is_read:
                    how = f"in the source {how}"
                lines.append(f"  {heard.priority:g} {heard.name}{heard.signature} subscribed {how}")
            lines += [] if channel.listeners else ["  nobody listens"]
            for said in channel.publishers:
                lines.append(f"  published {'in the source ' if said.is_read else ''}at {_short(said.place)}")
            lines += [f"    {line}".rstrip() for line in channel.declaration.splitlines()]
        return "\n".join(lines)

    def json(self) -> str:
        """Return it as JSON: `format`, and `channels` with the attributes of `Spoken`, `Heard` and `Said`."""
        return json.dumps({"format": FORMAT, **attrs.asdict(self)}, indent=2)

    def __str__(self) -> str:
        return self.text()


def _short(place: str) -> str:
    return place.removeprefix(f"{Path.cwd()}{os.sep}")
