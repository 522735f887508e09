"""Components as providers of dependency-injector, and the methods that containers share with it."""

from typing import Any, assert_type

from dependency_injector import containers, providers
from dependency_injector.wiring import Provide, inject

from typedbus import Component, Container, provided


class Database:
    """Something to be needed."""

    def __init__(self, url: str, size: int = 1) -> None: ...


class Repo:
    """Needs it."""

    def __init__(self, database: Database) -> None: ...


class Shop(Container):
    """Hands components to the library's providers."""

    config = providers.Configuration()
    database = Component(Database, provided(config.url.as_(str)), provided(config.size.as_int()))
    other = Component(Database, "other")
    selector = providers.Selector(config.kind, a=database, b=other)
    aggregate = providers.Aggregate(a=database, b=other)
    factory = providers.Factory(Repo, database)
    a_list = providers.List(database, other)
    a_dict = providers.Dict(a=database)
    repo = Component(Repo, database.provided).add_attributes(other=other.provided)


@inject
def view(repo: Repo = Provide[Shop.repo], url: Any = Provide[Shop.repo.provided]) -> None:
    """Take what is wired."""


shop = Shop(database=providers.Object(1))
with shop.database.override(shop.other):
    pass
with shop.override_providers(database=1) as overridden:
    assert_type(overridden, Shop)
with shop.reset_singletons() as again:
    assert_type(again, Shop)
shop.reset_override()
shop.reset_last_overriding()
shop.init_resources()
shop.shutdown_resources()
shop.check_dependencies()
shop.wire(modules=[__name__])
shop.unwire()
shop.database.set_args("url").add_kwargs(size=2)
assert_type(shop.database(), Database)
assert_type(shop.database.provided, Database)


class Old(containers.DeclarativeContainer):
    """A container of the library."""

    database = providers.Singleton(Database, "old")
    repo = providers.Singleton(Repo, database)


class New(Container):
    """Uses the old one in three ways."""

    database = Component(Database, "new")
    given = providers.Dependency(instance_of=Repo)
    shared = Old()
    old = providers.Container(Old, database=database)
    first = Component(list[Repo], [provided(given), provided(shared.repo)])
    second = Component(list[Repo], [provided(old.container.repo)])


assert_type(New(given=Old().repo).old(), Old)
