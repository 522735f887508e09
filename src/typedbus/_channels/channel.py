"""
Channels: declarations, made once, at the top of a module.

A `Channel` has a name and a signature and holds no listeners; a mark or a hook
declares that a component's method listens to a channel. `_channels.bound` implements
a channel on a bus.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, Final, Generic, Protocol, Self, Union, overload

from typing_extensions import ParamSpec, TypeVar

from typedbus._base.channel_errors import ChannelError, ListenerError
from typedbus._base.failures import describe
from typedbus._base.limits import checked_limit
from typedbus._channels.declaring import checked_declaration

if TYPE_CHECKING:
    import inspect

    from typedbus._base.restart import Restart
    from typedbus._channels.bound import BoundChannel  # noqa: F401  # named in a string, as a base class needs at run time
    from typedbus._channels.deprecated import DeprecatedChannel

Args = ParamSpec("Args", default=[])
Result = TypeVar("Result", default=None)
Result_co = TypeVar("Result_co", covariant=True)
Owner = TypeVar("Owner")
Owner_contra = TypeVar("Owner_contra", contravariant=True)
AnyListener = TypeVar("AnyListener", bound=Callable[..., object])
Bound_co = TypeVar("Bound_co", covariant=True)
P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
S = TypeVar("S")
Other_co = TypeVar("Other_co", covariant=True)
Other_contra = TypeVar("Other_contra", contravariant=True)

DEFAULT_PRIORITY: Final = 50


class AnyChannel:
    """
    A channel of any signature: a `Channel` or an `AsyncChannel`.

    Attributes:
        name: Its name in messages.
        doc: The docstring of its declaration.
        declaration: The function that was passed to `declare`; None for any other channel.
        deprecated: What to use instead of a deprecated channel; "" if it is not deprecated.
        is_async: Whether a publish is awaited, and so may have async listeners.
    """

    __slots__ = ("__orig_class__", "__weakref__", "declaration", "deprecated", "doc", "name")

    name: str
    doc: str
    declaration: Callable[..., object] | None
    deprecated: str
    is_async: ClassVar[bool] = False

    def __init__(self, name: str) -> None:
        if not (isinstance(name, str) and name.strip()):
            raise ChannelError(name, "is not a channel name: pass a string such as 'order_placed'")
        self.name = name
        self.doc = ""
        self.declaration = None
        self.deprecated = ""

    def signature(self) -> inspect.Signature | None:
        """
        Return the signature with which a listener is called, if it is known at run time.

        None for a channel that was created without type arguments at run time, such as
        ``x: Channel[[int], None] = Channel("x")``: only type checkers know its signature.
        """
        import inspect  # slower to import than the rest of the package, and only validation needs it

        from typedbus._base.hints import signature_of

        if self.declaration is not None:
            return signature_of(self.declaration)
        parametrised = getattr(self, "__orig_class__", None)
        if parametrised is None or not isinstance(parametrised.__args__[0], tuple):
            return None
        positional, result = parametrised.__args__[0], parametrised.__args__[-1]
        return inspect.Signature(
            [
                inspect.Parameter(f"arg{index}", inspect.Parameter.POSITIONAL_ONLY, annotation=annotation)
                for index, annotation in enumerate(positional)
            ],
            return_annotation=result,
        )

    def returns_awaitables(self) -> bool:
        """Return whether the declared result of a listener may be an awaitable, which the publisher awaits itself."""
        signature = self.signature()
        results = [] if signature is None else [signature.return_annotation]
        while results:
            result = results.pop()
            origin = getattr(result, "__origin__", result)
            if isinstance(result, types.UnionType) or origin is Union:
                results.extend(result.__args__)
            elif result is Any or hasattr(origin, "__await__"):
                return True
        return False

    # A container copies the arguments of its components. A channel is identified
    # by identity, so its copy must be the channel itself.
    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> str | tuple[object, ...]:
        raise ChannelError(
            self.name,
            "is the name of a channel, which cannot be pickled: a copy would be another channel; import it by name instead",
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


class Listens(Protocol[P, Result_co]):
    """A listener of a channel: any callable that accepts the published arguments."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Result_co:
        """Receive the published arguments and return the result."""
        ...


Listener = TypeVar("Listener", bound=Callable[..., object], default=Listens[Args, Result])
"""
The type of a channel's listeners, for checkers: a third type parameter of channels that is never written out.

It is invariant. mypy treats a ParamSpec as covariant, so with `Args` and `Result` alone it would accept
a channel of narrower arguments where a channel of wider arguments is required.
"""


class Takes(AnyChannel, Generic[AnyListener]):
    """
    A channel with listeners of the type *AnyListener*.

    The type parameter is invariant, which makes `Bus.subscribe(channel, listener)`
    sound: checkers treat a ParamSpec as covariant and would accept a listener
    that lacks an optional parameter.
    """

    __slots__ = ()


class Binds(Generic[Bound_co]):
    """
    A channel whose ``bus[channel]`` has the type *Bound_co*.

    With a single type variable as its result, mypy infers the type of ``bus[channel]`` from the channel alone.
    With ``BoundChannel[Args, Result]`` as its result, mypy would infer the arguments from the context first, and
    refuse ``rush: Publishes[Narrower] = bus[order_placed]``.
    """

    __slots__ = ()


class Channel(
    Takes[Listens[Args, Result]],
    # Names the listener, since pyright has not resolved its default while it evaluates the cycle with `BoundChannel`.
    Binds["BoundChannel[Args, Result, Listener]"],
    Generic[Args, Result, Listener],
):
    """
    The declaration of a channel: the arguments that are published on it, and the result of its listeners.

    ``Channel[[Order], Receipt]("order_placed")`` is published with one
    positional `Order`, and each listener returns a `Receipt`; the
    result type may be left out if listeners return None. `declare` makes a channel
    from a function, for parameters with names or defaults.

    A channel is equal only to itself, is never copied, and may be shared by
    any number of buses and threads. Its name is used in messages; two channels of
    the same name are different channels.

    Raises:
        ChannelError: The name is not a string, or is blank.
    """

    __slots__ = ()

    @overload
    @staticmethod
    def declare(signature: Callable[P, R], *, name: str = ...) -> Channel[P, R]: ...

    @overload
    @staticmethod
    def declare(*, name: str) -> Callable[[Callable[P, R]], Channel[P, R]]: ...

    @overload
    @staticmethod
    def declare(signature: Callable[P, R], *, name: str = ..., deprecated: str) -> DeprecatedChannel[P, R]: ...

    @overload
    @staticmethod
    def declare(*, name: str = ..., deprecated: str) -> Callable[[Callable[P, R]], DeprecatedChannel[P, R]]: ...

    @staticmethod
    def declare(signature: Any = None, *, name: str | None = None, deprecated: str | None = None) -> Any:
        """
        Make a channel from a function's name, parameters, result and docstring.

        The function itself is never called. Make its parameters positional-only
        (``/``), unless publishers should pass them by name: listeners must then use
        the same names. Let it raise `NotImplementedError` if it has a result: mypy refuses
        a body of ``...`` or of a docstring alone, with ``[empty-body]``, where None is not a result.

        A *name* replaces that of the function: ``@Channel.declare(name="order.placed")``. Several channels may
        have the signature of one function: ``copied = Channel.declare(transfer, name="item_copied")``.

        A channel that is *deprecated* works as before, and a `DeprecationWarning` reports each listener when it is
        subscribed. The text says what to use instead: ``@Channel.declare(deprecated="use order_placed")``. Type
        checkers report the code that subscribes the listener. A function that `warnings.deprecated` decorates makes a
        deprecated channel as well, but pyright does not report its listeners then.

        Raises:
            ChannelError: *signature* is not a plain function, or has no name of its own, for example a lambda or a partial,
                and *name* is missing; or *name* or *deprecated* is not a string, or is blank.
        """
        if signature is None and (name, deprecated) != (None, None):
            declare: Any = Channel.declare
            return functools.partial(declare, name=name, deprecated=deprecated)
        name, function, text = checked_declaration(signature, name, deprecated, is_async=False)
        kind: type[Any] = Channel
        if text:
            from typedbus._channels.deprecated import DeprecatedChannel  # few programs have one

            kind = DeprecatedChannel
        channel: Channel[..., Any] = kind(name)
        channel.declaration, channel.doc, channel.deprecated = function, function.__doc__ or "", text
        return channel

    def calls(
        self,
        method: Callable[Concatenate[Owner, Args], Result],
        /,
        *,
        priority: int | None = None,
        limit: float | None = None,
        inline: bool = False,
    ) -> Hook[Owner]:
        """
        Declare that *method* of a component listens to this channel: `Component(...).on(channel.calls(Cls.method))`.

        If the method already listens, by its name or a mark, this sets its priority and limit.

        Args:
            method: The function as an attribute of its class.
            priority: Its place among the listeners of the channel, lower first; by default the component's priority.
            limit: How long it may take when the bus starts, stops or exits, in seconds.
            inline: Whether it is called in the thread that starts, stops or exits the bus, regardless of workers and
                limits; no limit interrupts it then.

        Raises:
            ListenerError: *priority* is not an int.
            LimitError: *limit* is not a number above 0.
        """
        return declared(self, method, priority, limit, inline=inline)


if not TYPE_CHECKING:
    # At run time Channel[[int], str] keeps the two arguments that were written; `signature` reads them.
    Channel.__parameters__ = (Args, Result)


class Hook(Generic[Owner_contra]):
    """
    The declaration that a component's method listens to a channel; made by `Channel.calls`.

    Attributes:
        channel: The channel that is listened to.
        method: The function as an attribute of its class; a subclass may override it.
        attribute: The name of the method in the class of the component; "" if it has not been looked up yet,
            or if the class does not have the method.
        priority: Its place among the listeners, or None for the component's priority.
        limit: How long it may take on the life cycle, in seconds, or None for the limit in `Limits`.
        inline: Whether it is always called in the thread of the transition.
        restart: The restart policy of a run; None for the policy of the component.
        awaited: Whether a start waits until it is ready, if it is a run.
    """

    __slots__ = ("attribute", "awaited", "channel", "inline", "limit", "method", "priority", "restart")

    def __init__(
        self,
        channel: AnyChannel,
        method: Callable[..., object],
        priority: int | None = None,
        limit: float | None = None,
        *,
        inline: bool = False,
        attribute: str = "",
        restart: Restart | None = None,
        awaited: bool = False,
    ) -> None:
        self.channel: Final = channel
        self.method: Final = method
        self.priority: Final = priority
        self.limit: Final = None if limit is None else checked_limit(describe(method), limit)
        self.inline: Final = inline
        self.attribute: Final = attribute
        self.restart: Final = restart
        self.awaited: Final = awaited

    def bind(self, owner: Owner_contra, /) -> Callable[..., object]:
        """
        Return the listener for *owner*: its attribute with the name of the method, so that an override is called.

        A function that is not an attribute of a class is called with *owner* as its first argument.
        """
        name = self.attribute
        if not name:
            from typedbus._base.methods import name_of  # only where a container has not looked already

            name = name_of(self.method, type(owner))
        if not name:
            # *owner* may be a substitute for an instance of the class that defines the method.
            scope, _, written = getattr(self.method, "__qualname__", "").rpartition(".")
            name = "" if scope.endswith("<locals>") else scope and written
        listener: object = getattr(owner, name, None) if name else None
        return listener if callable(listener) else types.MethodType(self.method, owner)

    def __repr__(self) -> str:
        return f"<Hook {self.channel.name} calls {describe(self.method)}>"


def declared(
    channel: AnyChannel,
    method: Callable[..., Any],
    priority: int | None,
    limit: float | None = None,
    *,
    inline: bool = False,
    restart: Restart | None = None,
    awaited: bool = False,
) -> Hook[Any]:
    """
    Return the hook of a mark or a declaration.

    Raises:
        ListenerError: *priority* is not an int.
    """
    if not (priority is None or isinstance(priority, int)):
        raise ListenerError(channel.name, method, f"its priority {priority!r} is not an int")
    return Hook(channel, method, priority, limit, inline=inline, restart=restart, awaited=awaited)
