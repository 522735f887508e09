"""Components: the declaration, what may be said in it, and how they are built."""

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
    """Has attributes of names that the container library's providers use themselves."""

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
    """Something to be needed."""

    def __init__(self, url: str = "memory://") -> None:
        self.url = url


class Needing:
    """Takes anything, and keeps it."""

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
    """Return what hands *component* over as a function, with the library's own verb."""
    library: Any = component
    provider: Callable[[], T] = library.provider
    return provider


def run(program: str) -> str:
    """Run *program* in a Python of its own, which must end well, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def chain(length: int) -> Container:
    """Return a container of *length* components that need one another in a row, `c0` none."""
    declared = {"c0": Component(Needing, "the end")}
    for number in range(1, length):
        declared[f"c{number}"] = Component(Needing, declared[f"c{number - 1}"].provided)
    made: Callable[[], Container] = type("Row", (Container,), dict(declared))
    return made()


def test_a_component_is_built_once() -> None:
    """However often it is called, and however many need it."""

    class Shop(Container):
        database = Component(Database)
        orders = Component(Needing, database.provided)

    shop = Shop()

    assert shop.orders() is shop.orders()
    assert shop.orders().needed == (shop.database(),)


def test_nothing_is_built_before_it_is_called_or_needed() -> None:
    """A container instance holds no component yet, and a call builds only what it takes."""

    class Shop(Container):
        database = Component(Database)
        orders = Component(Needing, database.provided)
        other = Component(Database)

    shop = Shop()
    before = shop.database.is_built
    shop.orders()

    assert (before, shop.database.is_built, shop.other.is_built) == (False, True, False)


def test_none_is_kept_as_any_other_instance() -> None:
    """A function that returns None is called once."""
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


def test_arguments_are_handed_over_by_position_and_by_name() -> None:
    """Also those of names that the container library's own providers take."""

    class Shop(Container):
        orders = Component(Needing, 1, cls=2, provides=3, args=4, kwargs=5, home=6)

    orders = Shop().orders()

    assert orders.needed == (1,)
    assert orders.named == {"cls": 2, "provides": 3, "args": 4, "kwargs": 5, "home": 6}


@pytest.mark.parametrize(
    "given",
    [[1], {"a": 1}, {1, 2}, threading.Lock(), ring, Pair(1, 2), Bus(), Database, len, lambda: None],
    ids=["list", "dict", "set", "lock", "channel", "named tuple", "bus", "class", "builtin", "function"],
)
def test_an_argument_is_handed_over_as_it_is(given: object) -> None:
    """Nothing is copied, for no instance of the container, and nothing is called."""

    class Shop(Container):
        orders = Component(Needing, given, named=given)

    first, second = Shop().orders(), Shop().orders()

    assert first.needed[0] is first.named["named"] is second.needed[0] is given


def test_what_components_provide_is_found_in_lists_tuples_and_dicts() -> None:
    """At any depth, and beside plain values; a list comes out as a list and a tuple as a tuple."""

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
    """Plain lists inside of a list keep their identity, also beside a provided one."""
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
def test_an_attribute_of_what_is_provided_may_have_any_name(name: str) -> None:
    """Those of the container library's providers, and of this library, hide none of the instance's."""

    class Shop(Container):
        settings = Component(Settings)
        orders = Component(Needing, getattr(settings.provided, name))

    assert Shop().orders().needed == (name,)


def test_an_item_of_what_is_provided_can_be_handed_on() -> None:
    """Attribute and item access can be mixed, as on the instance."""

    class Shop(Container):
        bus = Component(Bus)
        settings = Component(Settings)
        orders = Component(Needing, settings.provided.limits["rows"][1], bus.provided[ring])

    shop = Shop()

    assert shop.orders().needed == (20, shop.bus()[ring])


def test_what_is_provided_names_itself() -> None:
    """As it is written in the container, so that an error can name it."""

    class Shop(Container):
        settings = Component(Settings)

    assert repr(Shop.settings.provided.limits["rows"]) == "<Shop.settings.provided.limits['rows']>"


def test_what_is_provided_has_none_of_python_s_own_attributes() -> None:
    """Libraries that ask for one with hasattr() are told the truth."""
    settings = Component(Settings)

    assert not hasattr(settings.provided, "__wrapped__")
    assert not hasattr(settings.provided, "__html__")


@pytest.mark.parametrize(
    "slip",
    [
        lambda given: f"{given}",
        lambda given: f"{given:>8}",
        lambda given: given(),
        lambda given: str(given),
        lambda given: not given,
        lambda given: list(given),
        lambda given: len(given),
        lambda given: 1 in given,
        lambda given: given == 1,
        lambda given: given != 1,
        lambda given: given < 1,
        lambda given: given <= 1,
        lambda given: given > 1,
        lambda given: given >= 1,
        lambda given: {given},
        lambda given: given + 1,
        lambda given: 1 + given,
        lambda given: given - 1,
        lambda given: given * 2,
        lambda given: given / 2,
        lambda given: given % 2,
        lambda given: given | {},
        lambda given: int(given),
        lambda given: float(given),
        lambda given: given.__enter__(),
    ],
    ids=["f-string", "format", "call", "str", "not", "iteration", "len", "in", "==", "!=", "<", "<=", ">", ">="]
    + ["hash", "+", "reflected +", "-", "*", "/", "%", "|", "int", "float", "with"],
)
def test_a_slip_is_refused_at_its_line_by_name(slip: Callable[[Any], object]) -> None:
    """There is no instance yet whose value could be used; the error says what and where."""
    settings = Component(Settings)

    with pytest.raises(DeclarationError) as refused:
        slip(settings.provided.url)

    assert refused.value.path == f"{__name__}.Settings.provided.url"
    assert refused.value.place == f"{__file__}:{inspect.getsourcelines(slip)[1]}"
    assert "pass it to a component" in str(refused.value)


def test_a_slip_in_a_container_s_body_names_its_line() -> None:
    """The place is where the slip is written, not where the component was declared."""
    with pytest.raises(DeclarationError) as refused:

        class Shop(Container):
            settings = Component(Settings)
            orders = Component(Needing, f"{settings.provided.url}/orders")

    assert refused.value.place == f"{__file__}:{line() - 2}"


def test_what_cannot_be_called_is_no_component() -> None:
    """It is told where it is declared."""
    nothing: Any = 5

    with pytest.raises(DeclarationError, match="it is not callable") as refused:
        Component(nothing)

    assert refused.value.path == "5"
    assert refused.value.place == f"{__file__}:{line() - 3}"


def test_a_declaration_builds_nothing() -> None:
    """Called on the class of a container it says how to call it instead."""

    class Shop(Container):
        database = Component(Database)

    with pytest.raises(OutsideContainer, match=r"Shop\(\)\.database\(\)") as refused:
        Shop.database()

    assert refused.value.path == "Shop.database"
    assert refused.value.place.startswith(f"{__file__}:")


def test_a_component_outside_of_any_container_builds_nothing() -> None:
    """It is named by what it would build."""
    with pytest.raises(OutsideContainer, match="is a declaration") as refused:
        Component(Database)()

    assert refused.value.path == f"{__name__}.Database"


def test_a_declaration_builds_nothing_for_the_container_library_either() -> None:
    """Its call of a singleton meets the same refusal as one's own."""

    class Shop(Container):
        database = Component(Database)

    library_s_own_call: Any = providers.Singleton.__call__
    with pytest.raises(OutsideContainer):
        library_s_own_call(Shop.database)


def test_a_declaration_that_is_overridden_builds_nothing() -> None:
    """What stands in for it on the class is for the instances of the container."""

    class Shop(Container):
        database = Component(Database)

    library: Any = Shop.database
    library.override(Database("class"))

    with pytest.raises(OutsideContainer):
        Shop.database()
    assert Shop().database().url == "class"


def test_a_failing_constructor_is_heard_as_it_is() -> None:
    """The very exception comes out, with a note that names the component and its place."""
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
    """Nothing is kept of a failure; what had been built before is."""
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


def test_a_failing_constructor_leaves_no_lock_behind() -> None:
    """Another thread can go on with the container."""

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


def test_threads_that_call_at_once_get_one_instance() -> None:
    """The first calls the constructor, and the others wait for it."""
    twice = threading.Event()
    begun: list[int] = []
    together = threading.Barrier(8)
    got: list[object] = []

    def build() -> Database:
        begun.append(1)
        twice.set() if len(begun) > 1 else twice.wait(0.1)
        return Database()

    class Shop(Container):
        database = Component(build)

    def call(shop: Shop) -> None:
        together.wait(10)
        got.append(shop.database())

    threads = [threading.Thread(target=call, args=[shared]) for shared in [Shop()] * 8]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert begun == [1]
    assert got == [got[0]] * 8


def test_a_constructor_may_call_what_it_was_given_uncalled() -> None:
    """The thread that builds may build more; the library's `.provider` is handed over as a function."""

    def look_up(database: Callable[[], Database]) -> str:
        return database().url

    class Shop(Container):
        database = Component(Database)
        url = Component(look_up, uncalled(database))

    assert Shop().url() == "memory://"


def test_a_reset_component_is_built_anew() -> None:
    """Those that were built with the old instance keep it."""

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


def test_a_reset_gives_the_library_s_context_back() -> None:
    """As with the library's own singletons the reset can be had for a block, at whose end is another."""

    class Shop(Container):
        database = Component(Database)

    shop = Shop()
    shop.database()
    context: Any = shop.database.reset()
    with context:
        inside = shop.database()

    assert shop.database() is not inside


def test_the_declaration_can_be_asked() -> None:
    """What builds it, with how much, from where."""
    component = Component(Needing, 1, 2, name=3)
    at = line() - 1

    assert component.builds is Needing
    assert component.arguments == (2, ("name",))
    assert component.place == f"{__file__}:{at}"
    assert repr(component) == f"<Component {__name__}.Needing ({__file__}:{at})>"


def test_hooks_are_added_to_those_before_and_belong_to_every_copy() -> None:
    """Both verbs give the component back, so that they can be written one after the other."""

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


def test_the_library_s_providers_can_be_handed_on_as_well() -> None:
    """`provided` does for them what the property of that name does for a component."""

    class Shop(Container):
        database = providers.Factory(Database, "factory://")
        orders = Component(Needing, provided(database), provided(database).url)

    database, url = Shop().orders().needed

    assert isinstance(database, Database)
    assert url == "factory://"


def test_the_slip_with_one_of_the_library_s_providers_is_refused() -> None:
    """It has no path that could name it."""
    with pytest.raises(DeclarationError, match=r"^a provider\.provided\.url "):
        str(provided(providers.Factory(Database)).url)


def test_what_an_overridden_component_needs_is_not_built() -> None:
    """What stands in for it is built with what it needs itself, and has the container for a home."""

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


def test_the_default_of_a_dependency_is_built_before_who_needs_it() -> None:
    """The library's `Dependency` hands its default on; a circle through it is one."""
    default = Component(Needing)

    class Shop(Container):
        dependency: Any = providers.Dependency(default=default)
        orders = Component(Needing, provided(dependency))

    close(default, orders=Shop.orders)
    with pytest.raises(InvalidContainer):
        Shop().orders()


def test_a_partial_is_a_component_as_well() -> None:
    """Anything that can be called is."""

    class Shop(Container):
        database = Component(functools.partial(Database, "partial://"))

    assert Shop().database().url == "partial://"


def test_the_building_of_each_component_is_told() -> None:
    """On the bus, as it happens, dependencies first; the bus itself is the first to be heard of."""

    class Shop(Container):
        orders_settings = Component(Settings)
        bus = Component(Bus)
        orders = Component(Needing, orders_settings.provided)

    shop = Shop()
    told: list[object] = []
    shop.bus()[LIFECYCLE].subscribe(told.append)
    shop.orders()

    assert [event.path for event in told if isinstance(event, Constructed)] == ["Shop.orders_settings", "Shop.orders"]
    assert all(event.seconds >= 0 for event in told if isinstance(event, Constructed))


def test_a_deep_copy_outside_of_a_container_is_the_same_declaration() -> None:
    """It keeps what builds it and its place, and has neither home nor instance."""

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


def test_deep_copies_made_together_belong_together() -> None:
    """A component that two others need is copied once, and none of the copies needs an original."""

    class Shop(Container):
        database = Component(Database)
        orders = Component(Needing, database.provided)
        jobs = Component(Needing, named=database.provided)

    shop = Shop()

    assert shop.orders().needed[0] is shop.jobs().named["named"] is shop.database()
    assert not Shop.database.is_built


def test_a_copy_that_was_made_already_is_given_again() -> None:
    """The memo of a deep copy decides."""
    component = Component(Database)
    memo: dict[int, Any] = {}

    copied = component.__deepcopy__(memo)

    assert component.__deepcopy__(memo) is copied


def test_a_component_may_be_built_by_a_provider() -> None:
    """Each instance of the container has its own copy of that as well."""

    class Shop(Container):
        database = Component(Database)
        same = Component(database)

    shop = Shop()

    assert shop.same() is shop.database()


def test_a_long_chain_is_built_without_recursion() -> None:
    """From its far end, which needs all the others."""
    row: Any = chain(1_200)

    row.c1199()

    assert row.c0().needed == ("the end",)


@pytest.mark.slow
def test_a_chain_of_5000_is_built_without_recursion() -> None:
    """Python 3.11 gives up on the library's own way of calling between 500 and 1,000."""
    row: Any = chain(5_000)

    row.c4999()

    assert row.c0().needed == ("the end",)


@pytest.mark.slow
def test_a_chain_of_20000_is_built_and_torn_down_without_a_crash() -> None:
    """Python 3.13 would end in a segmentation fault; the process ends well."""
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
    """`a` needs `b`, `b` needs `c`, and `c` needs `a`: a circle that only the library's verbs can close."""

    a = Component(Needing)
    c = Component(Needing, [a.provided])
    b = Component(Needing, c.provided.needed)
    beside = Component(Needing)
    beyond = Component(Needing, b.provided)


def close(circle: Any, /, **needed: object) -> None:
    """Let the component *circle* need what is declared after it, as the library's verbs allow."""
    circle.add_kwargs(**needed)


close(Circle.a, b=Circle.b)


@pytest.mark.parametrize(
    ("asked", "circle"),
    [
        ("a", ("Circle.a", "Circle.b", "Circle.c")),
        ("c", ("Circle.c", "Circle.a", "Circle.b")),
        ("beyond", ("Circle.b", "Circle.c", "Circle.a")),
    ],
)
def test_a_circle_is_told_with_its_whole_path(asked: str, circle: tuple[str, ...]) -> None:
    """A call in or beyond it says so, and builds nothing; it never reaches the container library."""
    container = Circle()

    with pytest.raises(InvalidContainer) as invalid:
        getattr(container, asked)()

    (fault,) = invalid.value.exceptions
    assert isinstance(fault, CycleFault)
    assert fault.cycle == circle
    assert fault.place == getattr(Circle, circle[0].partition(".")[2]).place
    assert not any(component.is_built for component in (container.a, container.b, container.c))


def test_a_component_beside_a_circle_is_built_all_the_same() -> None:
    """A circle is no matter of those that do not need it."""
    container = Circle()

    assert container.beside().needed == ()


def test_a_circle_of_the_library_s_own_providers_is_told_by_these() -> None:
    """They have no name and no place of their own."""
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


def test_two_components_that_need_each_other_are_a_circle() -> None:
    """With nothing in between, also while the container is copied."""

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
@pytest.mark.parametrize("asked", ["validate", "attach", "a", "b"])
def test_no_circle_ever_crashes_the_process(asked: str) -> None:
    """On Python 3.13 a circle that reaches the container library is a segmentation fault."""
    printed = run(f"""
        from typedbus import Bus, Component, Container, InvalidContainer
        class Shop(Container):
            bus = Component(Bus)
            a = Component(dict)
            b = Component(dict, a=a.provided)
        Shop.a.add_kwargs(b=Shop.b)
        Shop.bus.add_attributes(a=Shop.a)
        try:
            Shop().{asked}()
        except InvalidContainer as invalid:
            print("told", len(invalid.exceptions))
        else:
            print("{asked} is beside the circle")
    """)

    assert printed == "told 1\n"


def test_the_circle_of_a_lazy_edge_is_no_circle() -> None:
    """What is handed over uncalled is needed later, and may close a circle."""

    class Shop(Container):
        orders = Component(Needing)
        jobs = Component(Needing, orders.provided)

    close(Shop.orders, jobs=uncalled(Shop.jobs))
    shop = Shop()
    later: Any = shop.orders().named["jobs"]

    assert later() is shop.jobs()
    assert shop.jobs().needed == (shop.orders(),)


def broken() -> Database:
    """Stand for a constructor that cannot do its work."""
    raise OSError("no such host")


def test_a_start_that_a_constructor_ends_names_the_component() -> None:
    """The failure bears the path of what was being built, and not of the machinery that built it."""

    class Shop(Container):
        bus = Component(Bus)
        database = Component(broken)

    with pytest.raises(TransitionFailures) as caught:
        Shop().attach().start()

    assert [failure.name for failure in caught.value.failures] == ["Shop.database"]


def test_a_start_that_fails_between_two_components_names_the_container() -> None:
    """What was built before has nothing to do with it."""

    def unannotated():  # type: ignore[no-untyped-def]  # what it returns is known only when it was built
        return Misfit()

    class Misfit:
        def start(self, when: int, /) -> None:
            """Does not fit."""

    class Shop(Container):
        bus = Component(Bus)
        misfit: Component[Misfit] = Component(unannotated)

    with pytest.raises(TransitionFailures) as caught:
        Shop().attach().start()

    assert [failure.name for failure in caught.value.failures] == ["Shop"]
