"""The fixture that opens scopes for a test, and rolls them back."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Generator
from typing import TYPE_CHECKING

from typedbus._base.errors import NoContainer
from typedbus._base.failures import describe

if TYPE_CHECKING:
    from typedbus._container.container import Container
    from typedbus._container.scope import Scope
    from typedbus._container.scoped import GivenValue


class EndOfTest(Exception):
    """
    Passed to the objects of a test's scope as the failure of the scope, so that they roll back.

    Raised after the test, with a note for each failure, if an object of the scope failed to roll back.
    """

    def __str__(self) -> str:
        return "the test is over, and its scope is rolled back"


class ScopeFixture:
    """
    Opens scopes for one test: the value of the fixture `typedbus_scope`.

    ``scope = typedbus_scope(shop, Shop.user.given(ada))``. A scope is rolled back after the test,
    whether the test passed or failed: its objects are closed in reverse order, each with the failure `EndOfTest`.
    A test of the commit writes ``with shop.scope() as scope:`` instead.
    """

    def __init__(self, enter: Callable[[contextlib.AbstractContextManager[Scope]], Scope]) -> None:
        self._enter = enter

    def __call__(self, container: Container, /, *given: GivenValue) -> Scope:
        """
        Return a scope of *container*, open until the end of the test.

        It ends before a container that `typedbus_running` has started earlier exits, and before an override that
        `typedbus_running.enter` has entered earlier ends.

        Args:
            container: The container; it need not run.
            given: The values of `Given` declarations.

        Raises:
            NoContainer: It is not a container, but for instance its class.
            NotInContainer: The container does not declare a value.
            ScopeClosed: The bus is EXITING.
        """
        return self._enter(_rolled_back(_scope_of(container, given)))

    @contextlib.asynccontextmanager
    async def on_loop(self, container: Container, /, *given: GivenValue) -> AsyncGenerator[Scope, None]:
        """
        Open a scope of *container* for an ``async with`` block, and roll it back at its end: for async forms.

        ``async with typedbus_scope.on_loop(shop) as scope: await scope.get(Shop.orders)``. Arguments and
        errors are those of ``typedbus_scope(...)``. A failure of the block is passed to the objects itself.
        """
        __tracebackhide__ = True
        end = EndOfTest()
        async with _scope_of(container, given) as scope:
            yield scope
            scope.failed_with(end)
        _raise_if_noted(end)


def _scope_of(container: object, given: tuple[GivenValue, ...]) -> Scope:
    from typedbus._container.attachment import container_of

    __tracebackhide__ = True
    if isinstance(container, type):
        reason = (
            f"{describe(container)} is a class; give the container itself, as in typedbus_scope(typedbus_running(Shop))"
        )
        raise NoContainer(container, reason)
    return container_of(container).scope(*given)


@contextlib.contextmanager
def _rolled_back(scope: Scope) -> Generator[Scope, None, None]:
    __tracebackhide__ = True
    end = EndOfTest()
    with scope:
        yield scope
        scope.failed_with(end)
    _raise_if_noted(end)


def _raise_if_noted(end: EndOfTest) -> None:
    """Raise *end* if the scope has noted failures of its objects on it."""
    __tracebackhide__ = True
    if hasattr(end, "__notes__"):
        raise end


for _class in (EndOfTest, ScopeFixture):
    _class.__module__ = "typedbus.pytest_plugin"
