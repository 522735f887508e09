"""Settings that are loaded decide conditions and choices before a component is built."""

from __future__ import annotations

import enum
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from typedbus import Bus, Choice, Component, Container, InvalidContainer
from typedbus.faults import Fault
from typedbus.settings import Sources, configured, load


class Kind(enum.Enum):
    """The place where orders are stored."""

    PG = "pg"
    MEMORY = "memory"


@attrs.frozen
class Mail:
    """A table in a table."""

    host: str = ""
    is_on: bool = True

    @property
    def has_host(self) -> bool:
        """Whether a mail server is configured."""
        return bool(self.host)

    @property
    def broken(self) -> bool:
        """Fail, as user code may."""
        raise OSError("no host")


@attrs.frozen
class Settings:
    """Settings of a shop."""

    metrics: bool = False
    port: int = 0
    store: Kind = Kind.MEMORY
    mail: Mail = attrs.field(factory=Mail)
    flags: dict[str, bool] = attrs.field(factory=dict)


class Part:
    """Takes an argument that its declarations omit."""

    def __init__(self, needed: int) -> None: ...


#: A checker would refuse the declarations as well.
PART: Any = Part


class Free:
    """Takes no argument."""


class Shop(Container):
    """Has a fault in each component that the settings may enable."""

    bus = Component(Bus)
    settings = configured(Settings, section="shop")
    metrics = Component(PART).enabled(settings.provided.metrics, reason="metrics")
    server = Component(PART).enabled(settings.provided.port, reason="port")  # type: ignore[arg-type]  # its truth
    mail = Component(PART).enabled(settings.provided.mail.has_host, reason="host")
    beta = Component(PART).enabled(settings.provided.flags["beta"], reason="beta")
    pg = Component(PART)
    memory = Component(Free)
    store = Choice[object](settings.provided.store, {Kind.PG: pg, Kind.MEMORY: memory})


def faulty(container: Container) -> set[str]:
    """Return the names of the components of *container* that have a fault."""
    try:
        container.validate()
    except InvalidContainer as invalid:
        return {fault.path.rpartition(".")[2] for fault in invalid.exceptions if isinstance(fault, Fault)}
    return set()


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"shop.flags": "{beta = false}"}, set()),
        ({"shop.flags": "{beta = false}", "shop.metrics": "true"}, {"metrics"}),
        ({"shop.flags": "{beta = false}", "shop.port": "80"}, {"server"}),
        ({"shop.flags": "{beta = false}", "shop.mail.host": "a"}, {"mail"}),
        ({"shop.flags": "{beta = true}"}, {"beta"}),
        ({"shop.flags": "{beta = false}", "shop.store": "PG"}, {"pg"}),
    ],
)
def test_faults_are_those_of_the_components_that_settings_enable(options: dict[str, str], names: set[str]) -> None:
    """By a field, a number, a property, an item and the key of a choice."""
    shop = Shop()
    load(shop, sources=Sources(environ={}, options=options))

    assert faulty(shop) == names


def test_without_settings_every_component_is_checked() -> None:
    """Every component that settings may enable must be valid."""
    assert faulty(Shop()) == {"metrics", "server", "mail", "beta", "pg"}


def test_a_component_with_a_failing_condition_counts_as_enabled() -> None:
    """The start reports the failure."""

    class Broken(Container):
        bus = Component(Bus)
        settings = configured(Settings, section="shop")
        part = Component(PART).enabled(settings.provided.mail.broken, reason="broken")

    broken = Broken()
    load(broken, sources=Sources(environ={}))

    assert faulty(broken) == {"part"}


def test_a_component_that_needs_one_disabled_by_settings_is_a_fault() -> None:
    """It is found before the start; there is no fault if the settings disable both."""

    class User:
        def __init__(self, part: Free) -> None: ...

    class Needing(Container):
        bus = Component(Bus)
        settings = configured(Settings, section="shop")
        part = Component(Free).enabled(settings.provided.metrics, reason="metrics = false")
        user = Component(User, part.provided).enabled(settings.provided.mail.is_on, reason="mail")

    for options, names in (
        ({}, {"user"}),
        ({"shop.metrics": "true"}, set()),
        ({"shop.mail.is_on": "false"}, set()),
    ):
        needing = Needing()
        load(needing, sources=Sources(environ={}, options=options))
        assert faulty(needing) == names


def test_settings_of_another_container_decide_conditions() -> None:
    """The condition refers to a container that is nested beside it."""

    class Base(Container):
        settings = configured(Settings, section="shop")

    class Plugin(Container):
        part = Component(PART).enabled(Base.settings.provided.metrics, reason="metrics")

    class Site(Container):
        bus = Component(Bus)
        base = Base()
        plugin = Plugin()

    for value, names in (("false", set()), ("true", {"part"})):
        site = Site()
        load(site, sources=Sources(environ={}, options={"shop.metrics": value}))
        assert faulty(site) == names


MODULE = """
import attrs
from typedbus import Bus, Component, Container
from typedbus.settings import configured

@attrs.frozen
class Settings:
    metrics: bool

class Metrics:
    def __init__(self, port: int) -> None: ...

class Shop(Container):
    bus = Component(Bus)
    settings = configured(Settings, section="shop")
    metrics = Component(Metrics).enabled(settings.provided.metrics, reason="metrics = false")

class Plain(Container):
    bus = Component(Bus)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        ("shop:Shop", 1, "shop.Metrics(port: int) misses 'port'"),
        ("shop:Shop --config off.toml", 0, "Shop is valid"),
        ("shop:Shop --config on.toml", 1, "shop.Metrics(port: int) misses 'port'"),
        ("shop:Shop --config on.toml --config off.toml", 0, "Shop is valid"),
        ("shop:Shop --config off.toml --set shop.metrics=true", 1, "shop.Metrics(port: int) misses 'port'"),
        ("shop:Shop --set shop.metrics=false", 0, "Shop is valid"),
        ("shop:Shop --config wrong.toml", 2, "wrong.toml:2: shop.metrics"),
        ("shop:Shop --config gone.toml", 2, "gone.toml: cannot be read"),
        ("shop:Plain --config off.toml", 2, "--config: Plain declares no settings"),
    ],
)
def test_the_check_command_with_settings_decides_conditions(
    tmp_path: Path, arguments: str, status: int, text: str
) -> None:
    """Its result is that of a run with these settings."""
    (tmp_path / "shop.py").write_text(MODULE)
    for name, value in (("on", "true"), ("off", "false"), ("wrong", "7")):
        (tmp_path / f"{name}.toml").write_text(f"[shop]\nmetrics = {value}\n")
    command = [sys.executable, "-m", "typedbus", "check", *arguments.split()]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=60, check=False)

    assert process.returncode == status
    assert text in process.stdout + process.stderr
