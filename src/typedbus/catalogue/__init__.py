"""
The catalogue of the channels of a code base: signatures, docs, places, publishers, listeners and remote ports.

`Catalogue.of` imports the modules of the code base, reads their source, and inspects containers without building a component.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from typedbus._base.exports import export
from typedbus._channels.channel import DEFAULT_PRIORITY, AnyChannel
from typedbus._container.container import Container
from typedbus.catalogue._asyncapi import asyncapi, message_schemas
from typedbus.catalogue._changes import Change, changes
from typedbus.catalogue._declared import Declaration, declarations, described
from typedbus.catalogue._html import html
from typedbus.catalogue._json import UnreadableCatalogue, from_json, to_json
from typedbus.catalogue._model import (
    CatalogueChannel,
    Dynamic,
    Field,
    How,
    Parameter,
    PayloadType,
    Port,
    Unread,
    Use,
)
from typedbus.catalogue._sources import imported
from typedbus.catalogue._text import markdown, text
from typedbus.catalogue._types import payload_types
from typedbus.catalogue._uses import uses
from typedbus.catalogue._wired import Wired
from typedbus.porting._modules import trees_of

__all__ = (
    "Catalogue",
    "CatalogueChannel",
    "Change",
    "Dynamic",
    "Field",
    "Parameter",
    "PayloadType",
    "Port",
    "Unread",
    "UnreadableCatalogue",
    "Use",
    "changes",
)

_ORDER: Final[tuple[How, ...]] = ("publishes", "holds", "passes", "listens", "watches")


@attrs.frozen
class Catalogue:
    """
    The channels of a code base.

    Attributes:
        channels: The channels, by key.
        types: The classes with fields that are arguments or results of the channels, by name.
        dynamic: The places that take a channel from a variable.
        unread: The modules that could not be imported.
    """

    channels: tuple[CatalogueChannel, ...] = ()
    types: tuple[PayloadType, ...] = ()
    dynamic: tuple[Dynamic, ...] = ()
    unread: tuple[Unread, ...] = ()

    @classmethod
    def of(cls, containers: Sequence[Container], *, modules: Iterable[str]) -> Catalogue:
        """
        Import *modules*, and return the channels that they declare.

        Modules that cannot be imported are in `unread`. The containers run together, on the bus of the first.
        """
        loaded, unread = imported(modules)
        trees = list(trees_of(loaded))
        wired = Wired.of(containers)
        declared: dict[AnyChannel, list[Declaration]] = defaultdict(list)
        for module, file, tree in trees:
            for declaration in declarations(module, file, tree):
                declared[declaration.channel].append(declaration)
        found: dict[AnyChannel, list[Use]] = defaultdict(list)
        marks: dict[tuple[AnyChannel, str, str], Use] = {}
        dynamic: list[Dynamic] = []
        for module, file, tree in trees:
            for item in uses(module, file, tree, wired.held, wired.classes):
                if isinstance(item, Dynamic):
                    dynamic.append(item)
                elif item.use.how == "listens":
                    marks[item.channel, module.__name__, item.use.name] = item.use
                else:
                    found[item.channel].append(item.use)
        for listening in wired.listening:
            mark = marks.pop((listening.channel, *listening.function), None)
            place = listening.use if mark is None else mark
            found[listening.channel].append(attrs.evolve(listening.use, file=place.file, line=place.line))
        for (channel, _, _), use in marks.items():
            found[channel].append(use)
        for channel, use in wired.holding:
            found[channel].append(use)
        ports: dict[AnyChannel, list[Port]] = defaultdict(list)
        for channel, port in wired.ports:
            ports[channel].append(port)
        own = [channel for channel, places in declared.items() if any(place.is_creation for place in places)]
        channels = [
            attrs.evolve(
                described(channel, declared[channel]),
                uses=tuple(sorted(dict.fromkeys(found[channel]), key=_rank)),
                ports=tuple(ports[channel]),
            )
            for channel in own
        ]
        signatures = [signature for channel in own if (signature := channel.signature()) is not None]
        annotations = [
            annotation
            for signature in signatures
            for annotation in (
                *(parameter.annotation for parameter in signature.parameters.values()),
                signature.return_annotation,
            )
        ]
        return cls(
            tuple(sorted(channels, key=lambda one: one.key)),
            tuple(payload_types(annotations)),
            tuple(dynamic),
            tuple(unread),
        )

    @classmethod
    def load(cls, text: str) -> Catalogue:
        """
        Return the catalogue that `json` wrote as *text*.

        Raises:
            UnreadableCatalogue: It is no catalogue of this version.
        """
        return from_json(text)

    def json(self) -> str:
        """Return all data as JSON, the format of the file that is committed."""
        return to_json(self)

    def text(self) -> str:
        """Return a paragraph for each channel, with places that editors can open."""
        return text(self)

    def markdown(self) -> str:
        """Return a document with a diagram of each module, and tables of publishers and listeners."""
        return markdown(self)

    def html(self) -> str:
        """Return a document as one file, with a box that filters the channels."""
        return html(self)

    def asyncapi(self, *, title: str, version: str = "0", every: bool = False) -> str:
        """
        Return the channels with remote ports as an AsyncAPI 3.0 document in JSON.

        The schemas of messages are those of `typedbus.nats`, if it is installed and can send the channel.

        Args:
            title: The title of the document.
            version: The version of the application.
            every: Whether channels without remote ports are included.
        """
        return asyncapi(self, title=title, version=version, every=every, schemas=message_schemas(self.channels))


def _rank(use: Use) -> tuple[int, int, str, int, str]:
    """Return the place of *use*: publishers before listeners, listeners in running order, and in order of the source."""
    return _ORDER.index(use.how), use.priority or DEFAULT_PRIORITY, use.file, use.line, use.component


export(globals())
