"""The contenders of the scopes: by hand, typedbus, and the containers of other libraries, sync and async."""

from __future__ import annotations

import importlib.metadata
import itertools
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import attrs

from scope_parts import Engine, Repository, Service, Session, open_session, open_session_async

BY_HAND = "by hand, `with`"

_numbers = itertools.count()


@attrs.frozen
class Contender:
    """
    One way to open a scope, resolve the service in it, and close the scope.

    Attributes:
        name: Its name in the tables.
        scope: The statement that opens and closes a scope; ``{body}`` is the place of the body.
        service: The expression that resolves the service in the body.
        engine: The engine of all its sessions.
        names: The names that `scope` and `service` use.
        package: The distribution, None for code by hand.
        opens_empty: Whether a scope can be opened without the session.
    """

    name: str
    scope: str
    service: str
    engine: Engine
    names: dict[str, Any]
    package: str | None = None
    opens_empty: bool = True

    @property
    def is_async(self) -> bool:
        """Whether the scope is async."""
        return "async with" in self.scope or "await" in self.scope

    @property
    def version(self) -> str:
        """The version of the distribution."""
        return importlib.metadata.version(self.package) if self.package else "-"


def by_hand(*, is_async: bool) -> Contender:
    """Return a ``with`` statement on the session."""
    engine = Engine()
    opened: Any = asynccontextmanager(open_session_async) if is_async else contextmanager(open_session)
    return Contender(
        name=BY_HAND,
        scope=f"{'async ' * is_async}with opened(engine) as session: {{body}}",
        service="Service(Repository(session))",
        engine=engine,
        names={"opened": opened, "engine": engine, "Service": Service, "Repository": Repository},
        opens_empty=False,
    )


def exit_stack(*, is_async: bool) -> Contender:
    """Return an exit stack that the session is entered in."""
    engine = Engine()
    opened: Any = asynccontextmanager(open_session_async) if is_async else contextmanager(open_session)
    enter = "await stack.enter_async_context" if is_async else "stack.enter_context"
    stack: Any = AsyncExitStack if is_async else ExitStack
    return Contender(
        name="by hand, exit stack",
        scope=f"{'async ' * is_async}with {stack.__name__}() as stack: {{body}}",
        service=f"Service(Repository({enter}(opened(engine))))",
        engine=engine,
        names={
            "opened": opened,
            "engine": engine,
            "Service": Service,
            "Repository": Repository,
            stack.__name__: stack,
        },
    )


def typedbus(*, is_async: bool) -> Contender:
    """Return a scope of typedbus."""
    from typedbus import Bus, Component, Container, Scoped

    engine = Engine()

    class Shop(Container):
        bus = Component(Bus)
        engine = Component(lambda: engine)
        session = Scoped(open_session_async if is_async else open_session, engine.provided)
        repository = Scoped(Repository, session.provided)
        service = Scoped(Service, repository.provided)

    shop = Shop()
    shop.bus().start()
    return Contender(
        name="typedbus",
        scope=f"{'async ' * is_async}with shop.scope() as scope: {{body}}",
        service="await scope.get(Shop.service)" if is_async else "scope[Shop.service]",
        engine=engine,
        names={"shop": shop, "Shop": Shop},
        package="typedbus",
    )


def wireup(*, is_async: bool) -> Contender:
    """Return a scope of wireup."""
    from wireup import create_async_container, create_sync_container, injectable

    engine = Engine()

    def engine_of_all() -> Engine:
        return engine

    open_in_scope: Any = open_session_async if is_async else open_session
    create: Any = create_async_container if is_async else create_sync_container
    container = create(
        injectables=[
            injectable(engine_of_all),
            *[injectable(make, lifetime="scoped") for make in (open_in_scope, Repository, Service)],
        ]
    )
    return Contender(
        name="wireup",
        scope=f"{'async ' * is_async}with container.enter_scope() as scope: {{body}}",
        service=f"{'await ' * is_async}scope.get(Service)",
        engine=engine,
        names={"container": container, "Service": Service},
        package="wireup",
    )


def dishka(*, is_async: bool) -> Contender:
    """Return a request scope of dishka."""
    from dishka import Provider, Scope, make_async_container, make_container

    engine = Engine()
    provider = Provider(scope=Scope.REQUEST)
    provider.provide(lambda: engine, provides=Engine, scope=Scope.APP)
    provider.provide(open_session_async if is_async else open_session)
    provider.provide(Repository)
    provider.provide(Service)
    make: Any = make_async_container if is_async else make_container
    return Contender(
        name="dishka",
        scope=f"{'async ' * is_async}with container() as scope: {{body}}",
        service=f"{'await ' * is_async}scope.get(Service)",
        engine=engine,
        names={"container": make(provider), "Service": Service},
        package="dishka",
    )


def svcs(*, is_async: bool) -> Contender:
    """Return a container of svcs."""
    from svcs import Container, Registry

    engine = Engine()
    registry = Registry()
    registry.register_value(Engine, engine)
    opened: Any = asynccontextmanager(open_session_async) if is_async else contextmanager(open_session)
    registry.register_factory(Session, lambda svcs_container: opened(svcs_container.get(Engine)))
    if is_async:

        async def repository_async(svcs_container: Container) -> Repository:
            return Repository(await svcs_container.aget(Session))

        async def service_async(svcs_container: Container) -> Service:
            return Service(await svcs_container.aget(Repository))

        registry.register_factory(Repository, repository_async)
        registry.register_factory(Service, service_async)
    else:
        registry.register_factory(Repository, lambda svcs_container: Repository(svcs_container.get(Session)))
        registry.register_factory(Service, lambda svcs_container: Service(svcs_container.get(Repository)))
    return Contender(
        name="svcs",
        scope=f"{'async ' * is_async}with Container(registry) as scope: {{body}}",
        service="await scope.aget(Service)" if is_async else "scope.get(Service)",
        engine=engine,
        names={"Container": Container, "registry": registry, "Service": Service},
        package="svcs",
    )


def that_depends(*, is_async: bool) -> Contender:
    """Return a context of that-depends."""
    from that_depends import BaseContainer, ContextScopes, providers

    on_engine = Engine()

    class Shop(BaseContainer):
        alias = f"shop {next(_numbers)}"  # the name of another container is a warning
        default_scope = ContextScopes.ANY
        engine = providers.Singleton(lambda: on_engine)
        session = providers.ContextResource(open_session_async if is_async else open_session, engine.cast)
        repository = providers.Factory(Repository, session.cast)
        service = providers.Factory(Service, repository.cast)

    return Contender(
        name="that-depends",
        scope="async with Shop.context_async(): {body}" if is_async else "with Shop.context_sync(): {body}",
        service="await Shop.service.resolve()" if is_async else "Shop.service.resolve_sync()",
        engine=on_engine,
        names={"Shop": Shop},
        package="that-depends",
    )


def dependency_injector(*, is_async: bool) -> Contender:
    """Return a resource of dependency-injector that is shut down after the body."""
    from dependency_injector import containers, providers

    on_engine = Engine()
    open_in_context: Any = open_session_async if is_async else open_session

    class Shop(containers.DeclarativeContainer):
        engine = providers.Singleton(lambda: on_engine)
        session = providers.ContextLocalResource(open_in_context, engine)
        repository = providers.Factory(Repository, session)
        service = providers.Factory(Service, repository)

    return Contender(
        name="dependency-injector",
        scope=f"try: {{body}}\nfinally: {'await ' * is_async}shop.session.shutdown()",
        service=f"{'await ' * is_async}shop.service()",
        engine=on_engine,
        names={"shop": Shop()},
        package="dependency-injector",
        opens_empty=False,
    )


ALL = (by_hand, exit_stack, typedbus, wireup, dishka, svcs, that_depends, dependency_injector)


def makes(*, is_async: bool) -> list[Callable[[], Contender]]:
    """Return a function for each contender, which makes it with an engine and a container of its own."""
    return [partial(make, is_async=is_async) for make in ALL]
