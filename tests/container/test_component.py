"""Components: the declaration, which arguments it accepts, and how components are built."""

from __future__ import annotations

import copy
import functools
import inspect
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import pytest
from dependency_injector import providers

from typedbus import (
    START,
    STOP,
    Bus,
    Channel,
    Component,
    Container,
    DeclarationError,
    InvalidContainer,
    OutsideContainer,
    TransitionFailures,
    provided,
    running,
)
from typedbus.events import LIFECYCLE, Constructed
from typedbus.faults import CycleFault

T = TypeVar("T")
ring = Channel[[], None]("ring")


class Settings:
    """Has attributes with names that dependency-injector's providers use themselves."""

    def __init__(self) -> None:
        self.url = "sqlite://"
        self.name = "name"
        self.provides = "provides"
        self.provider = "provider"
        self.call = "call"
        self.args = "args"
        self.override = "override"
        self.related = "related"
        self.last_overriding = "last_overriding"
        self.path = "path"
        self.place = "place"
        self.injection = "injection"
        self.limits = {"rows": [10, 20]}


class Database:
    """A component that others need."""

    def __init__(self, url: str = "memory://") -> None:
        self.url = url


class Needing:
    """Accepts any arguments, and keeps them."""

    def __init__(self, *needed: object, **named: object) -> None:
        self.needed = needed
        self.named = named


class Pair(NamedTuple):
    """Two numbers."""

    left: int
    right: int


def line() -> int:
    """Return the line that this is called from."""
    caller = inspect.currentframe()
    assert caller is not None
    assert caller.f_back is not None
    return caller.f_back.f_lineno


def uncalled(component: Component[T]) -> Callable[[], T]:
    """Return *component* as a function, by the library's `.provider`."""
    library: Any = component
    provider: Callable[[], T] = library.provider
    return provider


def run(program: str) -> str:
    """Run *program* in a new interpreter, which must exit with status 0, and return its output."""
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (process.returncode, process.stderr) == (0, "")
    return process.stdout


def chain(length: int) -> Container:
    """Return a container of *length* components, each of which needs the one before; `c0` needs none."""
    declared = {"c0": Component(Needing, "the end")}
    for number in range(1, length):
        declared[f"c{number}"] = Component(Needing, declared[f"c{number - 1}"].provided)
    row_class: Callable[[], Container] = type("Row", (Container,), dict(declared))
    return row_class()


def test_a_component_is_built_once() -> None:
    """However often it is called, and however many need it."""

    class Shop(Container):
        database = Component(Database)
        orders = Component(Needing, database.provided)

    shop = Shop()

    assert shop.orders() is shop.orders()
    assert shop.orders().needed == (shop.database(),)


def test_a_component_is_not_built_before_it_is_called_or_needed() -> None:
    """A new container instance holds no component, and a call builds only the component and its dependencies."""

    class Shop(Container):
        database = Component(Database)
        orders = Component(Needing, database.provided)
        other = Component(Database)

    shop = Shop()
    before = shop.database.is_built
    shop.orders()

    assert (before, shop.database.is_built, shop.other.is_built) == (False, True, False)


def test_a_factory_that_returns_none_is_called_once() -> None:
    """None is kept like any other instance."""
    calls: list[int] = []

    def prepare() -> None:
        calls.append(1)

    class Shop(Container):
        prepared = Component(prepare)
        orders = Component(Needing, prepared.provided)

    assert Shop().orders().needed == (None,)
    shop = Shop()
    shop.prepared()
    shop.orders()

    assert calls == [1, 1]


def test_arguments_are_passed_by_position_and_by_name() -> None:
    """Names that dependency-injector's providers use themselves are passed on, too."""

    class Shop(Container):
        orders = Component(Needing, 1, cls=2, provides=3, args=4, kwargs=5, home=6)

    orders = Shop().orders()

    assert orders.needed == (1,)
    assert orders.named == {"cls": 2, "provides": 3, "args": 4, "kwargs": 5, "home": 6}


@pytest.mark.parametrize(
    "argument",
    [[1], {"a": 1}, {1, 2}, threading.Lock(), ring, Pair(1, 2), Bus(), Database, len, lambda: None],
    ids=["list", "dict", "set", "lock", "channel", "named tuple", "bus", "class", "builtin", "function"],
)
def test_a_plain_argument_is_passed_unchanged(argument: object) -> None:
    """It is neither copied for an instance of the container nor called."""

    class Shop(Container):
        orders = Component(Needing, argument, named=argument)

    first, second = Shop().orders(), Shop().orders()

    assert first.needed[0] is first.named["named"] is second.needed[0] is argument


def test_components_inside_lists_tuples_and_dicts_are_injected() -> None:
    """At any depth, and beside plain values; a list stays a list and a tuple a tuple."""

    class Shop(Container):
        settings = Component(Settings)
        orders = Component(
            Needing,
            [settings.provided, 1],
            (settings.provided.url,),
            {"deep": [("x", {"er": settings.provided})]},
        )

    shop = Shop()
    settings = shop.settings()

    assert shop.orders().needed == ([settings, 1], ("sqlite://",), {"deep": [("x", {"er": settings})]})


def test_a_literal_without_provided_members_is_not_rebuilt() -> None:
    """Plain lists inside a list keep their identity, also beside a component."""
    plain = [1]

    class Shop(Container):
        settings = Component(Settings)
        orders = Component(Needing, [plain, settings.provided], [plain])

    mixed, alone = Shop().orders().needed

    assert isinstance(mixed, list)
    assert isinstance(alone, list)
    assert mixed[0] is plain
    assert alone[0] is plain


@pytest.mark.parametrize(
    "name",
    ["name", "provides", "provider", "call", "args", "override", "related"]
    + ["last_overriding", "path", "place", "injection"],
)
def test_a_provided_attribute_may_have_any_name(name: str) -> None:
    """Names of dependency-injector's providers and of typedbus do not hide attributes of the instance."""

    class Shop(Container):
        settings = Component(Settings)
        orders = Component(Needing, getattr(settings.provided, name))

    assert Shop().orders().needed == (name,)


def test_items_and_attributes_of_a_component_can_be_injected() -> None:
    """Attribute and item access can be mixed."""

    class Shop(Container):
        bus = Component(Bus)
        settings = Component(Settings)
        orders = Component(Needing, settings.provided.limits["rows"][1], bus.provided[ring])

    shop = Shop()

    assert shop.orders().needed == (20, shop.bus()[ring])


def test_the_repr_of_a_provided_attribute_is_its_expression() -> None:
    """It is written as in the container, for use in errors."""

    class Shop(Container):
        settings = Component(Settings)

    assert repr(Shop.settings.provided.limits["rows"]) == "<Shop.settings.provided.limits['rows']>"


def test_a_provided_attribute_has_no_special_attributes() -> None:
    """Libraries that probe with hasattr() get the right answer."""
    settings = Component(Settings)

    assert not hasattr(settings.provided, "__wrapped__")
    assert not hasattr(settings.provided, "__html__")


@pytest.mark.parametrize(
    "slip",
    [
        lambda declaration: f"{declaration}",
        lambda declaration: f"{declaration:>8}",
        lambda declaration: declaration(),
        lambda declaration: str(declaration),
        lambda declaration: not declaration,
        lambda declaration: list(declaration),
        lambda declaration: len(declaration),
        lambda declaration: 1 in declaration,
        lambda declaration: declaration == 1,
        lambda declaration: declaration != 1,
        lambda declaration: declaration < 1,
        lambda declaration: declaration <= 1,
        lambda declaration: declaration > 1,
        lambda declaration: declaration >= 1,
        lambda declaration: {declaration},
        lambda declaration: declaration + 1,
        lambda declaration: 1 + declaration,
        lambda declaration: declaration - 1,
        lambda declaration: declaration * 2,
        lambda declaration: declaration / 2,
        lambda declaration: declaration % 2,
        lambda declaration: declaration | {},
        lambda declaration: int(declaration),
        lambda declaration: float(declaration),
        lambda declaration: declaration.__enter__(),
    ],
    ids=["f-string", "format", "call", "str", "not", "iteration", "len", "in", "==", "!=", "<", "<=", ">", ">="]
    + ["hash", "+", "reflected +", "-", "*", "/", "%", "|", "int", "float", "with"],
)
def test_an_operation_on_a_declaration_raises_with_its_name_and_line(slip: Callable[[Any], object]) -> None:
    """No instance exists yet, so that its value cannot be used."""
    settings = Component(Settings)

    with pytest.raises(DeclarationError) as refused:
        slip(settings.provided.url)

    assert refused.value.path == f"{__name__}.Settings.provided.url"
    assert refused.value.place == f"{__file__}:{inspect.getsourcelines(slip)[1]}"
    assert "pass it to a component" in str(refused.value)


def test_an_operation_in_a_container_body_raises_with_its_line() -> None:
    """The line is that of the operation, not that of the declaration."""
    with pytest.raises(DeclarationError) as refused:

        class Shop(Container):
            settings = Component(Settings)
            orders = Component(Needing, f"{settings.provided.url}/orders")

    assert refused.value.place == f"{__file__}:{line() - 2}"


def test_an_object_that_is_not_callable_is_refused_as_a_component() -> None:
    """The declaration raises the error."""
    nothing: Any = 5

    with pytest.raises(DeclarationError, match="it is not callable") as refused:
        Component(nothing)

    assert refused.value.path == "5"
    assert refused.value.place == f"{__file__}:{line() - 3}"


def test_calling_a_declaration_on_the_class_is_refused() -> None:
    """The error shows how to call it on an instance."""

    class Shop(Container):
        database = Component(Database)

    with pytest.raises(OutsideContainer, match=r"Shop\(\)\.database\(\)") as refused:
        Shop.database()

    assert refused.value.path == "Shop.database"
    assert refused.value.place.startswith(f"{__file__}:")


def test_calling_a_component_outside_of_a_container_is_refused() -> None:
    """The error names the class that it would build."""
    with pytest.raises(OutsideContainer, match="is a declaration") as refused:
        Component(Database)()

    assert refused.value.path == f"{__name__}.Database"


def test_dependency_injector_cannot_build_a_declaration_on_the_class() -> None:
    """The library's call of a singleton raises the same error as a direct call."""

    class Shop(Container):
        database = Component(Database)

    library_s_own_call: Any = providers.Singleton.__call__
    with pytest.raises(OutsideContainer):
        library_s_own_call(Shop.database)


def test_calling_an_overridden_declaration_on_the_class_is_refused() -> None:
    """An override on the class applies to the instances of the container."""

    class Shop(Container):
        database = Component(Database)

    library: Any = Shop.database
    library.override(Database("class"))

    with pytest.raises(OutsideContainer):
        Shop.database()
    assert Shop().database().url == "class"


def test_the_exception_of_a_constructor_is_raised_unchanged() -> None:
    """It gets a note with the component and its place."""
    mistake = ValueError("no such host")

    def connect(url: str) -> Database:
        raise mistake

    class Shop(Container):
        declared = line() + 1
        database = Component(connect, "db:5432")
        orders = Component(Needing, database.provided)

    with pytest.raises(ValueError, match="no such host") as failed:
        Shop().orders()

    assert failed.value is mistake
    assert mistake.__notes__ == [f"raised while Shop.database was built ({__file__}:{Shop.declared})"]


def test_a_constructor_that_failed_is_tried_again() -> None:
    """The failure is not kept; the dependencies that were already built are."""
    failing = [OSError("not yet")]

    def connect(settings: Settings) -> Database:
        if failing:
            raise failing.pop()
        return Database(settings.url)

    class Shop(Container):
        settings = Component(Settings)
        database = Component(connect, settings.provided)

    shop = Shop()
    with pytest.raises(OSError, match="not yet"):
        shop.database()
    settings = shop.settings()

    assert shop.database().url == "sqlite://"
    assert shop.settings() is settings


def test_a_failing_constructor_releases_its_locks() -> None:
    """Another thread can use the container."""

    class Shop(Container):
        broken = Component(int, "x")
        database = Component(Database)

    shop = Shop()
    with pytest.raises(ValueError, match="invalid literal"):
        shop.broken()
    other = threading.Thread(target=shop.database)
    other.start()
    other.join(10)

    assert shop.database.is_built


def test_concurrent_calls_return_one_instance() -> None:
    """The first thread calls the constructor, and the others wait for it."""
    twice = threading.Event()
    begun: list[int] = []
    together = threading.Barrier(8)
    instances: list[object] = []

    def build() -> Database:
        begun.append(1)
        twice.set() if len(begun) > 1 else twice.wait(0.1)
        return Database()

    class Shop(Container):
        database = Component(build)

    def call(shop: Shop) -> None:
        together.wait(10)
        instances.append(shop.database())

    threads = [threading.Thread(target=call, args=[shared]) for shared in [Shop()] * 8]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert begun == [1]
    assert instances == [instances[0]] * 8


def test_a_constructor_may_call_a_provider_argument() -> None:
    """The library's `.provider` is passed as a function, and the constructing thread may build more components."""

    def look_up(database: Callable[[], Database]) -> str:
        return database().url

    class Shop(Container):
        database = Component(Database)
        url = Component(look_up, uncalled(database))

    assert Shop().url() == "memory://"


def test_a_reset_component_is_built_again() -> None:
    """Components that were built with the old instance keep it."""

    class Shop(Container):
        database = Component(Database)
        orders = Component(Needing, database.provided)

    shop = Shop()
    orders, old = shop.orders(), shop.database()
    shop.database.reset()
    built_after_reset = shop.database.is_built

    assert built_after_reset is False
    assert shop.database() is not old
    assert shop.orders() is orders
    assert orders.needed == (old,)


def test_a_reset_returns_a_context_manager() -> None:
    """As with the library's own singletons, the component is reset again at the end of the block."""

    class Shop(Container):
        database = Component(Database)

    shop = Shop()
    shop.database()
    context: Any = shop.database.reset()
    with context:
        inside = shop.database()

    assert shop.database() is not inside


def test_a_declaration_has_its_class_arguments_and_place() -> None:
    """They are public attributes."""
    component = Component(Needing, 1, 2, name=3)
    at = line() - 1

    assert component.builds is Needing
    assert component.arguments == (2, ("name",))
    assert component.place == f"{__file__}:{at}"
    assert repr(component) == f"<Component {__name__}.Needing ({__file__}:{at})>"


def test_on_and_without_add_hooks_and_copies_keep_them() -> None:
    """Both methods return the component, so that calls can be chained."""

    class Clock:
        def tick(self) -> None:
            ticks.append("tick")

        def tock(self) -> None:
            ticks.append("tock")

        def start(self) -> None:
            ticks.append("start")

    ticks: list[str] = []

    class Shop(Container):
        bus = Component(Bus)
        clock = Component(Clock).on(ring.calls(Clock.tick)).on(ring.calls(Clock.tock)).without(STOP).without(START)

    with running(Shop()) as shop:
        shop.bus()[ring].publish()

    assert ticks == ["tick", "tock"]


def test_provided_accepts_the_library_s_providers() -> None:
    """The function `provided` does the same as the property of a component."""

    class Shop(Container):
        database = providers.Factory(Database, "factory://")
        orders = Component(Needing, provided(database), provided(database).url)

    database, url = Shop().orders().needed

    assert isinstance(database, Database)
    assert url == "factory://"


def test_an_operation_on_a_library_provider_is_refused() -> None:
    """The provider has no path, so the error cannot name it."""
    with pytest.raises(DeclarationError, match=r"^a provider\.provided\.url "):
        str(provided(providers.Factory(Database)).url)


def test_the_dependencies_of_an_overridden_component_are_not_built() -> None:
    """The replacement is built with its own dependencies, in the same container."""

    class Shop(Container):
        settings = Component(Settings)
        database = Component(Database, settings.provided.url)
        orders = Component(Needing, database.provided)

    shop = Shop()
    with shop.override(Shop.database).by(Component(Database, Component(str, "stand-in://").provided)):
        (database,) = shop.orders().needed

        assert isinstance(database, Database)
        assert database.url == "stand-in://"
        assert not shop.settings.is_built


def test_the_default_of_a_dependency_is_built_before_its_users() -> None:
    """The library's `Dependency` delegates to its default; a cycle through it is a cycle."""
    default = Component(Needing)

    class Shop(Container):
        dependency: Any = providers.Dependency(default=default)
        orders = Component(Needing, provided(dependency))

    close(default, orders=Shop.orders)
    with pytest.raises(InvalidContainer):
        Shop().orders()


def test_a_partial_may_be_declared_as_a_component() -> None:
    """Any callable is accepted."""

    class Shop(Container):
        database = Component(functools.partial(Database, "partial://"))

    assert Shop().database().url == "partial://"


def test_the_bus_reports_the_building_of_each_component() -> None:
    """In the order of building, dependencies first; the bus itself is the first."""

    class Shop(Container):
        orders_settings = Component(Settings)
        bus = Component(Bus)
        orders = Component(Needing, orders_settings.provided)

    shop = Shop()
    events: list[object] = []
    shop.bus()[LIFECYCLE].subscribe(events.append)
    shop.orders()

    assert [event.path for event in events if isinstance(event, Constructed)] == ["Shop.orders_settings", "Shop.orders"]
    assert all(event.seconds >= 0 for event in events if isinstance(event, Constructed))


def test_a_deep_copy_outside_of_a_container_keeps_the_declaration() -> None:
    """It keeps its callable and its place, and belongs to no container and has no instance."""

    class Shop(Container):
        database = Component(Database, "x")

    shop = Shop()
    shop.database()
    copied = copy.deepcopy(shop.database)

    assert (copied.path, copied.place) == (shop.database.path, shop.database.place)
    assert (copied.builds, copied.arguments) == (Database, (1, ()))
    assert not copied.is_built
    with pytest.raises(OutsideContainer):
        copied()


def test_deep_copies_made_together_refer_to_each_other() -> None:
    """A component that two others need is copied once, and no copy needs an original."""

    class Shop(Container):
        database = Component(Database)
        orders = Component(Needing, database.provided)
        jobs = Component(Needing, named=database.provided)

    shop = Shop()

    assert shop.orders().needed[0] is shop.jobs().named["named"] is shop.database()
    assert not Shop.database.is_built


def test_a_copy_in_the_memo_is_returned() -> None:
    """This is the contract of `copy.deepcopy`."""
    component = Component(Database)
    memo: dict[int, Any] = {}

    copied = component.__deepcopy__(memo)

    assert component.__deepcopy__(memo) is copied


def test_a_component_may_be_built_by_a_provider() -> None:
    """Each instance of the container has its own copy of the provider."""

    class Shop(Container):
        database = Component(Database)
        same = Component(database)

    shop = Shop()

    assert shop.same() is shop.database()


def test_a_long_chain_is_built_without_recursion() -> None:
    """Building begins with the component that needs no other."""
    row: Any = chain(1_200)

    row.c1199()

    assert row.c0().needed == ("the end",)


@pytest.mark.slow
def test_a_chain_of_5000_is_built_without_recursion() -> None:
    """The library's own recursive calls exceed the limit of Python 3.11 between 500 and 1,000."""
    row: Any = chain(5_000)

    row.c4999()

    assert row.c0().needed == ("the end",)


@pytest.mark.slow
def test_a_chain_of_20000_is_built_and_torn_down_without_a_crash() -> None:
    """The library's own way would end Python 3.13 with a segmentation fault."""
    printed = run("""
        from typedbus import Bus, Component, Container, running
        class Link:
            def __init__(self, before): self.before = before
            def start(self): started.append(self)
        started = []
        declared = {"bus": Component(Bus), "c0": Component(Link, None)}
        for number in range(1, 20_000):
            declared[f"c{number}"] = Component(Link, declared[f"c{number - 1}"].provided)
        with running(type("Row", (Container,), declared)()):
            print(len(started), all(one.before is before for before, one in zip(started, started[1:])))
    """)

    assert printed == "20000 True\n"


class Circle(Container):
    """`a` needs `b`, `b` needs `c`, and `c` needs `a`: a cycle that only the library's methods can close."""

    a = Component(Needing)
    c = Component(Needing, [a.provided])
    b = Component(Needing, c.provided.needed)
    beside = Component(Needing)
    beyond = Component(Needing, b.provided)


def close(circle: Any, /, **needed: object) -> None:
    """Let the component *circle* need a component that is declared after it, by the library's methods."""
    circle.add_kwargs(**needed)


close(Circle.a, b=Circle.b)


@pytest.mark.parametrize(
    ("name", "circle"),
    [
        ("a", ("Circle.a", "Circle.b", "Circle.c")),
        ("c", ("Circle.c", "Circle.a", "Circle.b")),
        ("beyond", ("Circle.b", "Circle.c", "Circle.a")),
    ],
)
def test_the_error_for_a_cycle_has_the_whole_path(name: str, circle: tuple[str, ...]) -> None:
    """A call of a component in the cycle, or of one that needs it, raises before anything is built."""
    container = Circle()

    with pytest.raises(InvalidContainer) as invalid:
        getattr(container, name)()

    (fault,) = invalid.value.exceptions
    assert isinstance(fault, CycleFault)
    assert fault.cycle == circle
    assert fault.place == getattr(Circle, circle[0].partition(".")[2]).place
    assert not any(component.is_built for component in (container.a, container.b, container.c))


def test_a_component_that_does_not_need_a_cycle_is_built() -> None:
    """A cycle affects only the components that need it."""
    container = Circle()

    assert container.beside().needed == ()


def test_a_cycle_of_library_providers_is_described_by_their_classes() -> None:
    """They have neither name nor place."""
    inner = providers.Factory(Needing)
    outer = providers.Factory(Needing, inner)
    close(inner, outer=outer)

    class Shop(Container):
        orders = Component(Needing, provided(outer))

    with pytest.raises(InvalidContainer) as invalid:
        Shop().orders()

    (fault,) = invalid.value.exceptions
    assert isinstance(fault, CycleFault)
    assert ["providers.Factory" in member for member in fault.cycle] == [True, True]
    assert fault.place == "declared with dependency-injector's own providers"


def test_two_components_that_need_each_other_are_a_cycle() -> None:
    """The cycle is found while the container is copied, too."""

    class Shop(Container):
        a = Component(Needing)
        b = Component(Needing, a.provided)

    close(Shop.a, b=Shop.b)
    with pytest.raises(InvalidContainer) as invalid:
        Shop().b()

    (fault,) = invalid.value.exceptions
    assert isinstance(fault, CycleFault)
    assert fault.cycle == ("Shop.b", "Shop.a")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["validate", "attach", "a", "b"])
def test_a_cycle_does_not_crash_the_process(name: str) -> None:
    """On Python 3.13 a cycle that reaches dependency-injector is a segmentation fault."""
    printed = run(f"""
        from typedbus import Bus, Component, Container, InvalidContainer
        class Shop(Container):
            bus = Component(Bus)
            a = Component(dict)
            b = Component(dict, a=a.provided)
        Shop.a.add_kwargs(b=Shop.b)
        Shop.bus.add_attributes(a=Shop.a)
        try:
            Shop().{name}()
        except InvalidContainer as invalid:
            print("told", len(invalid.exceptions))
        else:
            print("{name} is beside the circle")
    """)

    assert printed == "told 1\n"


def test_a_cycle_through_a_lazy_dependency_is_accepted() -> None:
    """A component that is passed uncalled is needed later, so that it may close a cycle."""

    class Shop(Container):
        orders = Component(Needing)
        jobs = Component(Needing, orders.provided)

    close(Shop.orders, jobs=uncalled(Shop.jobs))
    shop = Shop()
    later: Any = shop.orders().named["jobs"]

    assert later() is shop.jobs()
    assert shop.jobs().needed == (shop.orders(),)


def broken() -> Database:
    """Stand for a constructor that fails."""
    raise OSError("no such host")


def test_a_start_that_fails_in_a_constructor_names_the_component() -> None:
    """The failure has the path of the component that was being built."""

    class Shop(Container):
        bus = Component(Bus)
        database = Component(broken)

    with pytest.raises(TransitionFailures) as raised:
        Shop().attach().start()

    assert [failure.name for failure in raised.value.failures] == ["Shop.database"]


def test_a_start_that_fails_between_two_components_names_the_container() -> None:
    """The component that was built before is not blamed."""

    def unannotated():  # type: ignore[no-untyped-def]  # what it returns is known only when it was built
        return Misfit()

    class Misfit:
        def start(self, when: int, /) -> None:
            """Does not fit."""

    class Shop(Container):
        bus = Component(Bus)
        misfit: Component[Misfit] = Component(unannotated)

    with pytest.raises(TransitionFailures) as raised:
        Shop().attach().start()

    assert [failure.name for failure in raised.value.failures] == ["Shop"]
