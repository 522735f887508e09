"""Resources: components that are opened when the bus starts, and closed when it stops."""

from __future__ import annotations

import time
import types
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, ClassVar, Final, ParamSpec, Self, overload

from typing_extensions import TypeVar

from typedbus._base.errors import DeclarationError, NotOpen, OutsideContainer
from typedbus._base.failures import describe
from typedbus._base.places import calling_place
from typedbus._base.scope_errors import ResourceError
from typedbus._base.static import full_name_of
from typedbus._bus.builtin import EXIT, START, STOP
from typedbus._channels.channel import AnyChannel
from typedbus._container.component import Component
from typedbus._container.construction import Entered, check_callable
from typedbus._container.forms import Form, described_form, form_of, iterates, not_closing, transaction_in
from typedbus._container.results import Opened, Result

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


_PLAIN: Final = (
    "it is neither a context manager nor a generator; declare a Component, with closed_by(...) if it must be closed"
)

#: The remedy for a connection that its ``with`` statement does not close.
NOT_CLOSED: Final = "declare a Component, with closed_by(...) and the method that closes it"


class Resource(Component[T_co]):
    """
    The declaration of a component that is opened when the bus starts, and closed when it stops.

    ``client = Resource(httpx.Client, base_url="https://example.org")``: *builds* returns a context manager or is a
    generator function, sync or async, or is an async function. The component is the object that the context manager
    returns, that the generator yields, or that the async function returns.

    It is opened by a listener of `START`, after everything that it needs has started and before anything that needs
    it is built, and closed by a listener of `STOP`, in the reverse order. A component that needs it, directly or
    through others, is built during the start as well, right before its own hook of `START`, and again at each
    start. Limits, failures and the rollback are those of hooks. No exception is passed to a context manager or
    a generator when it is closed, and one that suppresses exceptions has no effect.

    Methods named `start`, `stop` and `exit` are not hooks: many context managers call them themselves. Marks, the methods for
    other channels, and `on` are the same as for every component.

    A sync resource is opened and closed in threads that call hooks, not always in the same one. An async resource is
    opened and closed in one task, on the event loop of the bus.

    An async function only opens: the function that closes the object is declared by `closed_by`. It is
    called when the bus stops, after the other hooks of the component.

    Args:
        builds: A class or a function.
        args: Its positional arguments.
        kwargs: Its keyword arguments.

    Raises:
        DeclarationError: *builds* cannot be called, or does not return an object that can be opened.
    """

    unnamed: ClassVar[tuple[AnyChannel, ...]] = (START, STOP, EXIT)

    # Async before sync: aiohttp.ClientSession has a sync `__enter__` that raises. Managers before iterators: a file is both.
    @overload
    def __init__(
        self: Resource[T],
        builds: Callable[P, AbstractAsyncContextManager[T, bool | None]],
        /,
        *_args: P.args,
        **_kwargs: P.kwargs,
    ) -> None: ...
    @overload
    def __init__(
        self: Resource[T],
        builds: Callable[P, AbstractContextManager[T, bool | None]],
        /,
        *_args: P.args,
        **_kwargs: P.kwargs,
    ) -> None: ...
    @overload
    def __init__(
        self: Resource[T], builds: Callable[P, Iterator[T]], /, *_args: P.args, **_kwargs: P.kwargs
    ) -> None: ...
    @overload
    def __init__(
        self: Resource[T], builds: Callable[P, AsyncIterator[T]], /, *_args: P.args, **_kwargs: P.kwargs
    ) -> None: ...
    @overload
    def __init__(
        self: Resource[T], builds: Callable[P, Coroutine[Any, Any, T]], /, *_args: P.args, **_kwargs: P.kwargs
    ) -> None: ...
    def __init__(self, builds: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        place = calling_place()
        check_callable(builds, place)
        if problem := _problem_of(builds):
            raise DeclarationError(describe(builds), place, problem)
        super().__init__(builds, *args, **kwargs)
        self.place = place

    @property
    def form(self) -> Form:
        """How the object is opened and closed."""
        return form_of(self.builds)

    def describe_result(self) -> Result:
        """Describe the opened object as validation sees it."""
        return Opened(self.builds)

    def closed_by(self, function: Callable[[T_co], object], /) -> Self:
        """
        Call *function* with the object when the bus stops, if an async function opens it: ``Resource(connect).closed_by(Pool.close)``.

        Returns:
            The component itself.

        Raises:
            DeclarationError: The resource closes itself, or as in `Component.closed_by`.
        """
        if self.form not in (Form.COROUTINE, Form.UNKNOWN):
            reason = f"{described_form(self.builds)} closes its object itself; remove closed_by(...)"
            raise DeclarationError(self.path, self.place, reason)
        return super().closed_by(function)

    def before_construction(self) -> None:
        """Refuse a call: only the start opens a resource."""
        raise NotOpen(self.path, self.place)

    def make(self) -> object:
        """
        Call the declared class or function, and return its result, which has not been opened.

        Called at each start, in its turn.

        Raises:
            Exception: As `Component.__call__`.
        """
        if self.home is None:
            raise OutsideContainer(self.path, self.place, self.is_in_library)
        began = time.monotonic()
        try:
            with Entered(self, self.path, self.place, self.path):
                args, kwargs = self._injected()
                self.home.constructing(self)
                result = self.builds(*args, **kwargs)
                self.home.constructed(self, result, time.monotonic() - began)
        except Exception as error:
            error.add_note(f"raised while {self.path} was built ({self.place})")
            raise
        return result

    def check_result(self, result: object, form: Form) -> None:
        """
        Check that *result*, the result of the declared callable, can be opened and closed.

        Raises:
            ResourceError: It cannot.
        """
        name = full_name_of(type(result))
        connection = transaction_in(type(result))
        if form is Form.PLAIN:
            reason = f"a {name} cannot be opened: {_PLAIN}"
        elif connection is not None:
            reason = f"{not_closing(connection)}; {NOT_CLOSED}"
        elif form is Form.COROUTINE and self.closing is None:
            reason = "it is async and only opens: add closed_by(...), with the function that closes its object"
        elif form is not Form.COROUTINE and self.closing is not None:
            reason = f"a {name} closes its object itself; remove closed_by(...)"
        else:
            return
        if isinstance(result, types.CoroutineType):
            result.close()
        raise self.error(reason)

    def note_opening(self, error: Exception) -> None:
        """Add a note to *error*, which was raised while the object was opened, unless it names the place already."""
        names_place = any(self.place in note for note in getattr(error, "__notes__", ()))
        if not names_place and not isinstance(error, ResourceError):
            error.add_note(f"raised while {self.path} was opened ({self.place})")

    def error(self, reason: str) -> ResourceError:
        """Return the error for *reason*."""
        return ResourceError(self.path, self.place, reason)

    def hold(self, instance: object) -> None:
        """Provide *instance*, the opened object, until `forget`."""
        for name, value in self._injected_attributes().items():
            setattr(instance, name, value)
        self._instance = instance


def _problem_of(builds: Callable[..., object]) -> str:
    """Return why *builds* cannot be declared as a resource; "" if it can, or if only its result will show that."""
    if iterates(builds):
        return "it returns an iterator, and is not a generator function; write one that yields the object once"
    if form_of(builds) is Form.PLAIN:
        return f"its result cannot be opened: {_PLAIN}"
    return ""
