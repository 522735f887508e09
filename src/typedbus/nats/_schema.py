"""The messages of a channel: its arguments as a JSON object, and the result of its listeners as JSON."""

from __future__ import annotations

import inspect
import re
import threading
import weakref
from collections.abc import Callable
from inspect import Parameter
from typing import Any, Final, Generic, TypeVar, cast

import attrs
import msgspec
from typing_extensions import ParamSpec

from typedbus._channels.async_channel import AsyncChannel
from typedbus._channels.channel import AnyChannel, Channel
from typedbus.nats._compiled import decoder, described_error, encoder
from typedbus.nats._errors import DecodeFailed, SchemaFault
from typedbus.nats._fingerprint import fingerprint
from typedbus.nats._schema_types import sendable

P = ParamSpec("P")
R = TypeVar("R")

#: Subjects that begin with a dollar sign are those of dead letters.
_NAME: Final = re.compile(r"(?!\$)[!-)+-\-/-=?-~]+(\.[!-)+-\-/-=?-~]+)*")
_VARIADIC: Final = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


@attrs.define(eq=False)
class MessageSchema(Generic[P, R]):
    """
    The form of the messages of one channel; `schema_of` makes it.

    The methods may be called in any thread.

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
    """

    name: str
    fingerprint: str
    encode: Callable[P, bytes]
    encode_result: Callable[[R], bytes]
    decode: Callable[[bytes], tuple[tuple[object, ...], dict[str, object]]]
    _arguments: type[msgspec.Struct]
    _decode_result: Callable[[bytes], R]
    _result: object

    def decode_result(self, data: bytes) -> R:
        """
        Return the result of a listener in another process.

        Raises:
            DecodeFailed: *data* is not a result of this channel.
        """
        try:
            return self._decode_result(data)
        except Exception as error:
            raise DecodeFailed(self.name, f"the result: {described_error(error)}") from error

    def json_schema(self) -> dict[str, object]:
        """Return the JSON schemas of the arguments and the result: ``{"arguments": {...}, "result": {...}}``."""
        return {
            "arguments": msgspec.json.schema(self._arguments),
            "result": msgspec.json.schema(self._result),
        }


_SCHEMAS: Final[weakref.WeakKeyDictionary[AnyChannel, MessageSchema[..., Any]]] = weakref.WeakKeyDictionary()
_LOCK: Final = threading.Lock()


def schema_of(channel: Channel[P, R] | AsyncChannel[P, R]) -> MessageSchema[P, R]:
    """
    Return the schema of the messages of *channel*, which is made once.

    Raises:
        SchemaFault: Its name, a parameter or its result cannot be sent.
    """
    with _LOCK:
        schema = _SCHEMAS.get(channel)
        if schema is None:
            schema = _SCHEMAS[channel] = _made(channel)
        return cast("MessageSchema[P, R]", schema)


def _made(channel: AnyChannel) -> MessageSchema[..., Any]:
    name = channel.name
    if not _NAME.fullmatch(name):
        raise SchemaFault(
            name,
            "",
            "its name is no subject: use printable ASCII characters without spaces, * and >, with single dots inside and no $ "
            "at the beginning, such as 'orders.placed', or pass another name to declare(name=...)",
        )
    signature = channel.signature()
    if signature is None:
        raise SchemaFault(
            name,
            "",
            f'its signature is unknown at run time; write {type(channel).__name__}[[int], None]("{name}"), or use declare',
        )
    parameters = tuple(signature.parameters.values())
    parameters = tuple(signature.parameters.values())
    described = [_described(name, parameter) for parameter in parameters]
    result: Any = signature.return_annotation
    if result is inspect.Signature.empty:
        raise SchemaFault(name, "the result", "it has no annotation; write -> None, or the type of the result")
    described_result = sendable(name, result, "the result")
    arguments = _struct(name, parameters)
    answer = Parameter("result", Parameter.POSITIONAL_ONLY)
    return MessageSchema(
        name,
        fingerprint(msgspec.json.schema(arguments)),
        encoder(name, parameters, described, arguments),
        encoder(name, [answer], [described_result], None),
        decoder(name, parameters, msgspec.json.Decoder(arguments).decode),
        arguments,
        msgspec.json.Decoder(result).decode,
        result,
    )


def _described(channel: str, parameter: Parameter) -> msgspec.inspect.Type:
    if parameter.kind in _VARIADIC:
        raise SchemaFault(channel, str(parameter.replace(annotation=Parameter.empty)), "declare each parameter by name")
    if parameter.name.startswith("__"):
        raise SchemaFault(channel, parameter.name, "rename it: its name must not begin with two underscores")
    if parameter.annotation is Parameter.empty:
        raise SchemaFault(channel, parameter.name, "it has no annotation; state its type")
    return sendable(channel, parameter.annotation, parameter.name)


def _struct(name: str, parameters: tuple[Parameter, ...]) -> type[msgspec.Struct]:
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
