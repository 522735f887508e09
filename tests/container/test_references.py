"""References: components that need a component of another container class."""

from __future__ import annotations

import copy
import gc
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from dependency_injector import providers

from typedbus import (
    START,
    BoundChannel,
    Bus,
    Channel,
    Component,
    Container,
    InvalidContainer,
    OverrideError,
    on,
    provided,
    running,
)
from typedbus._container.body import blueprint_of
from typedbus.events import SUBSCRIBED, Subscribed
from typedbus.faults import CycleFault, DisabledFault, Fault, ReferenceFault
from typedbus.graph import Graph

# Of the library as it is: its stubs hold what typedbus needs of it.
library: Any = providers
order_placed = Channel[[str], None]("order_placed")


class Settings:
    """Has an attribute that is injected, and one for conditions."""

    url = "memory"
    is_open = True


class Database:
    """Records its life cycle."""

    def __init__(self, url: str = "") -> None:
        self.url = url
        self.notes: list[str] = []

    def start(self) -> None:
        """Record the call."""
        self.notes.append("start")

    def stop(self) -> None:
        """Record the call."""
        self.notes.append("stop")


class Fake(Database):
    """Replaces the database."""


class User:
    """Keeps its arguments, and records its life cycle in the database's notes."""

    def __init__(self, *held: Any, **named: Any) -> None:
        self.held, self.named = held, named

    @property
    def db(self) -> Any:
        """The first argument."""
        return self.held[0]

    def start(self) -> None:
        """Record the call."""
        if isinstance(self.held[0], Database):
            self.held[0].notes.append("start user")

    def stop(self) -> None:
        """Record the call."""
        if isinstance(self.held[0], Database):
            self.held[0].notes.append("stop user")


class Early(User):
    """Has the lowest priority, and would start first without dependencies."""

    @on(START, priority=1)
    def start(self) -> None:
        """Record the call."""
        super().start()


class Infra(Container):
    """The shared container."""

    bus = Component(Bus)
    settings = Component(Settings)
    db = Component(Database, settings.provided.url)
    factory = providers.Factory(User, db)
    config: Any = library.Configuration()


class Orders(Container):
    """A package that refers to it."""

    user = Component(User, Infra.db.provided)


class Billing(Container):
    """Another package that refers to it."""

    user = Component(User, Infra.db.provided)


class App(Container):
    """Nests all of these containers."""

    infra = Infra()
    orders = Orders()
    billing = Billing()


def with_faults(*containers: Container) -> list[Fault]:
    """Return the faults that prevent *containers* from running together."""
    try:
        with running(*containers):
            return []
    except InvalidContainer as invalid:
        return [fault for fault in invalid.exceptions if isinstance(fault, Fault)]


def declaring(name: str = "Declared", *bases: type, **declarations: Any) -> Any:
    """Return a container class with these declarations."""
    return type(name, bases or (Container,), declarations)


def test_nested_containers_share_a_component_that_they_refer_to() -> None:
    """It is that of the container nested beside them; each instance of the application has its own."""
    app, other = App(), App()

    assert app.orders.user().db is app.billing.user().db is app.infra.db()
    assert other.orders.user().db is other.infra.db() is not app.infra.db()


def test_a_shared_component_is_started_once_before_its_users() -> None:
    """It is stopped once, after them."""
    with running(App()) as app:
        notes = app.infra.db().notes
        assert notes == ["start", "start user", "start user"]

    assert notes[3:] == ["stop user", "stop user", "stop"]


@pytest.mark.parametrize("by_class", [True, False], ids=["by its own class", "by the class of the application"])
def test_an_override_applies_to_every_package(by_class: bool) -> None:
    """This includes packages whose components are built later."""
    app, fake = App(), Fake()

    with app.override(Infra.db if by_class else App.infra.db).by(fake), running(app):
        assert app.orders.user().db is app.billing.user().db is app.infra.db() is fake

    assert app.orders.user().db is app.billing.user().db is not fake


def test_an_override_through_the_nested_container_applies_to_every_package() -> None:
    """It is the same component."""
    app, fake = App(), Fake()

    with app.infra.override(Infra.db).by(fake), running(app):
        assert app.orders.user().db is fake


def test_an_override_after_a_user_is_built_is_refused() -> None:
    """The error names the user."""
    app = App()
    app.billing.user()

    with pytest.raises(OverrideError, match=r"App\.infra\.settings is built already"):
        app.override(App.infra.settings).by(Settings()).__enter__()
    with pytest.raises(OverrideError, match=r"is built already"):
        app.override(App.infra.db).by(Fake()).__enter__()


REFERENCES: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "the component": (lambda: Infra.db.provided, lambda infra: infra.db()),
    "an attribute": (lambda: Infra.settings.provided.url, lambda infra: "memory"),
    "an attribute of the component": (lambda: Infra.db.provided.notes, lambda infra: infra.db().notes),
    "a channel": (lambda: Infra.bus.provided[order_placed], lambda infra: infra.bus()[order_placed]),
    "in a list": (lambda: [Infra.db.provided, 1], lambda infra: [infra.db(), 1]),
    "in a tuple": (lambda: (Infra.db.provided,), lambda infra: (infra.db(),)),
    "in a dict": (lambda: {"db": Infra.db.provided}, lambda infra: {"db": infra.db()}),
    "a bare component": (lambda: Infra.db, lambda infra: infra.db()),
    "a provider that is handed over": (lambda: provided(library_of(Infra.db).provider), lambda infra: infra.db),
    "a component to be called later": (lambda: Infra.db.lazy, lambda infra: infra.db),
    "an optional component": (lambda: Infra.db.optional, lambda infra: infra.db()),
    "in a component without a name": (
        lambda: Component(list, [Infra.db.provided]).provided,
        lambda infra: [infra.db()],
    ),
    "in a library's list": (lambda: provided(providers.List(Infra.db)), lambda infra: [infra.db()]),
    "an option of a configuration": (lambda: provided(Infra.config.name), lambda infra: "configured"),
    "a typed option": (lambda: provided(Infra.config.number.as_int()), lambda infra: 3),
}


def library_of(component: object) -> Any:
    """Return *component* typed as a provider of the library."""
    return component


@pytest.mark.parametrize(("reference", "expected"), REFERENCES.values(), ids=REFERENCES)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_every_kind_of_reference_gives_the_shared_component(
    reference: Callable[[], Any], expected: Callable[[Any], Any], depth: int
) -> None:
    """The user may be nested at any depth."""
    inner = declaring("Inner", user=Component(User, reference()))()
    for _ in range(1, depth):
        inner = declaring("Around", inner=inner)()
    app = declaring("Application", inner=inner, infra=Infra())()
    app.infra.config.from_dict({"name": "configured", "number": "3"})

    with running(app):
        container = app.inner
        for _ in range(1, depth):
            container = container.inner
        assert container.user().held[0] == expected(app.infra)


def test_a_factory_of_another_container_uses_the_components_of_that_container() -> None:
    """A component may take its result, or the factory."""
    orders = declaring(
        "Orders",
        made=Component(User, provided(Infra.factory)),
        maker=Component(User, provided(library_of(Infra.factory).provider)),
    )
    app = declaring("Application", infra=Infra(), orders=orders())()

    with running(app):
        assert app.orders.made().db.db is app.infra.db()
        assert app.orders.maker().db is app.infra.factory
        assert app.orders.maker().db().db is app.infra.db()


def test_a_library_provider_of_one_container_may_use_a_component_of_another() -> None:
    """As a member that is called."""
    orders = declaring("Orders", factory=providers.Factory(User, Infra.db), single=providers.Singleton(User, Infra.db))
    app = declaring("Application", infra=Infra(), orders=orders())()

    assert app.orders.factory().db is app.orders.single().db is app.infra.db()


@pytest.mark.parametrize("is_open", [True, False])
def test_a_condition_may_refer_to_another_container(is_open: bool) -> None:
    """The settings are built once, before the condition is evaluated."""

    class Closed(Settings):
        is_open = False

    class Shop(Container):
        user = Component(User, "user").enabled(Infra.settings.provided.is_open, reason="closed")

    class Site(Container):
        shop = Shop()
        infra = Infra()

    site = Site()
    with site.override(Infra.settings).by(Settings() if is_open else Closed()), running(site):
        assert site.shop.user.is_built == is_open


def test_a_reference_may_name_a_component_through_the_outer_class() -> None:
    """``Outer.infra.db`` is the database of the `Infra` that an `Outer` has."""

    class Outer(Container):
        infra = Infra()

    class Shop(Container):
        user = Component(User, Outer.infra.db.provided)

    class Site(Container):
        outer = Outer()
        other = Infra()
        shop = Shop()

    site = Site()

    assert site.shop.user().db is site.outer.infra.db()


def test_the_application_may_refer_to_the_class_of_a_nested_container() -> None:
    """In its own body, and in a subclass of a package with a reference."""

    class Site(Container):
        infra = Infra()
        user = Component(User, Infra.db.provided)

    class More(Orders):
        more = Component(User, Infra.db.provided, Orders.user.provided)

    class Whole(Site):
        more = More()

    whole = Whole()

    assert whole.user().db is whole.more.more().db is whole.more.user().db is whole.infra.db()
    assert whole.more.more().held[1] is whole.more.user()


def test_the_nearest_outer_container_with_the_class_is_used() -> None:
    """Two sites of one program may each nest one."""

    class Mixed(Container):
        bus = Component(Bus)
        infra = Infra()
        app = App()
        orders = Orders()

    class Hub(Container):
        one = App()
        other = App()

    hub = Hub()

    assert hub.one.orders.user().db is hub.one.infra.db() is not hub.other.infra.db()
    assert hub.other.billing.user().db is hub.other.infra.db()
    assert [fault for fault in _faults_of(Hub()) if isinstance(fault, ReferenceFault)] == []
    assert [fault.path for fault in _faults_of(Mixed()) if isinstance(fault, ReferenceFault)] == ["Mixed.orders.user"]


def _faults_of(container: Container) -> list[Fault]:
    with pytest.raises(InvalidContainer) as invalid:
        container.validate()
    return [fault for fault in invalid.value.exceptions if isinstance(fault, Fault)]


def test_a_subclass_of_the_shared_container_is_used() -> None:
    """It is an instance of the class, too."""

    class Tested(Infra):
        db = Component(Fake)

    class Wrapping(Infra):
        db = Component(lambda inner: Fake(inner.url + "!"), Infra.db.provided)

    class Test(App):
        infra = Tested()

    class Wrapped(App):
        infra = Wrapping()

    test, wrapped = Test(), Wrapped()
    with test.override(Infra.db).by(fake := Fake()):
        assert test.orders.user().db is test.infra.db() is fake

    assert type(test.orders.user().db) is Fake
    assert test.orders.user().db is test.infra.db()
    assert wrapped.orders.user().db is wrapped.infra.db()
    assert wrapped.infra.db().url == "memory!"


def test_a_missing_instance_is_a_fault_with_a_remedy() -> None:
    """It names the component, the declaration and its place; a bus that is missing with it is not a second fault."""

    class Listening(Container):
        user = Component(User, Infra.bus.provided, Infra.db.provided)

    orders = Orders()
    faults = _faults_of(Listening())
    with pytest.raises(InvalidContainer) as refused:
        orders.user()
    (fault,) = refused.value.exceptions

    assert [type(one) for one in faults] == [ReferenceFault, ReferenceFault]
    assert isinstance(fault, ReferenceFault)
    assert (fault.path, fault.place) == ("Orders.user", Orders.user.place)
    assert (fault.target, fault.target_place, fault.candidates) == ("Infra.db", Infra.db.place, ())
    assert "infra = Infra()" in fault.remedy
    assert str(fault) in map(str, _faults_of(Orders()))


def test_several_instances_are_a_fault_that_names_them() -> None:
    """The text shows how to select one of them."""

    class Two(Container):
        first = Infra()
        second = Infra()
        orders = Orders()

    two = Two()
    fault = next(one for one in _faults_of(two) if isinstance(one, ReferenceFault))
    with pytest.raises(InvalidContainer):
        two.orders.user()

    assert (fault.path, fault.candidates) == ("Two.orders.user", ("Two.first.db", "Two.second.db"))
    assert "first.db.provided" in fault.remedy
    with pytest.raises(OverrideError, match=r"contains it more than once: Two\.first\.db, Two\.second\.db"):
        two.override(Infra.db)


def test_one_of_several_instances_can_be_selected_by_the_outer_container() -> None:
    """By its attribute in the outer container."""

    class Two(Container):
        first = Infra()
        second = Infra()
        user = Component(User, second.db.provided)

    two = Two()

    assert two.user().db is two.second.db() is not two.first.db()


def test_a_fault_names_a_provider_of_the_library_too() -> None:
    """By its name in the class that declares it."""
    (fault,) = _faults_of(declaring("Shop", user=Component(dict[str, object], made=provided(Infra.factory)))())

    assert isinstance(fault, ReferenceFault)
    assert fault.target == "Infra.factory"
    assert fault.target_place == blueprint_of(Infra).place


def test_a_package_can_be_tested_alone_with_overrides_of_its_references() -> None:
    """The references give the replacement, and are unresolved again after the block."""

    class Shop(Container):
        bus = Component(Bus)
        user = Component(User, Infra.db.provided)
        inner = Orders()

    shop, fake = Shop(), Fake()
    with shop.override(Infra.db).by(fake), running(shop):
        assert shop.user().db is shop.inner.user().db is fake
    with shop.override(Infra.db).by(Component(Fake, "declared")), running(shop):
        assert shop.user().db is shop.inner.user().db
        assert shop.user().db.notes[0] == "start"

    assert [type(fault) for fault in _faults_of(shop)] == [ReferenceFault, ReferenceFault]


def test_a_replacement_may_refer_to_another_container() -> None:
    """It gets the component of the container around the original."""

    app = App()
    with app.override(App.orders.user).by(Component(User, Infra.db.provided)), running(app):
        assert app.orders.user().db is app.billing.user().db is app.infra.db()
    assert app.infra.db.is_built


def test_a_cycle_through_a_reference_is_a_fault() -> None:
    """It names the components along it."""

    class First(Container):
        one = Component(User)
        other = Component(User, one.provided)

    class Second(Container):
        between = Component(User, First.other.provided)

    class Closing(First):
        one = Component(User, Second.between.provided)

    class Both(Container):
        bus = Component(Bus)
        first = Closing()
        second = Second()

    (fault,) = [one for one in _faults_of(Both()) if isinstance(one, CycleFault)]

    assert set(fault.cycle) == {"Both.first.one", "Both.first.other", "Both.second.between"}


def test_a_copy_of_an_application_refers_to_its_own_components() -> None:
    """It is an independent instance."""
    app = App()
    copied = copy.deepcopy(app)

    assert copied.orders.user().db is copied.infra.db() is not app.infra.db()


def test_classes_of_containers_that_refer_to_each_other_are_freed() -> None:
    """No registry keeps a declaration alive."""

    class Shared(Container):
        db = Component(Database)
        factory = providers.Factory(Database)

    class Using(Container):
        user = Component(User, Shared.db.provided, provided(Shared.factory))

    class Whole(Container):
        shared = Shared()
        using = Using()

    whole = Whole()
    whole.using.user()
    classes: list[weakref.ref[Any]] = [weakref.ref(one) for one in (Shared, Using, Whole, whole)]
    del Shared, Using, Whole, whole
    gc.collect()

    assert [one() for one in classes] == [None] * 4


def test_the_picture_has_a_line_from_a_package_to_the_shared_component() -> None:
    """The reference itself has no box."""
    picture = Graph.of(App())

    assert ("App.orders.user", "App.infra.db") in [(edge.source, edge.target) for edge in picture.edges]
    assert len(picture.nodes) == 5


# Several containers on one bus.


@pytest.mark.parametrize("turned", [False, True])
def test_a_container_may_refer_to_another_that_runs_with_it(turned: bool) -> None:
    """In either order of the arguments; it starts after its dependency whatever the priorities, and stops before it."""

    class Package(Container):
        bus = Component(Bus)
        user = Component(Early, Infra.db.provided)

    infra, package = Infra(), Package()
    with running(*((package, infra) if turned else (infra, package))):
        assert package.user().db is infra.db()
        notes = infra.db().notes

    assert notes == ["start", "start user", "stop user", "stop"]


def test_containers_may_refer_to_each_other() -> None:
    """Their components start in the order of all dependencies."""

    class Later(Infra):
        last = Component(User, Infra.db.provided, Orders.user.provided)

    later, orders = Later(), Orders()
    with running(later, orders):
        assert later.last().held == (later.db(), orders.user())
        assert later.db().notes == ["start", "start user", "start user"]


@pytest.mark.parametrize("workers", [1, 4])
def test_a_component_of_another_container_is_subscribed_once(workers: int) -> None:
    """By its own container; the event lists its dependencies."""
    infra, orders, billing = Infra(), Orders(), Billing()
    subscribed: list[Subscribed] = []
    infra.attach()[SUBSCRIBED].subscribe(subscribed.append)
    with running(infra, orders, billing, workers=workers):
        assert infra.db().notes == ["start", "start user", "start user"]

    assert sorted(event.path for event in subscribed) == [
        "Billing.user",
        "Infra.bus",
        "Infra.db",
        "Infra.settings",
        "Orders.user",
    ]
    assert {event.path: event.needs for event in subscribed}["Orders.user"] == ("Infra.db",)


def test_a_container_may_refer_to_the_bus_of_another() -> None:
    """Its argument is a channel of that bus, and it needs no bus of its own."""

    class Placing:
        def __init__(self, placed: BoundChannel[[str], None]) -> None:
            self.placed = placed

    class Shop(Container):
        placing = Component(Placing, Infra.bus.provided[order_placed])

    class Counting:
        skus: list[str]

        def __init__(self) -> None:
            self.skus = []

        @on(order_placed)
        def count(self, sku: str, /) -> None:
            self.skus.append(sku)

    class Counter(Container):
        counting = Component(Counting)

    infra, shop, counter = Infra(), Shop(), Counter()
    with running(infra, shop, counter):
        shop.placing().placed.publish("mugs")
        assert counter.counting().skus == ["mugs"]


@pytest.mark.parametrize("of", ["the user", "the owner"])
def test_an_override_applies_to_containers_that_run_together(of: str) -> None:
    """It ends in all of them."""
    infra, orders, fake = Infra(), Orders(), Fake()
    with infra.override(Infra.db).by(fake), running(infra, orders):
        assert orders.user().db is infra.db() is fake

    with running(infra, orders):
        assert orders.user().db is infra.db() is not fake
        with pytest.raises(OverrideError, match="is built already"):
            (orders if of == "the user" else infra).override(Infra.db).by(fake).__enter__()


def test_each_run_links_its_own_containers() -> None:
    """A container that runs again with others refers to those; alone it has a fault."""
    orders = Orders()
    for infra in (Infra(), Infra()):
        with running(infra, orders):
            assert orders.user().db is infra.db()

    (fault,) = [one for one in with_faults(declaring("Plain", bus=Component(Bus))(), orders)]
    assert isinstance(fault, ReferenceFault)


def test_attach_links_containers() -> None:
    """They are linked to containers that are already attached to the bus."""
    infra, orders = Infra(), Orders()
    bus = orders.attach(infra.attach())

    bus.start()
    assert orders.user().db is infra.db()
    bus.exit()


def test_several_matching_containers_that_run_together_are_a_fault() -> None:
    """The fault names the candidates."""
    first, second = declaring("First", infra=Infra())(), declaring("Second", infra=declaring("Other", Infra)())()

    fault = next(one for one in with_faults(first, second, Orders()) if isinstance(one, ReferenceFault))

    assert fault.candidates == ("First.infra.db", "Second.infra.db")


def test_a_container_may_refer_to_one_nested_in_another_that_runs_with_it() -> None:
    """The instance may be nested at any depth."""
    app, more = App(), Orders()
    with running(app, more):
        assert more.user().db is app.infra.db()


def test_a_reference_to_an_instance_gives_its_component() -> None:
    """The two must run together."""
    infra = Infra()
    package = declaring("Package", user=Component(User, infra.db.provided))()
    with running(infra, package):
        assert package.user().db is infra.db()


def test_a_reference_to_a_disabled_component_is_a_fault_of_its_user() -> None:
    """The fault is found before a component is built."""

    class Off(Container):
        bus = Component(Bus)
        db = Component(Database).enabled(False, reason="off")

    class Needing(Container):
        user = Component(User, Off.db.provided)

    (fault,) = with_faults(Off(), Needing())

    assert isinstance(fault, DisabledFault)
    assert (fault.path, fault.disabled) == ("Needing.user", "Off.db")


def test_a_cycle_between_containers_that_run_together_is_one_fault() -> None:
    """It is not repeated for each container."""

    class First(Container):
        bus = Component(Bus)
        one = Component(User)

    class Second(Container):
        between = Component(User, First.one.provided)

    class Closing(First):
        one = Component(User, Second.between.provided)

    (fault,) = with_faults(Closing(), Second())

    assert isinstance(fault, CycleFault)
    assert set(fault.cycle) == {"Closing.one", "Second.between"}


def test_a_run_holds_no_reference_to_containers_of_an_earlier_run() -> None:
    """The next run removes the links to them."""
    orders, infra = Orders(), Infra()
    with running(infra, orders):
        former = weakref.ref(infra)
    del infra

    with running(Infra(), orders):
        gc.collect()
        assert former() is None


def calls_to_run(count: int) -> int:
    """Return the number of calls of Python functions to run *count* containers that refer to one more."""
    others = [
        type(f"Part{number}", (Container,), {f"c{one}": Component(Holder, Central.thing.provided) for one in range(5)})
        for number in range(count)
    ]
    instances: list[Container] = [Central(), *(cls() for cls in others)]
    calls = 0

    def note(frame: object, event: str, arg: object) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        with running(*instances):
            pass
    finally:
        sys.setprofile(before)
    return calls


class Thing:
    """A class without arguments."""


class Holder:
    def __init__(self, thing: Thing) -> None:
        self.thing = thing


class Central(Container):
    bus = Component(Bus)
    thing = Component(Thing)


@pytest.mark.slow
def test_the_work_to_run_linked_containers_is_proportional_to_their_number() -> None:
    """Their common graph is computed once, not once for each."""
    calls_to_run(2)  # what is computed once for each class
    few, many = calls_to_run(10), calls_to_run(40)
    assert many < 7 * few
