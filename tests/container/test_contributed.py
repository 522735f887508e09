"""Contributed containers: installed distributions add components to a container by real entry points."""

from __future__ import annotations

import copy
import importlib
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from typedbus import Bus, Component, InvalidContainer, TransitionFailures, running
from typedbus._container.core import components_of
from typedbus.events import LIFECYCLE, ComponentStarted, Constructed, Failed
from typedbus.faults import ContributionFault

HOST = """
from typedbus import Bus, Channel, Component, Container, Contributed, on

ring = Channel[[], str]("ring")


class Part:
    def __init__(self, notes, name, *needed):
        self.notes, self.name, self.needed = notes, name, needed
        self.notes.append(f"build {name}")

    def start(self):
        self.notes.append(f"start {self.name}")

    def stop(self):
        self.notes.append(f"stop {self.name}")

    @on(ring)
    def answer(self):
        return self.name


class Shop(Container):
    bus = Component(Bus)
    notes = Component(list)
    plugins = Contributed("shop.plugins")
    database = Component(Part, notes.provided, "database")
"""

GAUGES = """
from host import Part, Shop
from typedbus import Component, Container


class Gauges(Container):
    gauge = Component(Part, Shop.notes.provided, "gauge", Shop.database.provided, Shop.bus.provided)
    dial = Component(Part, Shop.notes.provided, "dial", gauge.provided)
"""

PLACE = '    plugins = Contributed("shop.plugins")'
GAUGE = "Shop.plugins[shop-metrics:gauges].gauge"

Install: TypeAlias = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install distributions: a module each, and the entry points of their group."""
    before = set(sys.modules)
    (tmp_path / "host.py").write_text(HOST, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    def install(name: str, module: str, code: str, group: str = "shop.plugins", **entries: str) -> None:
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(code), encoding="utf-8")
        about = tmp_path / f"{name.replace('-', '_')}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
        lines = [f"[{group}]", *(f"{entry} = {value}" for entry, value in entries.items())]
        (about / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        importlib.invalidate_caches()

    yield install
    for added in set(sys.modules) - before:
        if str(tmp_path) in (getattr(sys.modules[added], "__file__", None) or ""):
            del sys.modules[added]


@pytest.fixture
def gauges(install: Install) -> Any:
    """Install a distribution with a container of two components, and return the module of the host."""
    install("shop-metrics", "metrics", GAUGES, gauges="metrics:Gauges")
    return host()


def host() -> Any:
    """Return the module of the container that others contribute to."""
    return importlib.import_module("host")


def component(shop: Any, path: str) -> Any:
    """Return the component of *shop* with the path *path*."""
    return next(component for component in components_of(shop) if component.path == path)


def faults(shop: Any) -> list[Any]:
    """Return the faults that `validate()` reports for *shop*."""
    with pytest.raises(InvalidContainer) as invalid:
        shop.validate()
    return list(invalid.value.exceptions)


def test_a_container_without_installed_contributions_has_its_own_components_only(install: Install) -> None:
    """It is valid."""
    shop = host().Shop()
    shop.validate()

    assert list(shop.plugins) == []


def test_a_contribution_gets_the_components_of_the_instance(gauges: Any) -> None:
    """Each instance of the host has its own contributed components."""
    one, other = gauges.Shop(), gauges.Shop()

    gauge = component(one, GAUGE)()

    assert gauge.needed == (one.database(), one.bus())
    assert component(other, GAUGE)().needed == (other.database(), other.bus())
    assert gauge is component(one, GAUGE)()


def test_a_contributed_component_listens_on_the_bus(gauges: Any) -> None:
    """It is like any other component."""
    with running(gauges.Shop()) as shop:
        assert sorted(shop.bus()[gauges.ring].publish()) == ["database", "dial", "gauge"]


def test_a_contributed_component_starts_after_its_dependencies_and_stops_before_them(gauges: Any) -> None:
    """The contribution point is declared before the dependencies."""
    with running(gauges.Shop()) as shop:
        notes = shop.notes()

    assert [note for note in notes if "start" in note] == ["start database", "start gauge", "start dial"]
    assert [note for note in notes if "stop" in note] == ["stop dial", "stop gauge", "stop database"]


def test_a_contribution_gets_the_replacement_of_a_subclass(gauges: Any) -> None:
    """The contribution refers to the base class."""

    class Test(gauges.Shop):  # type: ignore[misc]  # it is known at run time alone
        database = Component(gauges.Part, gauges.Shop.notes.provided, "fake")

    test = Test()

    assert component(test, "Test.plugins[shop-metrics:gauges].gauge")().needed[0] is test.database()
    assert test.database().name == "fake"


def test_a_contribution_gets_an_override(gauges: Any) -> None:
    """For the length of the block."""
    shop = gauges.Shop()
    fake = gauges.Part([], "fake")

    with shop.override(gauges.Shop.database).by(fake):
        assert component(shop, GAUGE)().needed[0] is fake

    assert component(shop, GAUGE)().needed[0] is shop.database()


def test_a_contributed_component_can_be_overridden(gauges: Any) -> None:
    """The override goes through the host, by the class that was contributed."""
    shop = gauges.Shop()
    fake = gauges.Part([], "fake")
    declared = importlib.import_module("metrics").Gauges

    with shop.override(declared.gauge).by(fake), running(shop):
        assert component(shop, "Shop.plugins[shop-metrics:gauges].dial")().needed == (fake,)

    assert "start gauge" not in shop.notes()
    assert fake.notes == ["build fake", "start fake", "stop fake"]


def test_a_declaration_that_overrides_a_contributed_component_may_need_others(gauges: Any) -> None:
    """It may need components of the host and of the contribution."""
    shop = gauges.Shop()
    declared = importlib.import_module("metrics").Gauges
    stand_in = Component(gauges.Part, gauges.Shop.notes.provided, "other", gauges.Shop.database.provided)

    with shop.override(declared.gauge).by(stand_in):
        assert component(shop, "Shop.plugins[shop-metrics:gauges].dial")().needed[0].needed == (shop.database(),)
    stand_in = Component(gauges.Part, gauges.Shop.notes.provided, "other", declared.gauge.provided)
    with shop.override(declared.dial).by(stand_in):
        assert component(shop, "Shop.plugins[shop-metrics:gauges].dial")().needed == (component(shop, GAUGE)(),)


def test_paths_name_the_distribution_and_the_entry_point(gauges: Any) -> None:
    """All life-cycle events of contributed components use these paths."""
    shop = gauges.Shop()
    events: list[object] = []
    shop.attach()[LIFECYCLE].subscribe(events.append)
    with running(shop):
        pass

    assert list(shop.plugins) == ["shop-metrics:gauges"]
    for kind in (Constructed, ComponentStarted):
        assert GAUGE in [event.path for event in events if isinstance(event, kind)]


def test_a_failure_names_the_distribution(install: Install) -> None:
    """The failure is that of a hook."""
    broken = """
        from typedbus import Component, Container

        class Broken:
            def start(self):
                raise OSError("no")

        class Parts(Container):
            broken = Component(Broken)
    """
    install("shop-broken", "broken", broken, parts="broken:Parts")
    shop = host().Shop()
    events: list[object] = []
    shop.attach()[LIFECYCLE].subscribe(events.append)

    with pytest.raises(TransitionFailures, match=r"Shop\.plugins\[shop-broken:parts\]\.broken\.start"), running(shop):
        pass

    (failed,) = (event for event in events if isinstance(event, Failed))
    assert failed.path == "Shop.plugins[shop-broken:parts].broken"


def test_a_fault_of_a_contributed_component_names_the_distribution(install: Install) -> None:
    """It also names the line in the contributed module."""
    wrong = GAUGES.replace('Shop.notes.provided, "dial", gauge', "wrong=gauge")
    install("shop-metrics", "metrics", wrong, gauges="metrics:Gauges")

    messages = faults(host().Shop())

    assert {fault.path for fault in messages} == {"Shop.plugins[shop-metrics:gauges].dial"}
    assert all("metrics.py:" in fault.place for fault in messages)


def test_distributions_and_entry_points_are_sorted_by_name(install: Install) -> None:
    """The order of installation and of directories does not matter."""
    for name in ("b", "a", "c"):
        code = GAUGES.replace("Shop.database.provided, ", "").replace('"gauge"', f'"{name}"')
        other = GAUGES[GAUGES.index("class") :].replace("Gauges", "Others").replace('"gauge"', f'"other {name}"')
        install(f"shop-{name}", f"parts_{name}", code + other, two=f"parts_{name}:Gauges", one=f"parts_{name}:Others")

    with running(host().Shop()) as shop:
        notes = shop.notes()

    assert list(shop.plugins) == [f"shop-{name}:{entry}" for name in "abc" for entry in ("one", "two")]
    starts = [note.removeprefix("start ") for note in notes if note.startswith("start") and note != "start dial"]
    assert [name for name in starts if "other" not in name] == ["a", "b", "c", "database"]


def test_one_distribution_may_refer_to_the_contribution_of_another(install: Install) -> None:
    """It gets the same component, whichever of the two comes first."""
    reader = """
        from host import Part, Shop
        from metrics import Gauges
        from typedbus import Component, Container

        class Readers(Container):
            reader = Component(Part, Shop.notes.provided, "reader", Gauges.gauge.provided)
    """
    install("shop-metrics", "metrics", GAUGES, gauges="metrics:Gauges")
    install("shop-after", "after", reader, readers="after:Readers")
    install("shop-z", "z", reader, readers="z:Readers")
    shop = host().Shop()
    shop.validate()

    gauge = component(shop, GAUGE)()

    for name in ("shop-after", "shop-z"):
        assert component(shop, f"Shop.plugins[{name}:readers].reader")().needed == (gauge,)


def test_a_class_that_is_contributed_twice_is_a_fault(install: Install) -> None:
    """References to it would be ambiguous."""
    install("shop-metrics", "metrics", GAUGES, gauges="metrics:Gauges", more="metrics:Gauges")

    (fault,) = faults(host().Shop())

    assert isinstance(fault, ContributionFault)
    assert fault.path == "Shop.plugins[shop-metrics:more]"
    assert "is contributed as shop-metrics:gauges already" in fault.problem


BAD = {
    "not there": ("", "nowhere:Parts", "cannot be loaded: ModuleNotFoundError"),
    "import error": ("import nowhere", "bad:Parts", "cannot be loaded: ModuleNotFoundError"),
    "exception": ("raise ValueError('no licence')", "bad:Parts", "cannot be loaded: ValueError: no licence"),
    "no attribute": ("", "bad:Parts", "cannot be loaded: AttributeError"),
    "no class": ("Parts = 42", "bad:Parts", "is 42; name a container class"),
    "another class": ("Parts = int", "bad:Parts", "is <class 'int'>; name a container class"),
    "an instance": (
        "from typedbus import Container\nclass C(Container): pass\nParts = C()",
        "bad:Parts",
        r"is <C with 0 declaration\(s\)>; name a container class",
    ),
    "a place": ("from typedbus import Contributed as Parts", "bad:Parts", "is <class .*>; name a container class"),
}


@pytest.mark.parametrize(("code", "value", "problem"), BAD.values(), ids=BAD)
def test_an_invalid_contribution_is_a_fault(install: Install, code: str, value: str, problem: str) -> None:
    """The fault names distribution, entry point and place; the container can still be instantiated."""
    install("shop-bad", "bad", code, parts=value)

    (fault,) = faults(host().Shop())

    assert isinstance(fault, ContributionFault)
    assert fault.path == "Shop.plugins[shop-bad:parts]"
    assert fault.place.endswith(f"host.py:{HOST.splitlines().index(PLACE) + 1}")
    assert fault.problem.startswith(f"{value} of distribution shop-bad ")
    with pytest.raises(ContributionFault, match=f"{problem}.*, or uninstall the distribution$"):
        raise fault


def test_faults_of_contributions_are_reported_with_all_other_faults(install: Install) -> None:
    """Valid contributions are validated, too."""
    install("shop-bad", "bad", "", parts="bad:Parts", more="nowhere:Parts")
    install("shop-metrics", "metrics", GAUGES.replace('"dial", ', "wrong="), gauges="metrics:Gauges")

    class Test(host().Shop):  # type: ignore[misc]  # it is known at run time alone
        another = Component(Bus)

    messages = faults(Test())

    assert [type(fault).__name__ for fault in messages] == ["ArgumentFault"] * 2 + ["ContributionFault"] * 2 + [
        "BusFault"
    ]


def test_a_contributed_container_may_accept_contributions(install: Install) -> None:
    """Faults there have the whole path."""
    more = GAUGES + '    more = Contributed("metrics.plugins")\n'
    code = more.replace("import Component", "import Contributed, Component")
    install("shop-metrics", "metrics", code, gauges="metrics:Gauges")
    install("metrics-bad", "bad", "", group="metrics.plugins", parts="bad:Parts")

    (fault,) = faults(host().Shop())

    assert fault.path == "Shop.plugins[shop-metrics:gauges].more[metrics-bad:parts]"


def test_a_container_with_such_a_fault_does_not_start(install: Install) -> None:
    """None of its components is built."""
    install("shop-bad", "bad", "", parts="bad:Parts")
    shop = host().Shop()

    with pytest.raises(InvalidContainer), running(shop):
        pass

    assert not shop.database.is_built


def test_a_subclass_may_disable_contributions(gauges: Any) -> None:
    """It redeclares the contribution point with an unused group."""

    class Test(gauges.Shop):  # type: ignore[misc]  # it is known at run time alone
        plugins = type(gauges.Shop.plugins)("nobody")

    test: Any = Test()
    with running(test):
        assert test.notes() == ["build database", "start database"]


NESTED = """
from typedbus import Component, Container, Contributed
from host import Part, Shop as Infra


class Shop(Container):
    infra = Infra()
    orders = Component(Part, infra.notes.provided, "orders", infra.database.provided)
"""


def test_a_contribution_to_a_nested_container_gets_the_components_of_its_instance(
    install: Install, tmp_path: Path
) -> None:
    """It refers to the class of the nested container."""
    install("shop-metrics", "metrics", GAUGES, gauges="metrics:Gauges")
    (tmp_path / "outer.py").write_text(NESTED, encoding="utf-8")
    outer = importlib.import_module("outer")

    with running(outer.Shop()) as shop:
        notes = shop.infra.notes()
        gauge = component(shop, "Shop.infra.plugins[shop-metrics:gauges].gauge")()

        assert gauge.needed == (shop.infra.database(), shop.infra.bus())
        assert shop.orders().needed == (shop.infra.database(),)
    assert [note for note in notes if "build" in note].count("build database") == 1
    assert [note for note in notes if "start" in note] == [
        "start database",
        "start gauge",
        "start dial",
        "start orders",
    ]


def test_two_nested_containers_have_separate_contributions(install: Install, tmp_path: Path) -> None:
    """Each contribution gets the components of its own host."""
    install("shop-metrics", "metrics", GAUGES, gauges="metrics:Gauges")
    nested = NESTED.replace("    infra = Infra()", "    infra = Infra()\n    other = Infra()")
    (tmp_path / "outer.py").write_text(nested, encoding="utf-8")
    shop = importlib.import_module("outer").Shop()

    for name, container in (("infra", shop.infra), ("other", shop.other)):
        gauge = component(shop, f"Shop.{name}.plugins[shop-metrics:gauges].gauge")()
        assert gauge.needed[0] is container.database()


def test_a_deep_copy_has_separate_contributions(gauges: Any) -> None:
    """They refer to components of the copy."""
    shop = gauges.Shop()
    copied = copy.deepcopy(shop)

    assert component(copied, GAUGE)().needed[0] is copied.database()
    assert component(copied, GAUGE)() is not component(shop, GAUGE)()


FUNCTIONS = """
from host import ring
from typedbus import Listeners

listeners = Listeners()


@listeners.on(ring, priority=10)
def hum() -> str:
    return "hum"
"""


def test_an_entry_point_may_name_listeners(install: Install) -> None:
    """Their functions listen in each instance, and are named after the distribution."""
    install("shop-sounds", "sounds", FUNCTIONS, sounds="sounds:listeners")
    module = host()

    for _ in range(2):
        with running(module.Shop()) as shop:
            assert list(shop.plugins) == ["shop-sounds:sounds"]
            assert shop.bus()[module.ring].publish() == ["hum", "database"]
            first = shop.bus()[module.ring].subscriptions[0]
            assert (first.path, first.name) == (
                "Shop.plugins[shop-sounds:sounds]",
                "Shop.plugins[shop-sounds:sounds].hum",
            )


def test_a_contributed_function_that_does_not_fit_is_reported_with_its_place(install: Install) -> None:
    """The fault has the path of the contribution, and the line of the registration."""
    install("shop-sounds", "sounds", FUNCTIONS.replace("hum()", "hum(volume)"), sounds="sounds:listeners")

    (fault,) = faults(host().Shop())

    assert fault.path == "Shop.plugins[shop-sounds:sounds]"
    assert fault.place.endswith("sounds.py:8")


def test_listeners_are_contributed_once(install: Install) -> None:
    """A second entry point for the same object is a fault."""
    install("shop-sounds", "sounds", FUNCTIONS, sounds="sounds:listeners", tunes="sounds:listeners")

    (fault,) = faults(host().Shop())

    assert "is contributed as shop-sounds:sounds already; name it once" in str(fault)
