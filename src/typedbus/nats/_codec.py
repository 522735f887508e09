"""A codec for the types that the messages of other channels do not have: private fields, converters, unions of classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any, Protocol

import attrs


@attrs.frozen(eq=False)
class Forms:
    """
    How the values of one channel are sent.

    Attributes:
        to_plain: By parameter, and by ``return`` for the result: a function that returns the JSON form of a value, or
            raises `EncodeFailed`.
        from_plain: By the same names: a function that restores a value, or raises `msgspec.ValidationError` with the problem and its path.
        schemas: The JSON schemas, by the same names.
        definitions: The schemas to which these refer, with the prefix ``#/$defs/``.
    """

    to_plain: Mapping[str, Callable[[Any], object]]
    from_plain: Mapping[str, Callable[[Any], object]]
    schemas: Mapping[str, Mapping[str, object]]
    definitions: Mapping[str, Mapping[str, object]]


class Codec(Protocol):
    """Decides how the values of a channel are sent; sender and receiver must have the same codec for it."""

    def bind(self, channel: str, annotations: Mapping[str, Any]) -> Forms | None:
        """
        Return the forms of the values of a channel, or None if it is sent as without a codec.

        It is called once for each channel, where a port is made. The functions that it returns are called in any thread.

        Args:
            channel: The name of the channel.
            annotations: The type of each parameter, and the type of the result as ``return``.

        Raises:
            SchemaFault: A type cannot be sent.
        """
        ...


@attrs.frozen(eq=False)
class CattrsCodec:
    """
    Sends attrs classes and dataclasses with cattrs: by their constructors, so that converters run.

    It also sends private fields, and members of a union of classes, with the name of the class as ``$type``.
    A field with ``init=False`` is not sent. All other values are checked and sent as without a codec, and a receiver is as
    strict: no text becomes a number. A channel without such types has the same messages as without the codec, and
    any other takes about five times as long.

    Raises:
        ImportError: cattrs is not installed.
    """

    def __attrs_post_init__(self) -> None:
        if find_spec("cattrs") is None:
            raise ImportError("CattrsCodec needs cattrs: pip install cattrs", name="cattrs")

    def bind(self, channel: str, annotations: Mapping[str, Any]) -> Forms | None:
        """Return the forms of the values of a channel, or None if it is sent as without a codec."""
        from typedbus.nats._cattrs import Binding  # it imports cattrs

        binding = Binding(channel)
        if all(map(binding.is_plain, annotations.values())):
            return None
        schemas = {
            name: binding.schema(annotation, "the result" if name == "return" else name)
            for name, annotation in annotations.items()
        }
        return Forms(
            {name: binding.to_plain(annotation, name) for name, annotation in annotations.items()},
            {name: binding.from_plain(annotation, name) for name, annotation in annotations.items()},
            schemas,
            binding.definitions(),
        )
