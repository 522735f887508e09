"""The catalogue as JSON: the file that is committed, and compared with the sources."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from typedbus._base.structured import StructuredError
from typedbus.catalogue._model import CatalogueChannel, Dynamic, Field, Parameter, PayloadType, Port, Unread, Use

if TYPE_CHECKING:
    from typedbus.catalogue import Catalogue

FORMAT: Final = 1


class UnreadableCatalogue(StructuredError, ValueError):
    """
    Raised for a text that is no catalogue of this version.

    Attributes:
        problem: What is wrong with it.
    """

    problem: str

    def __str__(self) -> str:
        return f"this is no catalogue of channels: {self.problem}; write it with `typedbus channels --format json`"


def to_json(catalogue: Catalogue) -> str:
    """Return *catalogue* as JSON, with a line for each value, so that a difference is readable."""
    channels = [
        attrs.asdict(channel) | {"remote": channel.is_remote, "verdict": channel.verdict}
        for channel in catalogue.channels
    ]
    data = {
        "format": FORMAT,
        "channels": channels,
        "types": [attrs.asdict(one) for one in catalogue.types],
        "dynamic": [attrs.asdict(one) for one in catalogue.dynamic],
        "unread": [attrs.asdict(one) for one in catalogue.unread],
    }
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def from_json(text: str) -> Catalogue:
    """
    Return the catalogue of a text that `to_json` wrote.

    Raises:
        UnreadableCatalogue: It is no JSON, of another version, or lacks a key.
    """
    from typedbus.catalogue import Catalogue  # it imports this module

    try:
        data: Any = json.loads(text)
    except ValueError as error:
        raise UnreadableCatalogue(f"it is not JSON ({error})") from None
    version = data.get("format") if isinstance(data, dict) else None
    if version != FORMAT:
        raise UnreadableCatalogue(f'"format" is {version!r}, and must be {FORMAT}')
    try:
        return Catalogue(
            tuple(map(_channel, data["channels"])),
            tuple(PayloadType(one["name"], _all(Field, one["fields"]), one["is_enum"]) for one in data["types"]),
            _all(Dynamic, data["dynamic"]),
            _all(Unread, data["unread"]),
        )
    except KeyError as error:
        raise UnreadableCatalogue(f"the key {error} is missing") from None
    except (TypeError, AttributeError) as error:
        raise UnreadableCatalogue(f"a value is of the wrong type ({error})") from None


def _channel(data: Mapping[str, Any]) -> CatalogueChannel:
    parameters = data["parameters"]
    own: dict[str, Any] = {field.name: data[field.name] for field in attrs.fields(CatalogueChannel)}
    own |= {
        "parameters": None if parameters is None else _all(Parameter, parameters),
        "aliases": tuple(data["aliases"]),
        "uses": _all(Use, data["uses"]),
        "ports": _all(Port, data["ports"]),
    }
    return CatalogueChannel(**own)


def _all(cls: Any, records: list[Mapping[str, Any]]) -> tuple[Any, ...]:
    names = [field.name for field in attrs.fields(cls)]
    return tuple(cls(**{name: record[name] for name in names}) for record in records)
