"""The arguments of `Channel.declare` and `AsyncChannel.declare`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from typedbus._base.channel_errors import ChannelError
from typedbus._base.coroutines import is_async_callable


def checked_declaration(
    signature: Any, name: str | None, deprecated: str | None, *, is_async: bool
) -> tuple[str, Callable[..., object], str]:
    """
    Return the name of a channel, the function that declares it, and the text of its deprecation, "" if there is none.

    Args:
        signature: The first argument of `declare`.
        name: The name, if it is not that of the function.
        deprecated: The text, if it is not that of `warnings.deprecated`.
        is_async: Whether an `AsyncChannel` is declared.

    Raises:
        ChannelError: An argument is invalid, or the function is async and declares a `Channel`.
    """
    example = f"{'async ' * is_async}def order_placed(...)"
    if not callable(signature):
        raise ChannelError(
            signature,
            f"is not a function: declare a channel with a function, `{example}`, and add name=... for another name",
        )
    function: Any = signature
    channel_name: str = getattr(function, "__name__", "<lambda>") if name is None else name
    if channel_name == "<lambda>":
        raise ChannelError(function, f"has no name for the channel: decorate a function, `{example}`, or add name=...")
    if is_async_callable(function) and not is_async:
        raise ChannelError(
            function,
            "is async, and listeners of a Channel are not awaited: use AsyncChannel.declare, or make it a plain function",
        )
    if deprecated is None and getattr(function, "__deprecated__", None):
        # The wrapper of `warnings.deprecated` has no parameters of its own.
        return channel_name, getattr(function, "__wrapped__", function), function.__deprecated__
    if deprecated is not None and not (isinstance(deprecated, str) and deprecated.strip()):
        raise ChannelError(
            deprecated,
            f"does not name a replacement for channel {channel_name!r}: pass deprecated='use order_placed', for example",
        )
    return channel_name, function, deprecated or ""
