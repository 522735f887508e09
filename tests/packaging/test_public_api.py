"""The names that `import typedbus` provides, and its cost."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import inspect
import pickle
import pkgutil
import re
import subprocess
import sys
import typing
from pathlib import Path
from types import ModuleType

import pytest

import typedbus
import typedbus._base.events
import typedbus._base.run_events
import typedbus._bus.builtin
import typedbus._channels.observing.texts
import typedbus.events
import typedbus.faults
import typedbus.graph
import typedbus.injection
import typedbus.inspector
import typedbus.nats
import typedbus.observe
import typedbus.otel
import typedbus.process
import typedbus.prometheus
import typedbus.pytest_plugin
import typedbus.report
import typedbus.settings
import typedbus.testing
import typedbus.types

PACKAGES = ("plugins", "servers", "hosting")
BESIDE = [
    importlib.import_module(f"typedbus.{package}.{found.name}")
    for package in PACKAGES
    for found in pkgutil.iter_modules(importlib.import_module(f"typedbus.{package}").__path__)
    if not found.name.startswith("_")
]
"""The modules from which users import."""

CORE = [typedbus, typedbus.events, typedbus.faults, typedbus.observe, typedbus.types]
MODULES = [
    *CORE,
    typedbus.graph,
    typedbus.injection,
    typedbus.inspector,
    typedbus.nats,
    typedbus.otel,
    typedbus.prometheus,
    typedbus.pytest_plugin,
    typedbus.report,
    typedbus.settings,
    typedbus.testing,
    *BESIDE,
]
LATER = {
    (module, name): defined
    for module, later in [
        (typedbus, typedbus._LATER),
        (typedbus.faults, dict.fromkeys(typedbus.faults.__all__, "typedbus._container.faults")),
        (typedbus.observe, typedbus.observe._LATER),
        (typedbus.types, typedbus.types._LATER),
    ]
    for name, defined in later.items()
}
"""The module that defines each name that is imported with its first use."""

SOURCE = Path(typedbus.__file__)
DOCS = Path(__file__).parents[2] / "docs"
# A process that prints what *program* imports beyond what *baseline* does.
IMPORTS = """
import sys
{baseline}
before = set(sys.modules)
{program}
print(*sorted(set(sys.modules) - before))
"""


def imported_by(program: str) -> set[str]:
    """Return the top-level modules that *program* imports, but for what its light dependencies bring."""
    script = IMPORTS.format(baseline="import attrs, typing_extensions, threading, queue", program=program)
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in found.stdout.split()}


def imported_for_checkers(module: ModuleType) -> dict[str, str]:
    """Return the names under ``if TYPE_CHECKING`` in *module*, with the module of each."""
    body = ast.parse(inspect.getsource(module)).body
    (block,) = [node for node in body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return {
        alias.name: node.module or "" for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_public_name_can_be_imported(module: ModuleType) -> None:
    """Whatever `__all__` says is there."""
    missing = [name for name in module.__all__ if not hasattr(module, name)]

    assert missing == []


def public_modules() -> list[ModuleType]:
    """Return every module of the package that has no underscore in its name and lists public names."""
    names = [found.name for found in pkgutil.walk_packages(typedbus.__path__, "typedbus.")]
    modules = [importlib.import_module(name) for name in names if not re.search(r"[._]_", name)]
    return [typedbus, *(module for module in modules if hasattr(module, "__all__"))]


@pytest.mark.parametrize("module", public_modules(), ids=lambda module: module.__name__)
def test_a_public_class_or_function_names_a_public_module(module: ModuleType) -> None:
    """It is pickled by that name, and its annotations can be evaluated nevertheless."""
    values = [getattr(module, name) for name in module.__all__]
    public = [value for value in values if isinstance(value, type) or inspect.isfunction(value)]

    assert [value for value in public if "._" in value.__module__] == []
    for value in public:
        assert pickle.loads(pickle.dumps(value)) is value


def test_a_method_of_a_public_class_names_a_public_module() -> None:
    """As in the name of a listener."""
    assert typedbus.Bus.start.__module__ == "typedbus"
    assert typedbus.Component.on.__module__ == "typedbus"


@pytest.mark.parametrize(
    "cls",
    [
        typedbus.types.AnyChannel,
        typedbus.Failure,
        typedbus.Limits,
        typedbus.events.Constructed,
        typedbus.faults.Fault,
        typedbus.ChannelFailures,
        typedbus.Bus,
    ],
)
def test_the_annotations_of_a_public_class_can_be_evaluated(cls: type) -> None:
    """Although their names are those of the private module that defines the class."""
    assert isinstance(typing.get_type_hints(cls), dict)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_public_names_are_listed_once_and_sorted(module: ModuleType) -> None:
    """Constants come first, then classes, then functions, each in alphabetical order."""

    def rank(name: str) -> tuple[int, str]:
        return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)

    assert list(module.__all__) == sorted(set(module.__all__), key=rank)


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module in CORE for name in module.__all__ if not name.isupper()]
)
def test_every_public_name_has_a_docstring(module: ModuleType, name: str) -> None:
    """A class or a function has one of its own, and an alias has one below it in its module."""
    value = getattr(module, name)

    if isinstance(value, type):
        assert vars(value)["__doc__"]
    elif inspect.isfunction(value):
        assert value.__doc__
    else:
        base, bus = typedbus._base, typedbus._bus
        defining = base.events, base.run_events, bus.builtin, typedbus._channels.observing.texts
        sources = [inspect.getsource(module) for module in defining]
        assert any(re.search(rf'^{name}: (?:(?!"""|\n\n)[\s\S])*\n"""', source, re.MULTILINE) for source in sources)


@pytest.mark.parametrize("module", CORE, ids=lambda module: module.__name__)
def test_a_public_class_or_function_names_the_module_that_it_is_imported_from(module: ModuleType) -> None:
    """Each name has one home."""
    values = {name: getattr(module, name) for name in module.__all__}
    named = {name: value for name, value in values.items() if isinstance(value, type) or inspect.isroutine(value)}
    homes = {name: value.__module__ for name, value in named.items()}
    homes.pop("run", None)  # it is imported from typedbus.process as well

    assert set(homes.values()) == {module.__name__}
    assert sum(name in other.__all__ for name in values for other in CORE) == len(values)


@pytest.mark.slow
def test_a_class_names_its_public_module_before_that_is_imported() -> None:
    """Errors and log lines show the name that a program can import."""
    program = """
import typedbus
from typedbus._base.events import Moved
from typedbus._channels.channel import Hook
print(Moved.__module__, Hook.__module__)
typedbus.Container
from typedbus._container.faults import TypeFault
from typedbus._container.hooks import Starts
print(TypeFault.__module__, Starts.__module__)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert ended.stdout == "typedbus.events typedbus.types\ntypedbus.faults typedbus.types\n"


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module in CORE[1:] for name in module.__all__], ids=str
)
def test_a_name_of_another_public_module_is_an_error_that_gives_its_module(module: ModuleType, name: str) -> None:
    """`from typedbus import Moved` worked once; the message is the line to write instead."""
    home = module.__name__

    for use in (f"from typedbus import {name}", f"typedbus.{name}"):
        with pytest.raises(ImportError) as raised:
            exec(use, {"typedbus": typedbus})
        assert str(raised.value) == f"typedbus.{name} is in {home}: from {home} import {name}"


@pytest.mark.parametrize("module", BESIDE, ids=lambda module: module.__name__)
def test_whatever_a_module_beside_the_core_gives_has_a_docstring(module: ModuleType) -> None:
    """Classes and functions have one of their own."""
    given = [getattr(module, name) for name in module.__all__ if not name.isupper()]

    assert [
        one
        for one in given
        if (isinstance(one, type) or inspect.isfunction(one)) and not vars(one).get("__doc__", one.__doc__)
    ] == []


@pytest.mark.parametrize("module", BESIDE, ids=lambda module: module.__name__)
def test_what_a_module_beside_the_core_defines_for_others_is_listed(module: ModuleType) -> None:
    """A class or function without an underscore that was made in a module is in its `__all__`."""
    defined = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__ and callable(value)
    }

    assert defined <= set(module.__all__)


#: The page of each module that is imported by its own name, as far as it is not called after it.
PAGES_OF = {
    "typedbus.hosting.asgi": "how-to/host-in-uvicorn.md",
    "typedbus.hosting.gunicorn": "how-to/host-in-gunicorn.md",
    "typedbus.hosting.wsgi": "how-to/host-in-gunicorn.md",
    "typedbus.inspector": "how-to/watch-a-process.md",
    "typedbus.nats": "nats.md",
    "typedbus.otel": "how-to/trace-with-opentelemetry.md",
    "typedbus.prometheus": "how-to/export-prometheus-metrics.md",
    "typedbus.pytest_plugin": "how-to/test-a-container.md",
    "typedbus.settings": "how-to/settings.md",
}


def test_every_public_name_beside_the_core_is_on_the_page_of_its_module() -> None:
    """Components of a site, servers, hosting and settings have a page each, and the reference leads to it."""
    reference = (DOCS / "reference.md").read_text(encoding="utf-8")
    missing = []
    for module in (
        *BESIDE,
        typedbus.inspector,
        typedbus.nats,
        typedbus.otel,
        typedbus.prometheus,
        typedbus.pytest_plugin,
        typedbus.settings,
    ):
        page = PAGES_OF.get(module.__name__, module.__name__.removeprefix("typedbus.").replace(".", "/") + ".md")
        text = (DOCS / page).read_text(encoding="utf-8")
        missing += [f"{name} in {page}" for name in module.__all__ if not re.search(rf"\b{name}\b", text)]
        if page not in reference:
            missing.append(f"{page} in reference.md")

    assert missing == []


@pytest.mark.parametrize(
    "module", [typedbus, typedbus.faults, typedbus.observe, typedbus.types], ids=lambda module: module.__name__
)
def test_what_checkers_see_is_what_is_loaded_later(module: ModuleType) -> None:
    """Each name under TYPE_CHECKING is loaded with its first use, from the module that checkers know it of."""
    later = {name: defined for (public, name), defined in LATER.items() if public is module}

    assert imported_for_checkers(module) == later


@pytest.mark.parametrize("module", CORE, ids=lambda module: module.__name__)
def test_what_is_public_is_imported_or_loaded_later(module: ModuleType) -> None:
    """No public name is left out of `__all__`, and none is in it that the module does not say where it is from."""
    body = ast.parse(inspect.getsource(module)).body
    at_once = {alias.name for node in body if isinstance(node, ast.ImportFrom) for alias in node.names}
    later = {name for public, name in LATER if public is module}

    assert set(module.__all__) == (at_once | later) - {"TYPE_CHECKING", "export", "later"}


@pytest.mark.parametrize(("module", "name"), LATER, ids=str)
def test_what_is_loaded_later_is_the_object_of_its_module(module: ModuleType, name: str) -> None:
    """The name in the public module and the one in the defining module are one object, found again at once."""
    defined = importlib.import_module(LATER[module, name])

    assert getattr(module, name) is getattr(defined, name)
    assert vars(module)[name] is getattr(defined, name)


@pytest.mark.parametrize("module", CORE, ids=lambda module: module.__name__)
def test_an_unknown_name_is_an_attribute_error(module: ModuleType) -> None:
    """As of any module."""
    with pytest.raises(AttributeError, match=f"^module '{module.__name__}' has no attribute 'Topic'$"):
        getattr(module, "Topic")

    with pytest.raises(ImportError, match="cannot import name 'Topic'"):
        exec(f"from {module.__name__} import Topic")


@pytest.mark.slow
def test_channels_and_buses_import_nothing_heavy() -> None:
    """The container library and what is slow to import wait for their first use."""
    found = imported_by(
        "import typedbus, typedbus.events, typedbus.faults, typedbus.observe, typedbus.types; "
        "typedbus.Bus()[typedbus.Channel[[int], int]('x')].publish(3)"
    )

    assert "typedbus" in found
    assert found.isdisjoint(
        {
            "asyncio",
            "concurrent",
            "dataclasses",
            "dependency_injector",
            "importlib",
            "inspect",
            "logging",
            "msgspec",
            "multiprocessing",
            "nats",
            "rich",
            "signal",
            "subprocess",
            "traceback",
        }
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Container", "Component", "run"])
def test_the_container_library_comes_with_its_first_use(name: str) -> None:
    """No import beside that of the package is needed."""
    assert "dependency_injector" in imported_by(f"import typedbus; typedbus.{name}")


@pytest.mark.slow
def test_the_container_is_imported_by_name() -> None:
    """`from typedbus import ...` finds what is loaded later."""
    assert "dependency_injector" in imported_by("from typedbus import Container")


def test_the_version_is_that_of_the_distribution() -> None:
    """There is one place where the version stands."""
    try:
        version = importlib.metadata.version("typedbus")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("typedbus is imported from its sources and not installed")

    assert typedbus.__version__ == version


def test_the_package_says_that_it_is_typed() -> None:
    """Checkers read its annotations."""
    assert SOURCE.with_name("py.typed").exists()
