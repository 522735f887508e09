"""The messages of a channel: its arguments as a JSON object, and the result of its listeners as JSON."""

from __future__ import annotations

import copy
import inspect
import re
import threading
import types
import weakref
from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter
from typing import Any, Final, Generic, TypeVar, cast

import attrs
import msgspec
from typing_extensions import ParamSpec

from typedbus._channels.async_channel import AsyncChannel
from typedbus._channels.channel import AnyChannel, Channel
from typedbus.nats._codec import Codec, Forms
from typedbus.nats._compiled import decoder, encoder, result_decoder
from typedbus.nats._errors import SchemaFault
from typedbus.nats._fingerprint import fingerprint
from typedbus.nats._schema_types import sendable

P = ParamSpec("P")
R = TypeVar("R")

#: Names that begin with a dollar sign are reserved for dead letters.
_NAME: Final = re.compile(r"(?!\$)[!-)+-\-/-=?-~]+(\.[!-)+-\-/-=?-~]+)*")
#: A server closes the connection of a client that sends a longer subject than it reads, 4096 bytes with other parts.
_LONGEST: Final = 255
_RESULT: Final = Parameter("result", Parameter.POSITIONAL_ONLY)
_VARIADIC: Final = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
_dump: Final = msgspec.json.Encoder().encode


@attrs.define(eq=False)
class MessageSchema(Generic[P, R]):
    """
    The form of the messages of one channel; `schema_of` makes it.

    All of it may be used in any thread.

    Attributes:
        name: The name of the channel, which is part of a subject.
        fingerprint: 16 hexadecimal digits of the JSON schema of the arguments, the same in every process.
        encode: Returns the body of a message, a JSON object of the arguments by the names of their parameters. It takes the
            arguments of a publish; one that is left to its default is left out. Raises `EncodeFailed` for a
            value that a receiver could not restore, and TypeError where the channel does not take these arguments.
        encode_result: Returns the body of an answer, the result of a listener as JSON, or raises `EncodeFailed`.
        decode: Returns the positional and the keyword arguments of a message. Names that the channel does not have are
            ignored; an argument that the message does not have is left to the default of its parameter. Raises
            `DecodeFailed` for anything that is not a message of the channel.
        decode_result: Returns the result of a listener in another process, or raises `DecodeFailed`.
    """

    name: str
    fingerprint: str
    encode: Callable[P, bytes]
    encode_result: Callable[[R], bytes]
    decode: Callable[[bytes], tuple[tuple[object, ...], dict[str, object]]]
    decode_result: Callable[[bytes], R]
    _json_schema: dict[str, object]

    def json_schema(self) -> dict[str, object]:
        """Return the JSON schemas of the arguments and the result: ``{"arguments": {...}, "result": {...}}``."""
        return copy.deepcopy(self._json_schema)


_Schemas = dict[Codec | None, MessageSchema[..., Any]]
_SCHEMAS: Final[weakref.WeakKeyDictionary[AnyChannel, _Schemas]] = weakref.WeakKeyDictionary()
#: Reentrant, since a codec may ask for the schema of another channel.
_LOCK: Final = threading.RLock()


def schema_of(channel: Channel[P, R] | AsyncChannel[P, R], codec: Codec | None = None) -> MessageSchema[P, R]:
    """
    Return the schema of the messages of *channel*, which is made once.

    Args:
        channel: The channel. Its signature must be known at run time.
        codec: For types that are refused without it, such as `CattrsCodec`.

    Raises:
        SchemaFault: It is no channel, or its name, a parameter or its result cannot be sent.
    """
    if not isinstance(channel, Channel | AsyncChannel):
        raise SchemaFault(repr(channel), "", "it is no channel; pass a Channel or an AsyncChannel")
    with _LOCK:
        schemas = _SCHEMAS.setdefault(channel, {})
        schema = schemas.get(codec)
        if schema is None:
            schema = schemas[codec] = _made(channel, codec)
        return cast("MessageSchema[P, R]", schema)


def event_schema_of(channel: Channel[P, None] | AsyncChannel[P, None], codec: Codec | None) -> MessageSchema[P, None]:
    """
    Return the schema of the messages of *channel*, which have no answer.

    Raises:
        SchemaFault: As for `schema_of`, or its result is not None.
    """
    schema = schema_of(channel, codec)
    signature = channel.signature()
    result = None if signature is None else signature.return_annotation
    if result not in (None, types.NoneType):
        raise SchemaFault(
            schema.name,
            "the result",
            f"events and signals have no result, and it is {result}; declare -> None, or use ask",
        )
    return schema


def _made(channel: AnyChannel, codec: Codec | None) -> MessageSchema[..., Any]:
    name = channel.name
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise SchemaFault(
            name,
            "",
            f"its name is no subject: use at most {_LONGEST} printable ASCII characters without spaces, * and >, with "
            "single dots inside and no $ at the beginning, such as 'orders.placed', or pass another name to declare(name=...)",
        )
    signature = channel.signature()
    if signature is None:
        raise SchemaFault(
            name,
            "",
            f'its signature is unknown at run time; write {type(channel).__name__}[[int], None]("{name}"), or use declare',
        )
    parameters = tuple(signature.parameters.values())
    for parameter in parameters:
        _check(name, parameter)
    if signature.return_annotation is inspect.Signature.empty:
        raise SchemaFault(name, "the result", "it has no annotation; write -> None, or the type of the result")
    result: Any = signature.return_annotation
    annotations = {parameter.name: parameter.annotation for parameter in parameters}
    forms = None if codec is None else codec.bind(name, {**annotations, "return": result})
    if forms is None:
        return _plain_schema(name, parameters, result)
    return _coded_schema(name, parameters, forms)


def _check(channel: str, parameter: Parameter) -> None:
    if parameter.kind in _VARIADIC:
        raise SchemaFault(channel, str(parameter.replace(annotation=Parameter.empty)), "declare each parameter by name")
    if parameter.name.startswith("__"):
        raise SchemaFault(channel, parameter.name, "rename it: its name must not begin with two underscores")
    if parameter.annotation is Parameter.empty:
        raise SchemaFault(channel, parameter.name, "it has no annotation; state its type")


def _plain_schema(name: str, parameters: Sequence[Parameter], result: Any) -> MessageSchema[..., Any]:
    """Return the schema of a channel whose types msgspec restores."""
    described = [sendable(name, parameter.annotation, parameter.name) for parameter in parameters]
    answer = sendable(name, result, "the result")
    arguments = _struct(name, parameters)
    schema: dict[str, object] = msgspec.json.schema(arguments)
    return MessageSchema(
        name,
        fingerprint(schema),
        encoder(name, parameters, described, arguments, _dump),
        encoder(name, [_RESULT], [answer], None, _dump),
        decoder(name, parameters, msgspec.json.Decoder(arguments).decode),
        result_decoder(name, msgspec.json.Decoder(result).decode),
        {"arguments": schema, "result": msgspec.json.schema(result)},
    )


def _coded_schema(name: str, parameters: Sequence[Parameter], forms: Forms) -> MessageSchema[..., Any]:
    """Return the schema of a channel whose values a codec converts to JSON and back."""
    free = [parameter.replace(annotation=Any) for parameter in parameters]
    arguments = _struct(name, free)
    read = msgspec.json.Decoder(arguments).decode

    def convert(made: msgspec.Struct, conversions: Mapping[str, Callable[[Any], object]]) -> msgspec.Struct:
        for parameter in parameters:
            value = getattr(made, parameter.name)
            if value is not msgspec.UNSET:
                setattr(made, parameter.name, conversions[parameter.name](value))
        return made

    schema: dict[str, object] = {
        "type": "object",
        "properties": {parameter.name: forms.schemas[parameter.name] for parameter in parameters},
        "required": [parameter.name for parameter in parameters if parameter.default is Parameter.empty],
        "$defs": forms.definitions,
    }
    to_plain, from_plain, unchecked = forms.to_plain, forms.from_plain, msgspec.inspect.AnyType()
    return MessageSchema(
        name,
        fingerprint(schema),
        encoder(name, free, [unchecked] * len(free), lambda *a, **k: convert(arguments(*a, **k), to_plain), _dump),
        encoder(name, [_RESULT], [unchecked], to_plain["return"], _dump),
        decoder(name, parameters, lambda data: convert(read(data), from_plain)),
        result_decoder(name, lambda data: from_plain["return"](msgspec.json.decode(data))),
        {"arguments": schema, "result": {**forms.schemas["return"], "$defs": forms.definitions}},
    )


def _struct(name: str, parameters: Sequence[Parameter]) -> type[msgspec.Struct]:
    """Return the class of the object that is encoded: it has a field for each parameter."""
    named: list[Any] = []
    by_place: list[Any] = []
    for parameter in parameters:
        field: Any = (parameter.name, parameter.annotation)
        if parameter.default is not Parameter.empty:
            field = (parameter.name, parameter.annotation | msgspec.UnsetType, msgspec.UNSET)
        (named if parameter.kind is Parameter.KEYWORD_ONLY else by_place).append(field)
    # Only the fields that a class adds itself are keyword-only in it.
    base = msgspec.defstruct(name, named, kw_only=True)
    return msgspec.defstruct(name, by_place, bases=(base,))
