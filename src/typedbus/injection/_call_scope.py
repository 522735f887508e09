"""The scope around one call of an injected function."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import Token
from types import TracebackType
from typing import Any

from typedbus._container.component import Component
from typedbus._container.scope import Scope
from typedbus._container.scoped import Level, OfScope
from typedbus.injection._current import CURRENT, Current, container_with, current_with


class CallScope:
    """
    The scope for one call of an injected function: the current scope, or a scope that lasts as long as the call.

    If the current scope is that of a session, and a component belongs to requests, the call has a scope inside it.

    Args:
        components: The components that the function receives; the first determines the container.
        function: The name of the function.
        is_current: Whether the scope is the current one during the call.

    Raises:
        NoRunningContainer: There is no current scope, and not exactly one container that runs.
    """

    __slots__ = ("_components", "_function", "_is_current", "_own", "_token", "_watched")

    def __init__(self, components: Sequence[Component[Any]], function: str, *, is_current: bool) -> None:
        self._components = components
        self._function = function
        self._is_current = is_current
        #: The scope that lasts as long as the call.
        self._own: Scope | None = None
        #: The current scope, if the failure of the call is the failure of that scope.
        self._watched: Scope | None = None
        self._token: Token[Current | None] | None = None

    @property
    def is_own(self) -> bool:
        """Whether the scope is closed at the end of the call."""
        return self._own is not None

    def __enter__(self) -> Scope:
        current = self._choose()
        if self._own is not None:
            self._own.__enter__()
        return self._begin(current)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._end(error)
        if self._own is not None:
            self._own.__exit__(kind, error, trace)

    async def __aenter__(self) -> Scope:
        current = self._choose()
        if self._own is not None:
            await self._own.__aenter__()
        return self._begin(current)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._end(error)
        if self._own is not None:
            await self._own.__aexit__(kind, error, trace)

    def _choose(self) -> Current:
        """
        Return the scope of the call, which is not open yet if it is new.

        A new scope is stored in `_own`. A current scope that no injected function around this call watches is stored
        in `_watched`.
        """
        current = current_with(self._components[0])
        if current is None:
            container = container_with(self._components[0], self._function)
            self._own = container.scope()
            return Current(self._own, container, CURRENT.get(), is_watched=True)
        if current.scope.level is Level.SESSION and any(map(_is_of_requests, self._components)):
            self._own = current.scope.scope()
            return Current(self._own, current.container, CURRENT.get(), is_watched=True)
        if current.is_watched:
            # The function around this call may handle the exception.
            return current
        self._watched = current.scope
        return Current(current.scope, current.container, CURRENT.get(), is_watched=True)

    def _begin(self, current: Current) -> Scope:
        if self._is_current:
            self._token = CURRENT.set(current)
        return current.scope

    def _end(self, error: BaseException | None) -> None:
        if self._token is not None:
            CURRENT.reset(self._token)
        if self._watched is not None and error is not None:
            self._watched.failed_with(error)


def _is_of_requests(component: Component[Any]) -> bool:
    return isinstance(component, OfScope) and component.level is Level.REQUEST
