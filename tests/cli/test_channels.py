"""`typedbus channels` as a shell runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CHANNELS = """\
from typedbus import Channel

placed = Channel[[str], None]("placed")
unused = Channel[[], None]("unused")
"""
SHOP = """\
from app.channels import placed
from typedbus import BoundChannel, Bus, Component, Container, on

print("imported")


class Till:
    def __init__(self, placed: BoundChannel[[str], None]) -> None:
        self.placed = placed

    def sell(self) -> None:
        self.placed.publish("tea")


class Stock:
    @on(placed)
    def take(self, sku: str, /) -> None: ...


class Shop(Container):
    bus = Component(Bus)
    till = Component(Till, bus.provided[placed])
    stock = Component(Stock)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a package."""
    (tmp_path / "app").mkdir()
    for name, text in {"__init__": "", "channels": CHANNELS, "shop": SHOP}.items():
        (tmp_path / "app" / f"{name}.py").write_text(text, encoding="utf-8")
    return tmp_path


def channels(folder: Path, *options: str, target: str = "app.shop:Shop") -> tuple[int, str, str]:
    """Run the command in *folder*, and return its status, stdout and stderr."""
    command = [sys.executable, "-m", "typedbus", "channels", target, *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8", check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_channels_of_the_package_of_the_container_are_listed(folder: Path) -> None:
    """What modules print when they are imported does not mix with the list."""
    assert channels(folder) == (
        0,
        (
            "app/channels.py:3: placed(arg0: str, /) -> None\n"
            "    publishes  Shop.till.sell  app/shop.py:12\n"
            "    listens    Shop.stock.take  app/shop.py:16\n"
            "\n"
            "app/channels.py:4: unused() -> None\n"
            "    ! dead\n"
            "\n"
            "2 channels, 1 with a verdict\n"
        ),
        "imported\n",
    )


def test_a_container_outside_a_package_needs_a_source(folder: Path) -> None:
    """The folders with the code are then named; modules have the names under which Python imports them."""
    (folder / "site_of.py").write_text("from app.shop import Shop\n", encoding="utf-8")
    status, output, error = channels(folder, target="site_of:Shop")

    assert (status, output) == (2, "")
    assert "site_of:Shop is in no package: name the folders with the code, --source src" in error
    status, output, _ = channels(folder, "--source", "app", target="site_of:Shop")
    assert (status, output.splitlines()[-1]) == (0, "2 channels, 1 with a verdict")


def test_a_module_that_fails_is_reported_and_the_others_are_listed(folder: Path) -> None:
    """On stderr, so that the list remains usable."""
    (folder / "app" / "broken.py").write_text("1 / 0\n", encoding="utf-8")
    status, output, error = channels(folder, "--format", "json")

    assert status == 0
    assert "app.broken cannot be imported, its channels and uses are missing: ZeroDivisionError" in error
    assert [one["module"] for one in json.loads(output)["unread"]] == ["app.broken"]


def test_a_check_lists_the_changes_since_a_file(folder: Path) -> None:
    """It fails for each change, or only for changes that break publishers or listeners."""
    assert channels(folder, "--output", "channels.json")[0] == 0
    assert channels(folder, "--check", "channels.json")[:2] == (0, "no change\n")

    (folder / "app" / "channels.py").write_text(
        'from typedbus import Channel\n\nplaced = Channel[[str | None], None]("placed")\n', encoding="utf-8"
    )
    wider = "the parameter arg0 was of the type str, and is of str | None (wider)"
    gone = "the channel is gone, or has another module or name"

    assert channels(folder, "--check", "channels.json")[:2] == (
        1,
        (
            f"app/channels.py:3: app.channels:placed: {wider} [breaks listeners]\n"
            f"app.channels:unused: {gone} [breaks publishers and listeners]\n"
        ),
    )
    assert channels(folder, "--check", "channels.json", "--format", "github")[:2] == (
        1,
        (
            f"::error file=app/channels.py,line=3,title=Channel::app.channels:placed: {wider}; breaks listeners\n"
            f"::error title=Channel::app.channels:unused: {gone}; breaks publishers and listeners\n"
        ),
    )
    found = json.loads(channels(folder, "--check", "channels.json", "--format", "json")[1])
    assert [(one["key"], one["breaks_publishers"]) for one in found] == [
        ("app.channels:placed", False),
        ("app.channels:unused", True),
    ]


@pytest.mark.parametrize(("breaks", "status"), [("publishers", 0), ("listeners", 1), ("any", 1)])
def test_a_check_may_fail_for_some_changes_alone(folder: Path, breaks: str, status: int) -> None:
    """A parameter with a default breaks listeners, and no publisher."""
    declared = "from typedbus import Channel\n\n@Channel.declare\ndef placed(sku: str, /{}) -> None: ...\n"
    (folder / "app" / "channels.py").write_text(declared.format(""), encoding="utf-8")
    assert channels(folder, "--output", "channels.json")[0] == 0
    (folder / "app" / "channels.py").write_text(declared.format(', note: str = ""'), encoding="utf-8")

    assert channels(folder, "--check", "channels.json", "--breaks", breaks)[0] == status


def test_unused_channels_are_listed_alone(folder: Path) -> None:
    """And fail the command, as in a check of a repository."""
    assert channels(folder, "--unused")[:2] == (1, "app/channels.py:4: unused: dead\n")
    assert channels(folder, "--unused", "--format", "github")[:2] == (
        1,
        "::warning file=app/channels.py,line=4,title=Channel::unused: dead\n",
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--breaks", "any"], "--breaks has no effect without --check; add --check FILE"),
        (["--format", "github"], "--format github annotates changes: add --check FILE or --unused"),
        (["--check", "app/shop.py"], "cannot read app/shop.py: this is no catalogue of channels"),
        (["--check", "none.json"], "'none.json' does not exist"),
        (["--source", "nowhere"], "'nowhere' does not exist"),
        (["--output", "nowhere/channels.json"], "cannot write nowhere/channels.json: No such file or directory"),
    ],
)
def test_wrong_options_are_refused(folder: Path, options: list[str], message: str) -> None:
    """With status 2, and nothing on stdout."""
    status, output, error = channels(folder, *options)

    assert (status, output) == (2, "")
    assert message in " ".join(error.split())
