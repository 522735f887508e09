"""Files that components add to the watched files."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from queue import SimpleQueue

import attrs
import pytest

from typedbus import LOG, Bus, Component, Container, on, running
from typedbus.plugins.autoreload import WATCHED, Autoreload

pytestmark = pytest.mark.slow

Answer = Callable[[], Iterable[str | os.PathLike[str]]]


@attrs.define
class Replacement:
    """Records the request to replace the process, and does not replace it."""

    replaced: threading.Event = attrs.field(factory=threading.Event)

    def problem(self) -> str | None:
        """Return no problem."""
        return None

    def replace(self, failed: BaseException | None, /) -> None:
        """Record the request."""
        self.replaced.set()


class Site:
    """A bus on which an `Autoreload` watches an empty folder, and its log messages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.own = folder / "own"
        self.own.mkdir()
        self.bus = Bus()
        self.bus.replacement = Replacement()
        self.logged: SimpleQueue[str] = SimpleQueue()
        self.autoreload = Autoreload(self.bus, paths=self.own, debounce=0.02)
        self.bus[LOG].subscribe(lambda text, level: self.logged.put(text))

    def begin(self, *answers: Answer) -> None:
        """Start to watch; return after the first scan, for which each of *answers* was requested."""
        asked = threading.Semaphore(0)

        def ask() -> list[str]:
            asked.release()
            return []

        for answer in answers:
            self.bus[WATCHED].subscribe(answer)
        subscription = self.bus[WATCHED].subscribe(ask, priority=1000)
        self.autoreload.start()
        for _ in range(2):
            assert asked.acquire(timeout=20)
        subscription.cancel()

    def reach(self, text: str) -> str:
        """Return the next message that contains *text*, with relative paths."""
        while text not in (message := self.logged.get(timeout=20)):
            pass
        return message.replace(f"{self.folder}{os.sep}", "")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Return a site; its watcher is stopped afterwards."""
    monkeypatch.setenv("TYPEDBUS_AUTORELOAD", "")
    site = Site(tmp_path)
    yield site
    site.autoreload.stop()
    site.bus.exit()


def write(path: Path, text: str = "") -> Path:
    """Write *text* to *path*, and create its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_file_that_a_component_names_is_watched(site: Site) -> None:
    """With any suffix; adding it is not a change."""
    template = write(site.folder / "templates" / "page.html")
    other = write(site.folder / "templates" / "other.html")
    site.begin(lambda: [template])
    write(other, "1")
    write(template, "1")

    assert site.reach("restarting") == "autoreload: restarting: templates/page.html changed"


def test_files_below_a_folder_of_a_component_are_watched(site: Site) -> None:
    """With any suffix except for ignored files, and new files as well."""
    write(site.folder / "templates" / "mail" / "old.txt")
    site.begin(lambda: [str(site.folder / "templates")])
    write(site.folder / "templates" / ".hidden")
    write(site.folder / "templates" / "mail" / "new.txt")

    assert site.reach("restarting") == "autoreload: restarting: templates/mail/new.txt is new"


@pytest.mark.skipif(sys.platform == "win32", reason="a plain user makes no symbolic links there")
def test_a_link_that_a_component_names_is_watched(site: Site) -> None:
    """A change of its target is noticed."""
    target = write(site.folder / "release1" / "page.html")
    (site.folder / "current").symlink_to("release1")
    site.begin(lambda: [site.folder / "current" / "page.html"])
    write(target, "1")

    assert site.reach("restarting") == "autoreload: restarting: current/page.html changed"


@pytest.mark.parametrize("name", ["late.html", "late/late.html"])
def test_a_file_that_does_not_exist_yet_is_watched(site: Site, name: str) -> None:
    """Even if its folder does not exist."""
    late = site.folder / name
    site.begin(lambda: [late])
    write(late)

    assert site.reach("restarting") == f"autoreload: restarting: {name} is new"


def test_removed_files_that_a_component_no_longer_names_are_noticed(site: Site) -> None:
    """A program that lists its files names fewer after a removal."""
    template = write(site.folder / "page.html")
    site.begin(lambda: [template] if template.exists() else [])
    template.unlink()

    assert site.reach("restarting") == "autoreload: restarting: page.html is gone"


def test_a_file_that_is_named_later_is_watched(site: Site) -> None:
    """For example, a file that a template engine reads later; the list is requested again without another event."""
    template = write(site.folder / "page.html")
    names: list[Path] = []
    has_named = threading.Semaphore(0)

    def answer() -> list[Path]:
        if names:
            has_named.release()
        return list(names)

    site.begin(answer)
    names.append(template)
    # The first answer causes a scan, the second is for that scan, and the third comes after it.
    for _ in range(3):
        assert has_named.acquire(timeout=20)
    write(template, "1")

    assert site.reach("restarting") == "autoreload: restarting: page.html changed"


def test_a_listener_may_return_one_path_or_a_generator(site: Site) -> None:
    """A string is one path, and not a sequence of characters."""
    page, mail = write(site.folder / "page.html"), write(site.folder / "mail.html")
    site.begin(lambda: str(page), lambda: (path for path in [mail]))
    assert {str(place.path) for place in site.autoreload._files.known_places} == {str(site.own), str(page), str(mail)}


def raise_error() -> list[str]:
    """Raise an exception, as a listener may."""
    raise OSError("no templates")


def leave() -> list[str]:
    """End the thread, as code of a program may."""
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (raise_error, "OSError: no templates"),
        (leave, "SystemExit: 3"),
        (lambda: None, "it returned None, which is not an iterable of paths"),
        (lambda: 7, "it returned 7, which is not an iterable of paths"),
        (lambda: [7], "TypeError: expected str, bytes or os.PathLike object, not int"),
        (lambda: [b"page.html"], "it returned the path b'page.html'; a path is a str that is not empty, or an os.PathLike"),
        (lambda: [""], "it returned the path ''; a path is a str that is not empty"),
        (lambda: (raise_error() for _ in "1"), "OSError: no templates"),
    ],
)  # fmt: skip
def test_an_invalid_answer_is_logged_once(site: Site, answer: Callable[[], list[str]], problem: str) -> None:
    """With the listener; the answers of the others are used."""
    template = write(site.folder / "page.html")
    site.begin(answer, lambda: [template])
    write(template, "1")
    message = site.reach("named no files to watch")

    assert message.startswith("autoreload: ")
    assert problem in message
    assert site.reach("autoreload") == "autoreload: restarting: page.html changed"


def test_files_of_a_listener_that_fails_later_stay_watched(site: Site) -> None:
    """An error is logged again after a different error."""
    template = write(site.folder / "page.html")
    works = iter([True, False, False, True, False])
    texts: list[str] = []

    def answer() -> Iterable[str | Path]:
        return [template] if next(works) else raise_error()

    site.bus[LOG].subscribe(lambda text, level: texts.append(text))
    site.bus[WATCHED].subscribe(answer)
    for _ in range(5):
        site.autoreload._files.changes()
    write(template, "1")

    assert len(texts) == 2
    assert site.bus[WATCHED].subscriptions[0].name in texts[0]
    site.bus[WATCHED].unsubscribe(answer)
    assert site.autoreload._files.changes() == {str(template): "changed"}


def test_a_file_that_changes_before_the_start_is_watched(tmp_path: Path) -> None:
    """A listener outside of containers is called at once, because a start may take long."""
    template, bus = write(tmp_path / "page.html"), Bus()
    bus[WATCHED].subscribe(lambda: [template])
    autoreload = Autoreload(bus, paths=__file__)
    write(template, "1")

    assert autoreload._files.changes() == {str(template): "changed"}


def test_an_invalid_path_does_not_end_the_watcher(site: Site) -> None:
    """The system rejects it at each scan."""
    template = write(site.folder / "page.html")
    site.begin(lambda: ["a\0b", "x" * 5000, "x" * 300, template])
    write(template, "1")

    assert site.reach("autoreload") == "autoreload: restarting: page.html changed"


def test_a_component_can_name_files_with_a_marked_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it subscribes to any channel."""
    monkeypatch.setenv("TYPEDBUS_AUTORELOAD", "")
    monkeypatch.chdir(tmp_path)
    template = write(tmp_path / "templates" / "page.html")
    asked = threading.Semaphore(0)

    class Templates:
        @on(WATCHED)
        def watched(self) -> list[str]:
            asked.release()
            return ["templates"]

    class Shop(Container):
        bus = Component(Bus)
        templates = Component(Templates)
        autoreload = Component(Autoreload, bus.provided, paths=__file__, debounce=0.02)

    shop = Shop()
    replacement = Replacement()
    shop.attach().replacement = replacement
    with running(shop) as started:
        for _ in range(2):
            assert asked.acquire(timeout=20)
        write(template, "1")
        started.bus().block()

    assert replacement.replaced.is_set()
