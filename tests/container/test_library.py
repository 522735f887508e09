"""The methods of dependency-injector's containers and providers, called on a container and on components."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dependency_injector import containers, providers

from typedbus import (
    Bus,
    Component,
    Container,
    DeclarationError,
    InvalidContainer,
    OverrideError,
    ResetError,
    provided,
    running,
)
from typedbus.faults import ArgumentFault, HookFault, OverrideFault
from typedbus.graph import Graph

# The library's types know less than it does.
library: Any = providers
theirs: Any = containers


class Database:
    """Something to be needed."""

    url = "unset"

    def __init__(self, url: str = "memory://") -> None:
        self.url = url


class Repo:
    """Needs it."""

    def __init__(self, database: Database) -> None:
        self.database = database


class Service:
    """Needs that."""

    def __init__(self, repo: Repo) -> None:
        self.repo = repo


class Worker:
    """Is started."""

    def __init__(self, database: Database | None = None) -> None:
        self.database = database
        self.starts = 0

    def start(self) -> None:
        """Count."""
        self.starts += 1


class Shop(Container):
    """Three in a row."""

    bus = Component(Bus)
    database = Component(Database)
    repo = Component(Repo, database.provided)
    service = Component(Service, repo.provided)
    limit: Any = library.Object(1)


class TestOverridesOfAComponent:
    """`component.override(...)`, as tests that come from dependency-injector have it."""

    def test_each_with_block_gives_its_own_replacement_to_users(self) -> None:
        """Users that were built with one are forgotten at the end of its block."""
        shop = Shop()
        given = []
        for fake in (Database("first"), Database("second")):
            with shop.database.override(fake):
                given.append(shop.service().repo.database is fake)

        assert given == [True, True]
        assert shop.service().repo.database.url == "memory://"

    @pytest.mark.parametrize("built", ["database", "repo", "service"])
    def test_an_override_of_what_is_built_is_an_error(self, built: str) -> None:
        """As with `by`: users would keep what they have."""
        shop = Shop()
        getattr(shop, built)()

        with pytest.raises(OverrideError, match="is built already; override before that"):
            shop.database.override(Database())
        assert shop.service().repo.database is shop.database()

    def test_override_providers_is_an_error_too_and_overrides_nothing(self) -> None:
        """Not even what comes before the one that is built."""
        shop = Shop()
        shop.repo()

        with pytest.raises(OverrideError, match=r"Shop\.repo is built already"):
            shop.override_providers(limit=2, repo=Repo(Database()))
        assert shop.limit() == 1

    def test_a_provider_takes_the_place_of_a_component(self) -> None:
        """A factory makes another each time, and a stand-in in its arguments is injected."""
        shop = Shop()
        with shop.repo.override(providers.Factory(Repo, shop.database.provided)):
            assert shop.repo() is not shop.repo()
            assert shop.repo().database is shop.database()

    def test_a_component_without_a_container_takes_the_place_of_another(self) -> None:
        """It is built in the container of the one that it stands in for."""
        shop = Shop()
        with shop.database.override(Component(Database, "stand-in")):
            assert shop.database().url == "stand-in"
            assert shop.repo().database is shop.database()

    def test_a_component_of_the_same_container_takes_the_place_of_another(self) -> None:
        """And stays the one that it is."""

        class Sub(Shop):
            replica = Component(Database, "replica")

        sub = Sub()
        with sub.database.override(sub.replica):
            assert sub.repo().database is sub.replica()

    def test_reset_override_forgets_what_was_built_with_the_replacement(self) -> None:
        """And leaves nothing of it behind."""
        shop = Shop()
        shop.database.override(Database("first"))
        shop.database.override(Database("second"))
        seen = [shop.repo().database.url]
        shop.database.reset_last_overriding()
        seen.append(shop.repo().database.url)
        shop.reset_override()
        seen.append(shop.repo().database.url)

        assert seen == ["second", "first", "memory://"]

    @pytest.mark.parametrize("reset", ["reset_override", "reset_last_overriding", "reset_singletons"])
    def test_nothing_is_reset_while_the_container_runs(self, reset: str) -> None:
        """Neither the whole container nor one component; after the exit, both."""

        class Running(Shop):
            worker = Component(Worker, Shop.database.provided)

        shop = Running()
        shop.database.override(fake := Database("fake"))
        with running(shop):
            worker = shop.worker()
            with pytest.raises(ResetError, match="cannot reset Running: its container runs"):
                getattr(shop, reset)()
            with pytest.raises(ResetError, match=r"cannot reset Running\.database"):
                getattr(shop.database, "reset" if reset == "reset_singletons" else reset)()
            assert shop.worker() is worker
            assert shop.worker().database is fake
        getattr(shop, reset)()

        assert shop.worker() is not worker

    def test_a_container_that_shares_a_bus_keeps_it_over_a_reset(self) -> None:
        """The bus of the other container is no override of the user's."""
        first, guest = Shop(), Shop()
        bus = first.attach()
        guest.attach(bus)
        guest.reset_override()

        assert guest.bus() is bus

    def test_an_override_of_the_library_is_validated_again(self) -> None:
        """Whether one looked before or not."""
        shop = Shop()
        shop.validate()
        wrong: Any = Worker()
        with shop.database.override(wrong):
            with pytest.raises(InvalidContainer) as invalid:
                shop.validate()
        shop.validate()

        assert isinstance(invalid.value.exceptions[0], OverrideFault)


class TestWhatIsOverridden:
    """Which overrides work, and what the error says to write where one does not."""

    def test_a_container_takes_overrides_when_it_is_made(self) -> None:
        """Providers and objects, of components and of the library's providers."""
        shop = Shop(database=Database("given"), limit=providers.Object(7))

        assert shop.repo().database.url == "given"
        assert shop.limit() == 7

    def test_an_unknown_name_is_an_error_that_lists_the_names(self) -> None:
        """A typo overrides nothing."""
        with pytest.raises(OverrideError, match=r"Shop\.databse .*declared are bus, database, repo"):
            Shop(databse=Database())

    def test_a_nested_container_is_overridden_by_its_own_method(self) -> None:
        """The error says how."""

        class Outer(Container):
            shop = Shop()

        outer = Outer()
        with pytest.raises(OverrideError, match=r"shop\.override_providers\(\.\.\.\)"):
            outer.override_providers(shop=Shop())
        with outer.shop.override_providers(database=Database("fake")):
            assert outer.shop.repo().database.url == "fake"
        assert outer.shop.repo().database.url == "memory://"

    @pytest.mark.parametrize(
        ("given", "way_out"),
        [
            (Shop.limit, r"with shop\.repo\.override\(fake\)"),
            (theirs.DynamicContainer(), r"override_providers\(database=other\.database\)"),
            (Shop, r"override_providers\(database=other\.database\)"),
            (42, r"shop\.override\(Shop\.database\)\.by\(fake\)"),
        ],
    )
    def test_override_takes_components_and_says_what_to_write_for_anything_else(self, given: Any, way_out: str) -> None:
        """For a provider of the library, and for a container."""
        with pytest.raises(OverrideError, match=way_out):
            Shop().override(given)

    def test_the_library_s_decorators_say_to_inherit(self) -> None:
        """They would change a class that others use."""
        other: Any = type("Other", (theirs.DeclarativeContainer,), {"database": providers.Object(1)})

        with pytest.raises(DeclarationError, match="inherit from it instead"):
            theirs.override(Shop)(other)
        with pytest.raises(AttributeError, match="inherit from it instead"):
            theirs.override(other)(Shop)
        with pytest.raises(AttributeError, match="inherit from it instead"):
            theirs.copy(Shop)(type("Sub", (Container,), {}))

    def test_override_can_be_called_by_way_of_the_class(self) -> None:
        """With the instance as the first argument."""
        shop = Shop()
        with Container.override(shop, Shop.database).by(Database("fake")):
            assert shop.database().url == "fake"

    def test_provider_type_restricts_what_a_container_declares(self) -> None:
        """As in the library; subclasses inherit it."""

        class Typed(Container):
            provider_type = providers.Singleton
            database = Component(Database)

        with pytest.raises(DeclarationError, match=r"Sub\.other .*by its provider_type"):
            type("Sub", (Typed,), {"other": providers.Factory(Database)})


class TestArguments:
    """What a component is built from may be changed until it is built."""

    def test_attributes_are_set_before_users_get_the_component(self) -> None:
        """A stand-in is injected like an argument."""

        class Sub(Container):
            url = Component(str, "postgresql://")
            database = Component(Database).add_attributes(url=url.provided)
            repo = Component(Repo, database.provided)

        assert Sub().repo().database.url == "postgresql://"

    def test_a_component_is_needed_through_an_attribute(self) -> None:
        """It starts before, and an override before it is built is required."""

        class Sub(Container):
            first = Component(Database)
            second = Component(Worker).set_attributes(database=first.provided)

        sub = Sub()
        sub.second()

        assert sub.first.is_built
        with pytest.raises(OverrideError):
            sub.override(Sub.first).by(Database()).__enter__()

    def test_arguments_can_be_changed_on_the_instance(self) -> None:
        """Only this instance changes, and the container is validated again."""
        shop, other = Shop(), Shop()
        shop.validate()
        shop.database.set_kwargs(url="changed")
        shop.validate()
        shop.repo.set_args().add_kwargs(database=shop.database.provided)

        assert shop.repo().database.url == "changed"
        assert other.repo().database.url == "memory://"
        shop = Shop()
        shop.validate()
        shop.database.add_kwargs(nonsense=1)
        with pytest.raises(InvalidContainer) as invalid:
            shop.validate()
        assert isinstance(invalid.value.exceptions[0], ArgumentFault)

    @pytest.mark.parametrize(
        ("change", "given"),
        [
            ("set_args", {}),
            ("add_args", {}),
            ("clear_args", {}),
            ("set_kwargs", {"url": "x"}),
            ("add_kwargs", {"url": "x"}),
            ("clear_kwargs", {}),
            ("set_attributes", {"url": "x"}),
            ("add_attributes", {"url": "x"}),
            ("clear_attributes", {}),
        ],
    )
    def test_arguments_of_what_is_built_cannot_be_changed(self, change: str, given: dict[str, str]) -> None:
        """The change would have no effect, silently."""
        shop = Shop()
        shop.database()

        with pytest.raises(DeclarationError, match="is built already; change its declaration before that"):
            getattr(shop.database, change)(**given)

    def test_another_class_can_be_declared(self) -> None:
        """`set_provides` takes what can be called."""

        class Other(Database):
            pass

        shop = Shop()
        wrong: Any = 42
        with pytest.raises(DeclarationError, match="it is not callable"):
            shop.database.set_provides(wrong)
        shop.database.set_provides(Other)

        assert isinstance(shop.repo().database, Other)


@pytest.mark.parametrize(
    ("declare", "unwrap"),
    [
        (lambda it: providers.Factory(Repo, it), lambda made: made.database),
        (lambda it: providers.Factory(Repo, database=it), lambda made: made.database),
        (lambda it: library.Factory(Worker).add_attributes(database=it), lambda made: made.database),
        (lambda it: library.Singleton(Repo, it), lambda made: made.database),
        (lambda it: library.ThreadSafeSingleton(Repo, database=it), lambda made: made.database),
        (lambda it: providers.Callable(Repo, it), lambda made: made.database),
        (lambda it: library.Resource(Repo, it), lambda made: made.database),
        (lambda it: providers.List(it), lambda made: made[0]),
        (lambda it: providers.Dict(a=it), lambda made: made["a"]),
        (lambda it: providers.Factory(list, [[it]]), lambda made: made[0][0]),
        (lambda it: providers.Factory(dict, {"a": (it,)}), lambda made: made["a"][0]),
        (lambda it: providers.List(providers.Factory(Repo, it)), lambda made: made[0].database),
        (lambda it: library.Dependency(default=it), lambda made: made),
    ],
)
def test_a_stand_in_is_injected_into_the_library_s_providers(declare: Any, unwrap: Any) -> None:
    """At any depth; the user receives the component itself, not its stand-in."""
    database = Component(Database)
    made: Any = type("Site", (Container,), {"database": database, "session": declare(database.provided)})
    site = made()

    assert unwrap(site.session()) is site.database()


def test_a_stand_in_s_attribute_is_injected_into_a_factory() -> None:
    """Also where the factory has no name of its own."""

    class Site(Container):
        database = Component(Database, "url")
        urls: Any = library.Factory(list, [database.provided.url])
        holding = Component(Worker, provided(providers.Factory(Repo, database.provided)).database)

    site = Site()

    assert site.urls() == ["url"]
    assert site.holding().database is site.database()


def opened(events: list[str]) -> Iterator[int]:
    """Note when it is opened and closed."""
    events.append("opened")
    yield 1
    events.append("closed")


class TestNested:
    """Containers inside a container, declared in either way."""

    def test_the_library_s_methods_reach_nested_containers(self) -> None:
        """Resources, singletons, dependencies, and whatever is traversed."""
        events: list[str] = []

        class Infra(Container):
            resource: Any = library.Resource(opened, providers.Object(events))
            single: Any = providers.Singleton(Database)
            missing: Any = library.Dependency()
            user: Any = providers.Factory(list, missing)

        class Outer(Container):
            infra = Infra()
            given: Any = library.Container(Infra)

        outer = Outer()
        before = outer.infra.single(), outer.given.single()
        outer.init_resources()
        outer.shutdown_resources()
        outer.reset_singletons()

        assert events == ["opened", "opened", "closed", "closed"]
        assert outer.infra.single() is not before[0]
        assert outer.given.single() is not before[1]
        assert outer.infra.missing in set(outer.traverse())
        with pytest.raises(Exception, match="undefined dependencies"):
            outer.check_dependencies()

    def test_reset_singletons_of_a_nested_container_forgets_its_users_outside(self) -> None:
        """They would keep the old instance."""

        class Outer(Container):
            shop = Shop()
            worker = Component(Worker, shop.database.provided)

        outer = Outer()
        before = outer.worker()
        outer.shop.reset_singletons()

        assert outer.worker() is not before
        assert outer.worker().database is outer.shop.database()

    def test_a_nested_configuration_is_read_for_each_instance(self, tmp_path: Path) -> None:
        """And not where the class is made."""
        file = tmp_path / "settings.json"
        file.write_text('{"url": "import", "old": 1}')

        class Infra(Container):
            config: Any = library.Configuration(json_files=[file])

        class Middle(Container):
            infra = Infra()

        class Outer(Container):
            middle = Middle()
            given: Any = library.Container(Infra)

        at_import = Outer.middle.infra.config()
        file.write_text('{"url": "first"}')
        first = Outer()
        file.write_text('{"url": "second"}')
        second = Outer()

        assert at_import == {}
        assert first.middle.infra.config() == first.given.config() == {"url": "first"}
        assert second.middle.infra.config() == second.given.config() == {"url": "second"}

    def test_a_configuration_is_not_read_where_the_class_says_so(self, tmp_path: Path) -> None:
        """`auto_load_config` is the library's."""
        file = tmp_path / "settings.json"
        file.write_text(json.dumps({"url": "read"}))

        class Manual(Container):
            auto_load_config = False
            config: Any = library.Configuration(json_files=[file])

        assert Manual().config() == {}

    def test_a_container_given_in_the_library_s_way_is_validated(self) -> None:
        """By the paths of its components."""

        class Jobs(Container):
            database: Any = library.Dependency(instance_of=Database)
            worker = Component(Worker, database)
            wrong: Any = Component(Worker, nonsense=1)  # type: ignore[call-arg]

        class Outer(Container):
            bus = Component(Bus)
            database = Component(Database)
            jobs: Any = library.Container(Jobs, database=database)

        with pytest.raises(InvalidContainer) as invalid:
            Outer().validate()

        (fault,) = invalid.value.exceptions
        assert isinstance(fault, ArgumentFault)
        assert fault.path == "Outer.jobs.wrong"

    def test_a_container_given_in_the_library_s_way_is_started_and_drawn(self) -> None:
        """It takes what was given to it, listens on the one bus, and can be overridden."""

        class Jobs(Container):
            database: Any = library.Dependency(instance_of=Database)
            worker = Component(Worker, database)

        class Outer(Container):
            bus = Component(Bus)
            database = Component(Database)
            jobs: Any = library.Container(Jobs, database=database)

        outer = Outer()
        with running(outer):
            worker = outer.jobs.worker()
            assert worker.starts == 1
            assert worker.database is outer.database()
        graph = Graph.of(outer)

        assert [node.path for node in graph.nodes] == ["Outer.bus", "Outer.database", "Outer.jobs.worker"]
        assert [(edge.source, edge.target) for edge in graph.edges] == [("Outer.jobs.worker", "Outer.database")]
        other = Outer()
        with other.override(Outer.jobs.worker).by(fake := Worker()), running(other):
            assert other.jobs.worker() is fake

    def test_a_misfit_in_such_a_container_keeps_it_from_starting(self) -> None:
        """Its hooks are looked at as everywhere."""

        class Wrong:
            def start(self, now: int) -> None:
                """Cannot be called."""

        class Jobs(Container):
            wrong = Component(Wrong)

        class Outer(Container):
            bus = Component(Bus)
            jobs: Any = library.Container(Jobs)

        with pytest.raises(InvalidContainer) as invalid, running(Outer()):
            pass

        assert isinstance(invalid.value.exceptions[0], HookFault)

    def test_a_container_of_the_library_gives_its_own_to_one_of_ours(self) -> None:
        """And one of ours inside it is started with the rest."""

        class Jobs(Container):
            database: Any = library.Dependency(instance_of=Database)
            worker = Component(Worker, database)

        database = providers.Singleton(Database, "old")
        legacy: Any = type(
            "Legacy",
            (theirs.DeclarativeContainer,),
            {"database": database, "jobs": library.Container(Jobs, database=database)},
        )

        class Outer(Container):
            bus = Component(Bus)
            old: Any = library.Container(legacy)

        outer = Outer()
        with running(outer):
            worker = outer.old.jobs.worker()
            assert worker.starts == 1
            assert worker.database is outer.old.database()

    def test_dependencies_of_a_container_are_those_of_another_one(self) -> None:
        """`DependenciesContainer`, given one that is nested beside it."""

        class Uses(Container):
            shop: Any = library.DependenciesContainer()
            repo = Component(Repo, shop.database)

        class Outer(Container):
            bus = Component(Bus)
            shop = Shop()
            uses: Any = library.Container(Uses, shop=shop)

        outer = Outer()

        assert outer.uses.repo().database is outer.shop.database()


def test_instances_of_all_threads_are_forgotten() -> None:
    """Singletons of the library that keep one for each thread, after an override."""

    class Site(Container):
        database = Component(Database)
        local: Any = library.ThreadLocalSingleton(Repo, database.provided)
        context: Any = library.ContextLocalSingleton(Repo, database.provided)
        safe: Any = library.ThreadSafeSingleton(Repo, database.provided)
        plain: Any = library.Singleton(Repo, database.provided)

    site = Site()
    asked, done = threading.Event(), threading.Event()
    seen: list[str] = []

    def ask() -> None:
        seen.append(site.local().database.url)
        asked.set()
        done.wait(5)
        seen.append(site.local().database.url)

    thread = threading.Thread(target=ask)
    with site.override(Site.database).by(Database("fake")):
        thread.start()
        asked.wait(5)
        assert {one().database.url for one in (site.local, site.context, site.safe, site.plain)} == {"fake"}
    done.set()
    thread.join()

    assert seen == ["fake", "memory://"]
    assert {one().database.url for one in (site.local, site.context, site.safe, site.plain)} == {"memory://"}
