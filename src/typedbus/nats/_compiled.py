"""The functions that encode and decode the messages of a channel, compiled for its parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import Parameter, Signature
from typing import Any, cast

import msgspec
from msgspec import inspect

from typedbus.nats._errors import DecodeFailed, EncodeFailed
from typedbus.nats._value_checks import Checks
from typedbus.nats._value_problems import problem_of


def encoder(
    channel: str,
    parameters: Sequence[Parameter],
    described: Sequence[inspect.Type],
    make: Callable[..., object] | None,
    dump: Callable[[Any], Any],
) -> Callable[..., Any]:
    """
    Return a function that checks and encodes its arguments.

    It has the parameters of the channel; a parameter with a default is left out of the message if it is not passed.

    Args:
        channel: The name of the channel, which `EncodeFailed` states.
        parameters: The parameters of the function.
        described: The type of each parameter.
        make: Makes the object that is encoded from the arguments; without it, the only argument is encoded.
        dump: Encodes it.
    """

    def failure(values: tuple[object, ...], error: Exception) -> EncodeFailed:
        try:
            if isinstance(error, EncodeFailed):  # of a codec
                return error
            if isinstance(error, RecursionError):
                raise error
            for parameter, node, value in zip(parameters, described, values, strict=True):
                problem = None if value is msgspec.UNSET else problem_of(node, value, parameter.name)
                if problem is not None:
                    return EncodeFailed(channel, *problem)
        except RecursionError:
            return EncodeFailed(channel, "", "the values are nested too deeply; send fewer levels in one message")
        return EncodeFailed(channel, "", f"{type(error).__name__}: {error}")

    checks = Checks()
    statements: list[str] = []
    passed: list[str] = []
    written: list[Parameter] = []
    for parameter, node in zip(parameters, described, strict=True):
        name = parameter.name
        has_default = parameter.default is not Parameter.empty
        if has_default:
            statements.append(f"        if {name} is not __UNSET:")
        statements += checks.statements(node, name, 3 if has_default else 2)
        passed.append(f"{name}={name}" if parameter.kind is Parameter.KEYWORD_ONLY else name)
        default: Any = _Name("__UNSET") if has_default else Parameter.empty
        written.append(parameter.replace(annotation=Parameter.empty, default=default))
    value = f"__make({', '.join(passed)})" if make else passed[0]
    values = "".join(f"{parameter.name}, " for parameter in parameters)
    source = [
        *checks.functions,
        f"def __encode{Signature(written)}:",
        "    try:",
        *statements,
        f"        return __dump({value})",
        f"    except __Exception as __error: raise __failure(({values}), __error) from __error",
    ]
    names = {"__UNSET": msgspec.UNSET, "__make": make, "__dump": dump}
    return _function("__encode", source, {**checks.names, **names, "__failure": failure}, channel)


def decoder(
    channel: str, parameters: Sequence[Parameter], decode: Callable[[bytes], object]
) -> Callable[[bytes], tuple[tuple[object, ...], dict[str, object]]]:
    """Return a function that decodes the positional and the keyword arguments of a message, or raises `DecodeFailed`."""
    by_place = [p for p in parameters if p.kind is not Parameter.KEYWORD_ONLY and p.default is Parameter.empty]
    optional = [p for p in parameters if p.kind is Parameter.POSITIONAL_ONLY and p.default is not Parameter.empty]
    by_name = [p for p in parameters if p not in by_place and p not in optional]
    required = [p for p in by_name if p.default is Parameter.empty]
    names: dict[str, object] = {"__UNSET": msgspec.UNSET, "__decode": decode}
    source = [
        "def __arguments(__data):",
        "    try: __s = __decode(__data)",
        "    except __Exception as __error: raise __failure(__error) from __error",
        f"    __args = ({''.join(f'__s.{p.name}, ' for p in by_place)})",
        f"    __kwargs = {{{', '.join(f'{p.name!r}: __s.{p.name}' for p in required)}}}",
    ]
    for index, parameter in enumerate(optional):
        # A sender with another declaration may leave out an argument before one that it passes.
        names[f"__default{index}"] = parameter.default
        later = " or ".join(f"__s.{p.name} is not __UNSET" for p in optional[index + 1 :]) or "False"
        source += [
            f"    if __s.{parameter.name} is not __UNSET: __args += (__s.{parameter.name},)",
            f"    elif {later}: __args += (__default{index},)",
        ]
    for parameter in by_name:
        if parameter not in required:
            name = parameter.name
            source.append(f"    if __s.{name} is not __UNSET: __kwargs[{name!r}] = __s.{name}")
    source.append("    return __args, __kwargs")

    def failure(error: Exception) -> DecodeFailed:
        return DecodeFailed(channel, _described(error))

    return _function("__arguments", source, {**names, "__failure": failure}, channel)


def result_decoder(channel: str, decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """Return a function that decodes a result, or raises `DecodeFailed`."""

    def decode_result(data: bytes) -> Any:
        try:
            return decode(data)
        except Exception as error:
            raise DecodeFailed(channel, f"the result: {_described(error)}") from error

    return decode_result


def _described(error: Exception) -> str:
    """Return the text of an error of a decoder, with its class if it is not one of msgspec, which states a path."""
    return str(error) if isinstance(error, msgspec.MsgspecError) else f"{type(error).__name__}: {error}"


def _function(name: str, source: Sequence[str], names: dict[str, object], channel: str) -> Callable[..., Any]:
    names["__Exception"] = Exception
    code = compile("\n".join(source), f"<messages of {channel}>", "exec")
    exec(code, names)  # noqa: S102  # our own text, in which names of parameters and fields are identifiers
    function: Any = names[name]
    function.__name__ = function.__qualname__ = channel  # Python names it for wrong arguments
    return cast("Callable[..., Any]", function)


class _Name(str):
    """The name of a default in a signature that is written as source."""

    __slots__ = ()
    __repr__ = str.__str__
