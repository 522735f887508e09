"""The class of a bound channel, whose `publish` is generated for the signature of the channel."""

from __future__ import annotations

import threading
import types
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Final

from typedbus._base.coroutines import mark_coroutine_function
from typedbus._channels.bound import BoundChannel
from typedbus._channels.channel import AnyChannel
from typedbus._channels.codegen import SYNC, UNKNOWN, Shape, methods, shape_of
from typedbus._channels.roles import CoroutineRunner, FailureSink
from typedbus._channels.subscriptions import AnyBoundChannel

_NO_NAMES: Final[dict[str, object]] = {}
_GENERATED: Final = ("publish", "first", "fold", "attempt")
_MOST_NAMES: Final = 4
"""The largest number of channels that an error about a wrong call names."""

# Weak, because a class refers to its module's namespace, defaults and annotations: only bound channels keep it alive.
_classes: Final[weakref.WeakValueDictionary[object, type[Any]]] = weakref.WeakValueDictionary()
_channel_names: Final[weakref.WeakKeyDictionary[type[Any], list[str]]] = weakref.WeakKeyDictionary()


def bind(
    channel: AnyChannel, lock: threading.RLock, failures: FailureSink, run_on_loop: CoroutineRunner
) -> AnyBoundChannel:
    """Return a bound channel for *channel*, of a class whose `publish` has the channel's parameters."""
    if not channel.is_async:
        return _class_for(channel, BoundChannel, SYNC)(channel, lock, failures)
    # These modules import asyncio, which a program without async channels does not need.
    from typedbus._channels.async_bound import AsyncBoundChannel
    from typedbus._channels.async_channel import AsyncChannel
    from typedbus._channels.async_codegen import CONCURRENT, SEQUENTIAL
    from typedbus._channels.concurrent_bound import ConcurrentBoundChannel

    if isinstance(channel, AsyncChannel) and channel.concurrent:
        return _class_for(channel, ConcurrentBoundChannel, CONCURRENT)(channel, lock, failures, run_on_loop)
    return _class_for(channel, AsyncBoundChannel, SEQUENTIAL)(channel, lock, failures, run_on_loop)


def _class_for(channel: AnyChannel, base: type[Any], texts: Mapping[str, str]) -> Callable[..., AnyBoundChannel]:
    """Return the class of a bound channel for *channel*, a subclass of *base* that publishes with *texts*."""
    publishing = _publishing_class(channel, base, texts)
    if not channel.deprecated:
        return publishing
    from typedbus._channels.deprecated import reporting_class  # few programs have a deprecated channel

    return reporting_class(publishing)


def _publishing_class(channel: AnyChannel, base: type[Any], texts: Mapping[str, str]) -> type[AnyBoundChannel]:
    """
    Return a subclass of *base* with the generated methods in *texts*, whose `publish` has the parameters of *channel*.

    If only type checkers know them, it passes all arguments on.

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
        shape, annotations = UNKNOWN, {}
    # Equal defaults may be different objects, such as 1 and True. Their ids are
    # safe keys, since the class keeps the defaults and the namespace alive.
    default_values = (*(defaults or ()), *(named_defaults or {}).values())
    key = (base, shape, id(names), repr(annotations), tuple(map(id, default_values)))
    bound_class: type[Any] | None = _classes.get(key)
    if bound_class is None:
        generated = methods(shape, names, texts)
        publish = generated["publish"]
        if default_values:  # an assignment, even of None, would end the specialisation of its calls
            publish.__defaults__, publish.__kwdefaults__ = defaults, named_defaults
        publish.__annotations__ = annotations
        publish.__doc__ = base.publish.__doc__
        if channel.is_async:
            mark_coroutine_function(publish)
        bound_class = type(base.__name__, (base,), {"__slots__": (), "_shape": shape, **generated})
        _classes[key] = bound_class
    _name_methods(bound_class, channel.name)
    return bound_class


def _name_methods(bound_class: type[Any], channel: str) -> None:
    """Make Python's own TypeError for a wrong call of a generated method name the channels that share *bound_class*."""
    names = _channel_names.setdefault(bound_class, [])
    if channel not in names and len(names) <= _MOST_NAMES:
        names.append(channel)
        shown = " or ".join(names[:_MOST_NAMES]) + (" or another" if len(names) > _MOST_NAMES else "")
        for verb in _GENERATED:
            if verb in vars(bound_class):
                getattr(bound_class, verb).__qualname__ = f"{shown}: {verb}"
