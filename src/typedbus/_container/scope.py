"""Scopes: the objects of one unit of work, such as a request, which are closed at its end."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Coroutine, Sequence
from logging import ERROR
from time import monotonic
from typing import Any, Final, Never, Protocol, Self, TypeAlias

from typing_extensions import TypeVar

from typedbus._base.failures import CauseReport, chain_failure, traceback_of
from typedbus._base.places import calling_place
from typedbus._base.scope_errors import NotInContainer, ScopeClosed
from typedbus._base.states import State
from typedbus._bus.bus import Bus, parts_of
from typedbus._container.component import Component
from typedbus._container.entering import closing_failure
from typedbus._container.leaving import cancellations, close_async_generator, exit_async_manager
from typedbus._container.scope_plan import compiled
from typedbus._container.scoped import GivenValue, Level

T = TypeVar("T")

#: In Python 3.11 the lookup of the member in its class would take a sixth of the time of an empty scope.
_EXITING: Final = State.EXITING

_KEEPS_PLACES: Final = sys.flags.dev_mode

_AWAITED: Final = frozenset({close_async_generator, exit_async_manager})
_Functions: TypeAlias = dict[Any, Callable[[Any], Any]]
_NO_FUNCTIONS: Final[_Functions] = {}


class ScopeHome(Protocol):
    """A container, as its scopes see it."""

    name: str
    bus: Bus | None
    #: The scopes that are open.
    scopes: set[Scope]
    #: The compiled functions; None if something was forgotten since the last scope was opened.
    plans: Plans | None

    @property
    def whole(self) -> ScopeHome:
        """The outermost container around this one."""
        ...

    def share_plans(self) -> None:
        """Let the containers whose objects the functions may have as constants discard them."""
        ...

    def copies_of(self, declaration: Component[Any], /) -> list[Component[Any]]:
        """Return the counterparts of *declaration* in the container."""
        ...


class Plans:
    """The functions that build the objects of a container's scopes, by declaration and by level of the scope."""

    def __init__(self, home: ScopeHome) -> None:
        self._home = home
        home.share_plans()
        self._copies: dict[Any, Component[Any]] = {}
        #: For each level, the functions of ``scope[...]`` and those of `Scope.get`.
        self.tables: dict[Level, tuple[_Functions, _Functions]] = {level: ({}, {}) for level in Level}

    def copy_of(self, declaration: object) -> Component[Any]:
        """
        Return the counterpart of *declaration* in the container.

        Raises:
            NotInContainer: There is none, or more than one.
        """
        copy = self._copies.get(declaration) if isinstance(declaration, Component) else None
        if copy is not None:
            return copy
        if not isinstance(declaration, Component):
            raise NotInContainer(self._home.name, repr(declaration))
        copies = self._home.copies_of(declaration)
        if len(copies) != 1:
            raise NotInContainer(self._home.name, declaration.path, tuple(copy.path for copy in copies))
        self._copies[declaration] = copies[0]
        return copies[0]

    def add(self, declaration: object, level: Level, *, is_async: bool) -> Callable[[Any], Any]:
        """Compile and store the function that builds the object of *declaration* in a scope of *level*."""
        function = compiled(self.copy_of(declaration), self._home, level, is_async=is_async)
        self.tables[level][is_async][declaration] = function
        return function


class Scope:
    """
    The objects of one unit of work; created by `Container.scope`, and opened by ``with`` or ``async with``.

    ``scope[Shop.orders]`` builds an object when it is first requested, and the objects that it needs;
    ``await scope.get(Shop.orders)`` does the same for async forms. Both also return components, which
    live longer than the scope.

    At the end of the block the objects are closed in reverse order of opening. A failure of the
    block is raised inside each generator, and passed to each context manager; it leaves the block as
    the same object, whatever they do with it. Failures of closing are noted on it and published on
    `LOG`. After a block without a failure, the first failure of closing is passed to the objects
    that are closed after it, as in nested ``with`` blocks, and raised at the end: by itself, or several
    as a group. A time limit or a task group that is an object of the scope may cancel the block itself:
    its failure leaves in place of the cancellation.

    A scope belongs to one unit of work. It may move from thread to thread, but two tasks or threads
    that build in it at the same moment are refused. An object that is still being built when the
    block ends is closed as soon as it is open, and its caller gets `ScopeClosed`.
    """

    # Slots, each set here: Python 3.13 takes a third longer for instances with attributes that have defaults on the class.
    __slots__ = (
        "__weakref__",
        "_awaited",
        "_failure",
        "_given",
        "_home",
        "_level",
        "_opened_at",
        "_place",
        "_plans",
        "_sync",
        "building",
        "exits",
        "is_async",
        "is_open",
        "outer",
        "values",
    )

    _plans: Plans

    def __init__(self, home: ScopeHome, given: Sequence[GivenValue], level: Level, outer: Scope | None = None) -> None:
        self._home = home
        self._given = given
        self._level = level
        self._failure: BaseException | None = None
        self._opened_at = 0.0
        self._place = calling_place(2) if _KEEPS_PLACES else ""
        self._sync = self._awaited = _NO_FUNCTIONS
        # These are for the code that builds objects; see `opening.OpenScope`.
        self.outer: Scope | None = outer
        self.values: dict[Any, Any] = {}
        self.exits: list[tuple[Callable[..., Any], Any, Component[Any]]] = []
        self.building: Component[Any] | None = None
        self.is_async: bool = False
        self.is_open: bool = False

    @property
    def name(self) -> str:
        """The name of the container."""
        return self._home.name

    @property
    def level(self) -> Level:
        """The level: `SESSION`, or `Level.REQUEST`."""
        return self._level

    def __getitem__(self, component: Component[T], /) -> T:
        """
        Return the object of *component* in this scope, built if necessary.

        Args:
            component: A declaration, as an attribute of the container's class or of the instance.

        Raises:
            AsyncNeeded: It is not built yet, and has to be awaited.
            NotGiven: It needs a value that the scope was opened without.
            NotInContainer: The container has no such declaration, or several.
            ScopeBusy: Another task or thread, or a constructor further up the stack, builds in this scope.
            ScopeClosed: The scope is not open.
            Exception: The exception of a constructor or generator, with a note that names the component.
        """
        function = self._sync.get(component)
        if function is None:
            function = self._function(component, is_async=False)
        result: T = function(self)
        return result

    def get(self, component: Component[T], /) -> Coroutine[Any, Any, T]:
        """
        Return the object of *component* in this scope, built if necessary: ``await scope.get(Shop.orders)``.

        Args:
            component: As for ``scope[component]``.

        Raises:
            AsyncNeeded: An async form must be opened, and the scope was not opened with ``async with``.
            Exception: As for ``scope[component]``.
        """
        function = self._awaited.get(component)
        if function is None:
            function = self._function(component, is_async=True)
        coroutine: Coroutine[Any, Any, T] = function(self)
        return coroutine

    def value_of(self, component: Component[Any], /) -> object:
        """Return the object of *component*, which has been built; for providers of dependency-injector."""
        belongs_to_session = component.level is Level.SESSION  # type: ignore[attr-defined]
        holder = self.outer if belongs_to_session and self.outer is not None else self
        return holder.values[component]

    def _function(self, component: Component[T], *, is_async: bool) -> Callable[[Any], Any]:
        if not self.is_open:
            reason = (
                "has ended" if self._opened_at else "is not open; use it in a block: with container.scope() as scope"
            )
            raise ScopeClosed(self.name, reason)
        return self._plans.add(component, self._level, is_async=is_async)

    def scope(self, *given: GivenValue) -> Scope:
        """
        Return a scope for a request inside this session; it shares the objects of the level `SESSION`.

        Args:
            given: Values for the inner scope, as for `Container.scope`.

        Raises:
            ScopeClosed: This scope is not open, or is not of the level `SESSION`.
        """
        if not self.is_open or self._level is not Level.SESSION:
            reason = (
                "is not open"
                if not self.is_open
                else "belongs to a request, which contains no other scope; open the outer scope with level=SESSION"
            )
            raise ScopeClosed(self.name, reason)
        return Scope(self._home, given, Level.REQUEST, self)

    def failed_with(self, error: BaseException) -> None:
        """
        Record that the unit of work has failed, although the block may end without an exception.

        For web frameworks, which turn exceptions into responses before a middleware sees them.
        At the end the first recorded error is passed to the objects as a failure of the block would
        be; the scope does not raise it.
        """
        if self._failure is None:
            self._failure = error

    @property
    def age(self) -> float:
        """How many seconds ago the scope was opened."""
        return monotonic() - self._opened_at

    @property
    def place(self) -> str:
        """File and line of the code that created the scope; recorded in Python's development mode, otherwise ""."""
        return self._place

    def __enter__(self) -> Self:
        """Open the scope; nothing is built."""
        home = self._home
        bus = home.bus
        if bus is None:  # a nested container has the bus of the outermost one
            bus = home.whole.bus
        if self._opened_at or (bus is not None and parts_of(bus).machine.state is _EXITING):
            self._refuse()
        plans = home.plans
        if plans is None:
            plans = home.plans = Plans(home)
        self._plans = plans
        if self._given:
            self._take_given(plans)
        table = plans.tables.get(self._level)
        if table is None:
            raise ScopeClosed(self.name, f"cannot have the level {self._level!r}; give SESSION or Level.REQUEST")
        self._sync, self._awaited = table
        self._opened_at = monotonic()
        self.is_open = True
        home.scopes.add(self)
        return self

    async def __aenter__(self) -> Self:
        """Open the scope; nothing is built."""
        self.__enter__()
        self.is_async = True
        return self

    def _take_given(self, plans: Plans) -> None:
        arguments: Sequence[object] = self._given
        for argument in arguments:
            if not isinstance(argument, GivenValue):
                reason = (
                    f"cannot be opened with {argument!r}; pass a value of a Given declaration: Shop.user.given(value)"
                )
                raise ScopeClosed(self.name, reason)
            declaration = plans.copy_of(argument.component)
            if declaration in self.values:
                raise ScopeClosed(self.name, f"cannot be opened with two values of {declaration.path}; pass one")
            self.values[declaration] = argument.value

    def _refuse(self) -> Never:
        reason = (
            "was opened before; create a new one for each block"
            if self._opened_at
            else "cannot be opened, because the bus is EXITING"
        )
        raise ScopeClosed(self.name, reason)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None, /
    ) -> None:
        """Close the objects in reverse order; see the class."""
        exits = self._end()
        if not exits:
            return
        passed = self._failure if error is None else error
        pending = 0 if error is None else cancellations(error)
        failures: list[BaseException] = []
        for close, opened, component in reversed(exits):
            failure = close(opened, passed)
            if failure is not None:
                failures.append(_named(failure, component))
                passed = failures[0] if passed is None else passed
        if failures:
            self._settle(error, failures, pending)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None, /
    ) -> None:
        """Close the objects in reverse order; see the class."""
        # As in `__exit__`; code that both would call could not await the closing of an object.
        exits = self._end()
        if not exits:
            return
        passed = self._failure if error is None else error
        pending = 0 if error is None else cancellations(error)
        failures: list[BaseException] = []
        for close, opened, component in reversed(exits):
            failure = close(opened, passed)
            if close in _AWAITED:
                failure = await failure
            if failure is not None:
                failures.append(_named(failure, component))
                passed = failures[0] if passed is None else passed
        if failures:
            self._settle(error, failures, pending)

    def _end(self) -> list[tuple[Callable[..., Any], Any, Component[Any]]]:
        """End the scope, and return the objects to be closed; a task that still refers to the scope keeps none of them."""
        exits = self.exits
        self.is_open = False
        self._sync = self._awaited = _NO_FUNCTIONS
        self.values, self.exits = {}, []
        self._home.scopes.discard(self)
        return exits

    def _settle(self, error: BaseException | None, failures: list[BaseException], pending: int) -> None:
        """
        Report the *failures* of closing, or raise them.

        Args:
            error: The failure of the block, which the caller raises; None if there was none.
            failures: At least one.
            pending: How many cancellations of the task were pending before the closing, if *error* is one of them.
        """
        if error is not None and cancellations(error) < pending:
            # A time limit or a task group had cancelled the block. It has withdrawn that, and its own failure counts.
            error = None
        # The failure of the unit of work, on which the failures of closing are noted.
        primary = error if error is not None else self._failure
        # `KeyboardInterrupt` or `CancelledError`, for example, is raised in place of an ordinary exception.
        interrupt = next((failure for failure in failures if not isinstance(failure, Exception)), None)
        if interrupt is not None and (primary is None or isinstance(primary, Exception)):
            for other in (primary, *failures):
                if other is not None and other is not interrupt:
                    chain_failure(interrupt, other)
            raise interrupt
        if primary is None:
            if len(failures) == 1:
                raise failures[0]
            raise BaseExceptionGroup(f"objects of the scope of {self.name} were not closed", failures)
        for failure in failures:
            text = f"after {type(primary).__name__}: {primary}, a scope of {self.name} failed to close an object"
            primary.add_note(f"{text}: {type(failure).__name__}: {failure}")
            bus = self._home.whole.bus
            if bus is not None:
                parts_of(bus).registry.log(CauseReport(f"{text}:\n{traceback_of(failure)}"), ERROR)

    def __repr__(self) -> str:
        state = "open" if self.is_open else "ended" if self._opened_at else "new"
        return f"<Scope of {self.name}, {self._level.name}, {state}>"


def _named(failure: BaseException, component: Component[Any]) -> BaseException:
    """Return *failure*, of closing the object of *component*, with a note that names it; a second yield is a `ResourceError`."""
    named = closing_failure(failure, component)
    if named is failure:
        failure.add_note(f"raised while {component.path} was closed ({component.place})")
    return named
