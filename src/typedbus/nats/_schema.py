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
from typedbus.nats._errors import DecodeFailed, SchemaFault
from typedbus.nats._fingerprint import fingerprint
from typedbus.nats._schema_types import problems_of

P = ParamSpec("P")
R = TypeVar("R")

_NAME: Final = re.compile(r"[!-)+\-/-=?-~]+(\.[!-)+\-/-=?-~]+)*")
_VARIADIC: Final = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


@attrs.define(eq=False)
class MessageSchema(Generic[P, R]):
    """
    The form of the messages of one channel; `schema_of` makes it.

    The methods may be called in any thread.

    Attributes:
        name: The name of the channel, which is part of a subject.
        fingerprint: 16 hexadecimal digits of the JSON schema of the arguments, the same in every process.
    """

    name: str
    fingerprint: str
    _parameters: tuple[Parameter, ...]
    _arguments: Callable[..., msgspec.Struct]
    _encode: Callable[[object], bytes]
    _decode_arguments: Callable[[bytes], msgspec.Struct]
    _decode_result: Callable[[bytes], R]
    _result: object
    #: Whether every message has a value for each parameter, all by position.
    _is_plain: bool = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._is_plain = all(
            parameter.kind is not Parameter.KEYWORD_ONLY and parameter.default is Parameter.empty
            for parameter in self._parameters
        )

    def encode(self, /, *args: P.args, **kwargs: P.kwargs) -> bytes:
        """
        Return the body of a message: a JSON object of the arguments by the names of their parameters.

        An argument that is left to the default of its parameter is left out.

        Raises:
            TypeError: The channel does not take these arguments.
        """
        return self._encode(self._arguments(*args, **kwargs))

    def decode(self, data: bytes) -> tuple[tuple[object, ...], dict[str, object]]:
        """
        Return the positional and the keyword arguments of a message.

        Names that the channel does not have are ignored. An argument that the message does not have is left to the
        default of its parameter.

        Raises:
            DecodeFailed: *data* is not such a message.
        """
        try:
            values = msgspec.structs.astuple(self._decode_arguments(data))
        except Exception as error:  # RecursionError and UnicodeDecodeError as well
            raise DecodeFailed(self.name, _text(error)) from error
        if self._is_plain:
            return values, {}
        args: list[object] = []
        kwargs: dict[str, object] = {}
        skipped: list[object] = []
        for parameter, value in zip(self._parameters, values, strict=True):
            if value is msgspec.UNSET:
                skipped.append(parameter.default)
            elif parameter.kind is Parameter.KEYWORD_ONLY:
                kwargs[parameter.name] = value
            else:
                args += [*skipped, value]
                skipped = []
        return tuple(args), kwargs

    def encode_result(self, result: R) -> bytes:
        """Return the body of an answer: the result of a listener as JSON."""
        return self._encode(result)

    def decode_result(self, data: bytes) -> R:
        """
        Return the result of a listener in another process.

        Raises:
            DecodeFailed: *data* is not a result of this channel.
        """
        try:
            return self._decode_result(data)
        except Exception as error:
            raise DecodeFailed(self.name, f"the result: {_text(error)}") from error

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
            "its name is no subject: use printable ASCII characters without spaces, * and >, with single dots inside, "
            "such as 'orders.placed', or pass another name to declare(name=...)",
        )
    signature = channel.signature()
    if signature is None:
        raise SchemaFault(
            name,
            "",
            f'its signature is unknown at run time; write {type(channel).__name__}[[int], None]("{name}"), or use declare',
        )
    parameters = tuple(signature.parameters.values())
    fields = [_field(name, parameter) for parameter in parameters]
    result: Any = signature.return_annotation
    if result is inspect.Signature.empty:
        raise SchemaFault(name, "the result", "it has no annotation; write -> None, or the type of the result")
    _refuse(name, result, "the result")
    named = [
        field for parameter, field in zip(parameters, fields, strict=True) if parameter.kind is Parameter.KEYWORD_ONLY
    ]
    by_place = [field for field in fields if field not in named]
    # Only the fields that a class adds itself are keyword-only in it.
    base = msgspec.defstruct(name, named, kw_only=True)
    arguments: Any = msgspec.defstruct(name, by_place, bases=(base,))
    schema: dict[str, Any] = msgspec.json.schema(arguments)
    return MessageSchema(
        name,
        fingerprint(schema),
        parameters,
        arguments,
        msgspec.json.Encoder().encode,
        msgspec.json.Decoder(arguments).decode,
        msgspec.json.Decoder(result).decode,
        result,
    )


def _field(channel: str, parameter: Parameter) -> tuple[Any, ...]:
    if parameter.kind in _VARIADIC:
        raise SchemaFault(channel, str(parameter.replace(annotation=Parameter.empty)), "declare each parameter by name")
    if parameter.name.startswith("__"):
        raise SchemaFault(channel, parameter.name, "rename it: its name must not begin with two underscores")
    if parameter.annotation is Parameter.empty:
        raise SchemaFault(channel, parameter.name, "it has no annotation; state its type")
    _refuse(channel, parameter.annotation, parameter.name)
    if parameter.default is Parameter.empty:
        return parameter.name, parameter.annotation
    return parameter.name, parameter.annotation | msgspec.UnsetType, msgspec.UNSET


def _refuse(channel: str, annotation: Any, path: str) -> None:
    for place, problem in problems_of(annotation, path):
        raise SchemaFault(channel, place, problem)


def _text(error: Exception) -> str:
    return str(error) if isinstance(error, msgspec.MsgspecError) else f"{type(error).__name__}: {error}"
