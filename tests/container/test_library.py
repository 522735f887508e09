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
    """A component that others need."""

    url = "unset"

    def __init__(self, url: str = "memory://") -> None:
        self.url = url


class Repo:
    """A component that needs a database."""

    def __init__(self, database: Database) -> None:
        self.database = database


class Service:
    """A component that needs a repo."""

    def __init__(self, repo: Repo) -> None:
        self.repo = repo


class Worker:
    """A component with a start hook."""

    def __init__(self, database: Database | None = None) -> None:
        self.database = database
        self.starts = 0

    def start(self) -> None:
        """Count."""
        self.starts += 1


class Shop(Container):
    """A chain of three components."""

    bus = Component(Bus)
    database = Component(Database)
    repo = Component(Repo, database.provided)
    service = Component(Service, repo.provided)
    limit: Any = library.Object(1)


class TestOverridesOfAComponent:
    """`component.override(...)`, as in tests written for dependency-injector."""

    def test_each_with_block_gives_its_own_replacement_to_users(self) -> None:
        """Users that were built in a block are forgotten at its end."""
        shop = Shop()
        replacements = []
        for fake in (Database("first"), Database("second")):
            with shop.database.override(fake):
                replacements.append(shop.service().repo.database is fake)

        assert replacements == [True, True]
        assert shop.service().repo.database.url == "memory://"

    @pytest.mark.parametrize("built", ["database", "repo", "service"])
    def test_an_override_of_a_built_component_is_an_error(self, built: str) -> None:
        """As with `by`, its users would keep the original."""
        shop = Shop()
        getattr(shop, built)()

        with pytest.raises(OverrideError, match="is built already; override before that"):
            shop.database.override(Database())
        assert shop.service().repo.database is shop.database()

    def test_override_providers_of_a_built_component_is_an_error_and_overrides_nothing(self) -> None:
        """Names before the failing one are not overridden either."""
        shop = Shop()
        shop.repo()

        with pytest.raises(OverrideError, match=r"Shop\.repo is built already"):
            shop.override_providers(limit=2, repo=Repo(Database()))
        assert shop.limit() == 1

    def test_a_provider_may_replace_a_component(self) -> None:
        """A factory makes an object for each call, and components among its arguments are injected."""
        shop = Shop()
        with shop.repo.override(providers.Factory(Repo, shop.database.provided)):
            assert shop.repo() is not shop.repo()
            assert shop.repo().database is shop.database()

    def test_an_anonymous_component_may_replace_another(self) -> None:
        """It is built in the container of the overridden component."""
        shop = Shop()
        with shop.database.override(Component(Database, "stand-in")):
            assert shop.database().url == "stand-in"
            assert shop.repo().database is shop.database()

    def test_a_component_may_replace_another_of_the_same_container(self) -> None:
        """It keeps its own name, too."""

        class Sub(Shop):
            replica = Component(Database, "replica")

        sub = Sub()
        with sub.database.override(sub.replica):
            assert sub.repo().database is sub.replica()

    def test_reset_override_forgets_components_built_with_the_replacement(self) -> None:
        """All components get the original afterwards."""
        shop = Shop()
        shop.database.override(Database("first"))
        shop.database.override(Database("second"))
        urls = [shop.repo().database.url]
        shop.database.reset_last_overriding()
        urls.append(shop.repo().database.url)
        shop.reset_override()
        urls.append(shop.repo().database.url)

        assert urls == ["second", "first", "memory://"]

    @pytest.mark.parametrize("reset", ["reset_override", "reset_last_overriding", "reset_singletons"])
    def test_a_reset_while_the_container_runs_is_refused(self, reset: str) -> None:
        """Both for the container and for a component; after the exit both work."""

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

    def test_a_reset_does_not_remove_a_shared_bus(self) -> None:
        """The shared bus is an internal override, not one of the user's."""
        first, guest = Shop(), Shop()
        bus = first.attach()
        guest.attach(bus)
        guest.reset_override()

        assert guest.bus() is bus

    def test_a_container_is_validated_again_after_an_override_by_the_library(self) -> None:
        """Whether it was validated before or not."""
        shop = Shop()
        shop.validate()
        wrong: Any = Worker()
        with shop.database.override(wrong):
            with pytest.raises(InvalidContainer) as invalid:
                shop.validate()
        shop.validate()

        assert isinstance(invalid.value.exceptions[0], OverrideFault)


class TestOverridesOfAContainer:
    """Which overrides are supported, and which code the error recommends for the others."""

    def test_a_constructor_takes_overrides(self) -> None:
        """Providers and objects, for components and for the library's providers."""
        shop = Shop(database=Database("given"), limit=providers.Object(7))

        assert shop.repo().database.url == "given"
        assert shop.limit() == 7

    def test_an_unknown_name_is_an_error_that_lists_the_names(self) -> None:
        """An override with a misspelt name raises."""
        with pytest.raises(OverrideError, match=r"Shop\.databse .*declared are bus, database, repo"):
            Shop(databse=Database())

    def test_a_nested_container_is_overridden_by_its_own_method(self) -> None:
        """The error recommends this method."""

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
    def test_override_takes_components_and_recommends_code_for_other_arguments(self, given: Any, way_out: str) -> None:
        """For a provider of the library, and for a container."""
        with pytest.raises(OverrideError, match=way_out):
            Shop().override(given)

    def test_the_library_s_decorators_recommend_a_subclass(self) -> None:
        """They would change a class that other code uses."""
        other: Any = type("Other", (theirs.DeclarativeContainer,), {"database": providers.Object(1)})

        with pytest.raises(DeclarationError, match="inherit from it instead"):
            theirs.override(Shop)(other)
        with pytest.raises(AttributeError, match="inherit from it instead"):
            theirs.override(other)(Shop)
        with pytest.raises(AttributeError, match="inherit from it instead"):
            theirs.copy(Shop)(type("Sub", (Container,), {}))

    def test_override_can_be_called_on_the_class(self) -> None:
        """With the instance as the first argument."""
        shop = Shop()
        with Container.override(shop, Shop.database).by(Database("fake")):
            assert shop.database().url == "fake"

    def test_provider_type_restricts_the_declarations_of_a_container(self) -> None:
        """As in the library; subclasses inherit it."""

        class Typed(Container):
            provider_type = providers.Singleton
            database = Component(Database)

        with pytest.raises(DeclarationError, match=r"Sub\.other .*by its provider_type"):
            type("Sub", (Typed,), {"other": providers.Factory(Database)})


class TestArguments:
    """The arguments of a component may be changed until it is built."""

    def test_attributes_are_set_before_users_get_the_component(self) -> None:
        """Components as values are injected, like arguments."""

        class Sub(Container):
            url = Component(str, "postgresql://")
            database = Component(Database).add_attributes(url=url.provided)
            repo = Component(Repo, database.provided)

        assert Sub().repo().database.url == "postgresql://"

    def test_an_attribute_is_a_dependency(self) -> None:
        """Its component starts before, and must be overridden before the user is built."""

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
    def test_arguments_of_a_built_component_cannot_be_changed(self, change: str, given: dict[str, str]) -> None:
        """The change would have no effect."""
        shop = Shop()
        shop.database()

        with pytest.raises(DeclarationError, match="is built already; change its declaration before that"):
            getattr(shop.database, change)(**given)

    def test_set_provides_replaces_the_class(self) -> None:
        """Any callable is accepted."""

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
def test_a_provided_component_is_injected_into_the_library_s_providers(declare: Any, unwrap: Any) -> None:
    """At any depth; the user receives the component itself."""
    database = Component(Database)
    made: Any = type("Site", (Container,), {"database": database, "session": declare(database.provided)})
    site = made()

    assert unwrap(site.session()) is site.database()


def test_a_provided_attribute_is_injected_into_a_factory() -> None:
    """The factory may be anonymous."""

    class Site(Container):
        database = Component(Database, "url")
        urls: Any = library.Factory(list, [database.provided.url])
        holding = Component(Worker, provided(providers.Factory(Repo, database.provided)).database)

    site = Site()

    assert site.urls() == ["url"]
    assert site.holding().database is site.database()


def opened(events: list[str]) -> Iterator[int]:
    """Record when the resource is opened and closed."""
    events.append("opened")
    yield 1
    events.append("closed")


class TestNested:
    """Containers inside a container, declared in either way."""

    def test_the_library_s_methods_reach_nested_containers(self) -> None:
        """Resources, singletons, dependencies and `traverse`."""
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
        """They would keep the old instance otherwise."""

        class Outer(Container):
            shop = Shop()
            worker = Component(Worker, shop.database.provided)

        outer = Outer()
        before = outer.worker()
        outer.shop.reset_singletons()

        assert outer.worker() is not before
        assert outer.worker().database is outer.shop.database()

    def test_a_nested_configuration_is_read_for_each_instance(self, tmp_path: Path) -> None:
        """It is not read by the class statement."""
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

    def test_a_configuration_is_not_read_without_auto_load(self, tmp_path: Path) -> None:
        """`auto_load_config` is the library's option."""
        file = tmp_path / "settings.json"
        file.write_text(json.dumps({"url": "read"}))

        class Manual(Container):
            auto_load_config = False
            config: Any = library.Configuration(json_files=[file])

        assert Manual().config() == {}

    def test_a_container_in_a_container_provider_is_validated(self) -> None:
        """Faults have the paths of its components."""

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

    def test_a_container_in_a_container_provider_is_started_and_drawn(self) -> None:
        """It gets the arguments of the provider, listens on the same bus, and can be overridden."""

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

    def test_a_hook_fault_in_a_container_provider_cancels_the_start(self) -> None:
        """Its hooks are checked like all others."""

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

    def test_a_library_container_passes_its_providers_to_a_typedbus_container(self) -> None:
        """A typedbus container inside it is started with the rest."""

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

    def test_dependencies_container_takes_a_sibling_container(self) -> None:
        """`DependenciesContainer` gets a container that is nested beside it."""

        class Uses(Container):
            shop: Any = library.DependenciesContainer()
            repo = Component(Repo, shop.database)

        class Outer(Container):
            bus = Component(Bus)
            shop = Shop()
            uses: Any = library.Container(Uses, shop=shop)

        outer = Outer()

        assert outer.uses.repo().database is outer.shop.database()


def test_an_override_forgets_thread_local_instances_of_all_threads() -> None:
    """The library's thread-local singletons are reset after an override."""

    class Site(Container):
        database = Component(Database)
        local: Any = library.ThreadLocalSingleton(Repo, database.provided)
        context: Any = library.ContextLocalSingleton(Repo, database.provided)
        safe: Any = library.ThreadSafeSingleton(Repo, database.provided)
        plain: Any = library.Singleton(Repo, database.provided)

    site = Site()
    asked, done = threading.Event(), threading.Event()
    urls: list[str] = []

    def ask() -> None:
        urls.append(site.local().database.url)
        asked.set()
        done.wait(60)
        urls.append(site.local().database.url)

    thread = threading.Thread(target=ask)
    with site.override(Site.database).by(Database("fake")):
        thread.start()
        asked.wait(60)
        assert {one().database.url for one in (site.local, site.context, site.safe, site.plain)} == {"fake"}
    done.set()
    thread.join()

    assert urls == ["fake", "memory://"]
    assert {one().database.url for one in (site.local, site.context, site.safe, site.plain)} == {"memory://"}
