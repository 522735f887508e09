"""Errors of dependency-injector that remain errors for components; a marked line is an error for both checkers."""

from dependency_injector import containers, providers

from typedbus import Component, Container, provided


class Database:
    """Something to be needed."""


class Repo:
    """Needs it."""

    def __init__(self, database: Database) -> None: ...


class Shop(Container):
    """Is wrong."""

    database = Component(Database)
    bare = Component(Repo, database)  # E
    wrong = Component(Repo, bare.provided)  # E


shop = Shop()
shop.databse  # E
shop.database.nosuch  # E
shop.database(1)  # E
shop.override_provider(database=1)  # E
of_other: Component[Repo] = shop.database  # E


class Old(containers.DeclarativeContainer):
    """A container of the library."""

    repo = providers.Singleton(Repo, Database())


class New(Container):
    """Gives the wrong objects of the old one."""

    given = providers.Dependency(instance_of=Repo)
    shared = Old()
    by_dependency = Component(Repo, provided(given))  # E
    by_attribute = Component(Repo, provided(shared.repo))  # E
    nested = providers.Container(Old)
    by_nesting = Component(Repo, provided(nested.container.repo))  # E
