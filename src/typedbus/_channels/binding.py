"""The class of a bound channel, whose `publish` is generated for the signature of the channel."""

from __future__ import annotations

import threading
import types
import weakref
from typing import Any, Final

from typedbus._channels.bound import BoundChannel
from typedbus._channels.channel import Args, Channel, Result
from typedbus._channels.codegen import Shape, methods, shape_of
from typedbus._channels.subscriptions import FailureSink

_NO_NAMES: Final[dict[str, object]] = {}
_MOST_NAMES: Final = 4
"""The largest number of channels that an error about a wrong call names."""

# Weak, because a class refers to its module's namespace, defaults and annotations: only bound channels keep it alive.
_classes: Final[weakref.WeakValueDictionary[object, type[BoundChannel[Any, Any]]]] = weakref.WeakValueDictionary()
_channel_names: Final[weakref.WeakKeyDictionary[type[BoundChannel[Any, Any]], list[str]]] = weakref.WeakKeyDictionary()


def bind(channel: Channel[Args, Result], lock: threading.RLock, failures: FailureSink) -> BoundChannel[Args, Result]:
    """
    Return a bound channel for *channel*, of a class whose `publish` has the channel's parameters.

    Bound channels of the same signature share a class, because a class takes more memory
    than many bound channels; it lives as long as any of them.
    """
    declared, parametrised = channel.declaration, getattr(channel, "__orig_class__", None)
    names = _NO_NAMES
    annotations: dict[str, object]
    defaults: tuple[object, ...] | None = None
    named_defaults: dict[str, object] | None = None
    if isinstance(declared, types.FunctionType) and not hasattr(declared, "__wrapped__"):
        from typedbus._base.hints import annotations_of  # not needed for `import typedbus`

        shape, names = shape_of(declared), declared.__globals__
        annotations = annotations_of(declared)
        result = annotations.get("return")
        annotations["return"] = f"list[{result}]" if isinstance(result, str) else types.GenericAlias(list, (result,))
        defaults, named_defaults = declared.__defaults__, declared.__kwdefaults__
    elif parametrised is not None and isinstance(parametrised.__args__[0], tuple):
        parameters = parametrised.__args__[0]
        shape = Shape(unnamed=tuple(f"arg{index}" for index in range(len(parameters))))
        annotations = dict(zip(shape.unnamed, parameters, strict=True))
        annotations["return"] = types.GenericAlias(list, (parametrised.__args__[-1],))
    else:
        return BoundChannel(channel, lock, failures)
    # Equal defaults may be different objects, such as 1 and True. Their ids are
    # safe keys, since the class keeps the defaults and the namespace alive.
    default_values = (*(defaults or ()), *(named_defaults or {}).values())
    key = (shape, id(names), repr(annotations), tuple(map(id, default_values)))
    bound_class = _classes.get(key)
    if bound_class is None:
        generated = methods(shape, names)
        publish = generated["publish"]
        publish.__defaults__, publish.__kwdefaults__ = defaults, named_defaults
        publish.__annotations__ = annotations
        publish.__doc__ = BoundChannel.publish.__doc__
        bound_class = type("BoundChannel", (BoundChannel,), {"__slots__": (), "_shape": shape, **generated})
        _classes[key] = bound_class
    _name_publish(bound_class, channel.name)
    bound: BoundChannel[Args, Result] = bound_class(channel, lock, failures)
    return bound


def _name_publish(bound_class: type[BoundChannel[Any, Any]], channel: str) -> None:
    """Make Python's own TypeError for a wrong call of `publish` name the channels that share *bound_class*."""
    names = _channel_names.setdefault(bound_class, [])
    if channel not in names and len(names) <= _MOST_NAMES:
        names.append(channel)
        shown = " or ".join(names[:_MOST_NAMES]) + (" or another" if len(names) > _MOST_NAMES else "")
        bound_class.publish.__qualname__ = f"{shown}: publish"
