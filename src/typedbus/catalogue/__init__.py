"""
The catalogue of the channels of a code base: signatures, docs, places, publishers, listeners and remote ports.

`Catalogue.of` imports the modules of the code base, reads their source, and inspects containers without building a component.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import attrs

from typedbus._base.exports import export
from typedbus._channels.channel import AnyChannel
from typedbus._container.container import Container
from typedbus.catalogue._declared import Declaration, declarations, described
from typedbus.catalogue._model import (
    CatalogueChannel,
    Dynamic,
    Field,
    Parameter,
    PayloadType,
    Port,
    Unread,
    Use,
)
from typedbus.catalogue._sources import imported
from typedbus.catalogue._types import payload_types
from typedbus.catalogue._uses import uses
from typedbus.catalogue._wired import Wired
from typedbus.porting._modules import trees_of

__all__ = (
    "Catalogue",
    "CatalogueChannel",
    "Dynamic",
    "Field",
    "Parameter",
    "PayloadType",
    "Port",
    "Unread",
    "Use",
)


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


def _rank(use: Use) -> tuple[str, int, str]:
    return use.file, use.line, use.component


export(globals())
