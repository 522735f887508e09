"""The declarations of scopes: `Scoped`, an object for each scope, and `Given`, a value that is passed in at its opening."""

from __future__ import annotations

import enum
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Generic, Never, ParamSpec, Self, overload

import attrs
from dependency_injector import providers
from typing_extensions import TypeVar, is_protocol

from typedbus._base.errors import DeclarationError
from typedbus._base.failures import describe
from typedbus._base.places import calling_place
from typedbus._base.scope_errors import OutsideScope
from typedbus._base.static import is_a
from typedbus._channels.channel import AnyChannel, Hook
from typedbus._container.component import Component
from typedbus._container.construction import check_callable
from typedbus._container.forms import iterates
from typedbus._container.results import Opened, Opening, Result, Typed, Uncalled
from typedbus._container.stand_ins import Provided

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
V = TypeVar("V")


class Level(enum.Enum):
    """The unit of work that a scope belongs to; an object may need objects of its own level and of the levels before."""

    #: A connection of a client, such as a WebSocket.
    SESSION = 1
    #: A request, a message, a job.
    REQUEST = 2

    if not TYPE_CHECKING:
        # The method of enumerations is a Python function, a tenth of the cost of an empty scope.
        __hash__ = object.__hash__


SESSION: Final = Level.SESSION
"""The level of `Scoped.at` and `Container.scope` for a connection with many requests, such as a WebSocket."""


#: While a provider of the container library is called in a scope: returns the object of a declaration there.
PROVIDING: Final[ContextVar[Callable[[object], Any] | None]] = ContextVar("typedbus_scope", default=None)


class OfScope(Component[T_co]):
    """A declaration whose objects belong to scopes. No start builds it, and its methods are not subscribed."""

    level: Level = Level.REQUEST

    def __call__(self) -> T_co:  # type: ignore[override]  # as in `Component`
        """
        Raise an error: without a scope there is no object.

        Raises:
            OutsideScope: Always, unless a provider of dependency-injector calls it inside a scope.
        """
        override: Any = self.overriding
        if override is not None:
            result: T_co = override()
            return result
        provide = PROVIDING.get()
        if provide is not None:
            provided: T_co = provide(self)
            return provided
        raise OutsideScope(self.path, self.place)

    def at(self, level: Level) -> Self:
        """
        Set the level: with `SESSION`, the object or the value belongs to a connection, and all scopes inside it share it.

        Returns:
            The component itself.
        """
        self.level = level
        self._invalidate()
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copied = super().__deepcopy__(memo)
        copied.level = self.level
        return copied

    @property
    def lazy(self) -> Callable[[], T_co]:
        """
        Raise an error: a function that is called later does not know the scope.

        Raises:
            DeclarationError: Always. `opener` opens a scope of its own.
        """
        raise self._refusal("it belongs to a scope, which lazy cannot know; pass .opener, which opens a scope")

    @property
    def optional(self) -> T_co | None:
        """
        Raise an error: an object of a scope has no condition.

        Raises:
            DeclarationError: Always.
        """
        raise self._refusal("it belongs to a scope and always takes part; pass .provided")

    def on(self, *hooks: Hook[Any]) -> Never:
        """
        Raise an error: no bus calls the methods of an object of a scope.

        Raises:
            DeclarationError: Always.
        """
        raise self._refusal(
            "it belongs to a scope, and its methods cannot listen; declare a Component that listens, and pass it .opener"
        )

    def without(self, *channels: AnyChannel) -> Never:
        """
        Raise an error: no method of an object of a scope listens.

        Raises:
            DeclarationError: Always.
        """
        raise self._refusal("it belongs to a scope, and its methods never listen; remove .without(...)")

    def closed_by(self, function: Callable[[T_co], object], /) -> Never:
        """
        Raise an error: the end of the scope closes the object, and no exit of a bus.

        Raises:
            DeclarationError: Always. A generator function closes its object after the ``yield``.
        """
        raise self._refusal(
            "it belongs to a scope, and closed_by acts at the exit of the bus; "
            "write a generator function that yields the object and closes it after the yield"
        )

    def within(self, seconds: float) -> Never:
        """
        Raise an error: an object of a scope has no hooks.

        Raises:
            DeclarationError: Always.
        """
        raise self._refusal("it belongs to a scope and has no hooks to limit; remove .within(...)")

    def enabled(self, condition: bool, /, *, reason: str) -> Never:
        """
        Raise an error: an object of a scope has no condition.

        Raises:
            DeclarationError: Always.
        """
        raise self._refusal("it belongs to a scope and always takes part; decide in the function that builds it")

    def _refusal(self, reason: str) -> DeclarationError:
        return DeclarationError(self.path, calling_place(2), reason)


def level_of(provider: object) -> int:
    """Return the level of the result of *provider*; 0 if it belongs to no scope, and lives longer."""
    return provider.level.value if isinstance(provider, OfScope) else 0


def outlives_scopes(provider: object) -> bool:
    """Return whether *provider* is a component that lives longer than a scope, and is not overridden."""
    return isinstance(provider, Component) and not isinstance(provider, OfScope) and provider.overriding is None


class Scoped(OfScope[T_co]):
    """
    The declaration of an object of which each scope has one: a session, a transaction, the user of a request.

    ``session = Scoped(open_session, engine.provided)``: *builds* is a generator function
    that yields the object once, a function decorated with `contextlib.contextmanager`, a class
    whose instances are context managers, the async form of one of these, a coroutine
    function, or a plain class or function. Arguments are declared and checked as those of a
    `Component`.

    A scope builds the object when it is first requested, after the objects that it needs, and
    closes what it has opened in reverse order at its end. A failure of the scope's block is
    raised inside the generator at its ``yield``, or passed to `__exit__`; so
    ``try/except/rollback`` and ``with transaction():`` work as in a ``with`` block. Suppressing
    the failure has no effect.

    A `Component` cannot need it, which `validate` reports as a `LifetimeFault`: pass it `opener`.

    Args:
        builds: The class or function.
        args: Its positional arguments.
        kwargs: Its keyword arguments.

    Raises:
        DeclarationError: *builds* cannot be called, or returns an iterator without being a generator function.
    """

    # Async managers come before sync ones, and managers before iterators: some classes are both.
    @overload
    def __init__(
        self: Scoped[T],
        builds: Callable[P, AbstractAsyncContextManager[T, bool | None]],
        /,
        *_args: P.args,
        **_kwargs: P.kwargs,
    ) -> None: ...
    @overload
    def __init__(
        self: Scoped[T],
        builds: Callable[P, AbstractContextManager[T, bool | None]],
        /,
        *_args: P.args,
        **_kwargs: P.kwargs,
    ) -> None: ...
    @overload
    def __init__(self: Scoped[T], builds: Callable[P, Iterator[T]], /, *_args: P.args, **_kwargs: P.kwargs) -> None: ...
    @overload
    def __init__(
        self: Scoped[T], builds: Callable[P, AsyncIterator[T]], /, *_args: P.args, **_kwargs: P.kwargs
    ) -> None: ...
    @overload
    def __init__(
        self: Scoped[T], builds: Callable[P, Coroutine[Any, Any, T]], /, *_args: P.args, **_kwargs: P.kwargs
    ) -> None: ...
    @overload
    def __init__(self: Scoped[T], builds: Callable[P, T], /, *_args: P.args, **_kwargs: P.kwargs) -> None: ...
    def __init__(self, builds: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        place = calling_place()
        check_callable(builds, place)
        super().__init__(builds, *args, **kwargs)
        self.place: str = place
        if iterates(builds):
            reason = (
                f"{describe(builds)} is not a generator function, and type checkers take the result for its first item; "
                "write a generator function, or a function that returns the object under another type"
            )
            raise DeclarationError(self.path, self.place, reason)

    def describe_result(self) -> Result:
        """Describe the object as validation sees it."""
        return Opened(self.builds)

    @property
    def opener(self) -> Callable[[], AbstractContextManager[T_co]]:
        """
        A function for another component's declaration that opens a scope of its own around this object.

        Pass ``session.opener`` to a parameter ``Callable[[], AbstractContextManager[Session]]``:
        ``with self._sessions() as session:``. For components, which live longer than a scope:
        workers, listeners, and tasks that run side by side. Nothing can be given to the scope.
        """
        argument: Any = Provided(Opener(self), f"{self.path}.opener")
        return argument  # type: ignore[no-any-return]  # it stands in for the function

    @property
    def async_opener(self) -> Callable[[], AbstractAsyncContextManager[T_co]]:
        """The same as `opener` for ``async with``, which async forms need."""
        argument: Any = Provided(AsyncOpener(self), f"{self.path}.async_opener")
        return argument  # type: ignore[no-any-return]  # as above


@attrs.frozen
class GivenValue:
    """The value of a `Given` in one scope; created by `Given.given`."""

    component: Component[Any]
    value: object


class Given(OfScope[V], Generic[V]):
    """
    The declaration of a value that the code which opens a scope passes in, such as the user of a request.

    ``user = Given(User)`` in the container, ``shop.scope(Shop.user.given(ada))`` at the opening,
    and ``user.provided`` for the scoped objects that need it. A scope without the value raises
    `NotGiven` when it is needed.

    Args:
        kind: The class of the value, or a protocol.
    """

    def __init__(self, kind: Callable[..., V], /) -> None:
        place = calling_place()
        check_callable(kind, place)
        super().__init__(kind)
        self.place: str = place

    def given(self, value: V) -> GivenValue:
        """
        Return *value* for a scope.

        Raises:
            DeclarationError: It is not an instance of the declared class.
        """
        kind: Any = self.builds
        if is_a(kind, type) and not is_protocol(kind) and not isinstance(value, kind):
            raise DeclarationError(self.path, calling_place(), f"it is declared as a {kind.__name__}, not {value!r}")
        return GivenValue(self, value)

    def describe_result(self) -> Result:
        """Describe the value as validation sees it."""
        return Typed(self.builds)


class Opener(providers.Delegate):
    """Provides a function that opens a scope around one object; the provider behind `Scoped.opener`."""

    def describe_result(self) -> Result:
        """Describe the function as validation sees it."""
        return Uncalled(self.provides, Opening(AbstractContextManager, self.provides), "opener")

    def _provide(self, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        return functools.partial(_opened, self.provides)


class AsyncOpener(providers.Delegate):
    """The same as `Opener`, for async scopes."""

    def describe_result(self) -> Result:
        """Describe the function as validation sees it."""
        return Uncalled(self.provides, Opening(AbstractAsyncContextManager, self.provides), "async_opener")

    def _provide(self, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        return functools.partial(_opened_async, self.provides)


@contextmanager
def _opened(component: Any) -> Generator[Any, None, None]:
    """Open a scope around the object of *component*; an override that belongs to no container has none, and is called."""
    home: Any = component.home if isinstance(component, Component) else None
    if home is None:
        yield component()
        return
    with home.scope() as scope:
        yield scope[component]


@asynccontextmanager
async def _opened_async(component: Any) -> AsyncGenerator[Any, None]:
    """The same as `_opened`, for async scopes."""
    home: Any = component.home if isinstance(component, Component) else None
    if home is None:
        yield component()
        return
    async with home.scope() as scope:
        yield await scope.get(component)
