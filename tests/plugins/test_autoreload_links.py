"""Watched files behind symbolic links, and files that are replaced."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue

import pytest

from typedbus.plugins.autoreload._files import Files, Place

if sys.platform == "win32":
    pytest.skip("a plain user makes no symbolic links there", allow_module_level=True)


class Watch:
    """Watches a folder in a thread, and returns the changes."""

    def __init__(self, *places: Path) -> None:
        self.folder = places[0]
        self.own = self.folder / "own.py"
        self.own.write_text("")
        self.edits = itertools.count(1)
        self.files = Files([Place(place, is_deep=True) for place in places], ("*.py",), (".*", "__pycache__"))
        self.batches: SimpleQueue[dict[str, str]] = SimpleQueue()
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        self.settle()

    def run(self) -> None:
        """Put each batch of changes into the queue."""
        for changed in self.files.batches(0.02, self.stopping):
            self.batches.put(changed)

    def settle(self) -> None:
        """Return when all folders are watched, so that an event reports the next change, and not the first scan."""
        self.own.write_text("#" * next(self.edits))
        while str(self.own) not in self.batches.get(timeout=20):
            pass

    def change(self, act: Callable[[], object]) -> dict[str, str]:
        """Call *act*, and return all changes up to the next settled state, by their relative paths."""
        act()
        changes = self.batches.get(timeout=20)
        self.own.write_text("#" * next(self.edits))
        while str(self.own) not in changes:
            changes = {**self.batches.get(timeout=20), **changes}
        del changes[str(self.own)]
        return {os.path.relpath(path, self.folder): what for path, what in changes.items()}

    def end(self) -> None:
        """End the thread."""
        self.stopping.set()
        self.thread.join(20)


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Callable[..., Watch]]:
    """Watch places until the end of the test."""
    begun: list[Watch] = []

    def begin(*places: Path) -> Watch:
        begun.append(Watch(*places))
        return begun[-1]

    yield begin
    for one in begun:
        one.end()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the folder of a project with other folders beside it."""
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def write(path: Path, text: str = "") -> Path:
    """Write *text* to *path*, and create its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def exchange(link: Path, target: Path | str) -> None:
    """Replace *link* atomically by a link to *target*, as a deployment does."""
    new = link.with_name(f".{link.name}.new")
    new.symlink_to(target)
    new.replace(link)


def replace(path: Path, text: str) -> None:
    """Replace *path* by another file, as an editor does."""
    write(path.with_name(f".{path.name}.new"), text).replace(path)


@pytest.mark.slow
@pytest.mark.parametrize("edit", [Path.write_text, replace])
def test_an_edit_of_a_link_target_is_noticed(
    project: Path, watch: Callable[..., Watch], edit: Callable[[Path, str], object]
) -> None:
    """Under the name of the link, which the program imports."""
    target = write(project.parent / "library" / "shared.py")
    (project / "shared.py").symlink_to("../library/shared.py")
    watching = watch(project)

    assert watching.change(lambda: edit(target, "X = 1")) == {"shared.py": "changed"}


@pytest.mark.slow
def test_a_link_target_that_disappears_and_returns_is_noticed(project: Path, watch: Callable[..., Watch]) -> None:
    """Alone and with its folder."""
    target = write(project.parent / "library" / "deep" / "shared.py")
    (project / "shared.py").symlink_to(target)
    watching = watch(project)

    def remove() -> None:
        target.unlink()
        target.parent.rmdir()
        target.parent.parent.rmdir()

    assert watching.change(target.unlink) == {"shared.py": "is gone"}
    assert watching.change(lambda: write(target, "X = 1")) == {"shared.py": "is new"}
    assert watching.change(remove) == {"shared.py": "is gone"}
    assert watching.change(lambda: write(target, "X = 1")) == {"shared.py": "is new"}
    assert watching.change(lambda: write(target, "X = 11")) == {"shared.py": "changed"}


@pytest.mark.slow
def test_a_changed_link_is_noticed(project: Path, watch: Callable[..., Watch]) -> None:
    """Also within a chain of links, and the new target is watched."""
    libraries = project.parent / "libraries"
    for number in (1, 2):
        write(libraries / f"shared{number}.py", "#" * number)
    (project.parent / "links").mkdir()
    middle = project.parent / "links" / "latest"
    middle.symlink_to(libraries / "shared1.py")
    (project / "shared.py").symlink_to(middle)
    watching = watch(project)

    assert watching.change(lambda: exchange(middle, libraries / "shared2.py")) == {"shared.py": "changed"}
    assert watching.change(lambda: write(libraries / "shared2.py", "X = 1")) == {"shared.py": "changed"}
    assert watching.change(middle.unlink) == {"shared.py": "is gone"}
    assert watching.change(lambda: middle.symlink_to(libraries / "shared1.py")) == {"shared.py": "is new"}


@pytest.mark.slow
def test_a_linked_folder_is_watched(project: Path, watch: Callable[..., Watch]) -> None:
    """Edits, new files and folders in it, and a link to another folder."""
    old, new = project.parent / "old", project.parent / "new"
    edited = write(old / "inner" / "a.py")
    write(new / "b.py")
    (project / "linked").symlink_to(old, target_is_directory=True)
    watching = watch(project)

    assert watching.change(lambda: write(edited, "X = 1")) == {"linked/inner/a.py": "changed"}
    assert watching.change(lambda: write(old / "more" / "c.py")) == {"linked/more/c.py": "is new"}
    assert watching.change(lambda: exchange(project / "linked", new)) == {
        "linked/b.py": "is new",
        "linked/inner/a.py": "is gone",
        "linked/more/c.py": "is gone",
    }
    assert watching.change(lambda: write(new / "b.py", "X = 1")) == {"linked/b.py": "changed"}


@pytest.mark.slow
def test_a_link_to_the_current_release_is_followed(tmp_path: Path, watch: Callable[..., Watch]) -> None:
    """Its files keep their names when `current` is changed from one release to the next."""
    for number in (1, 2):
        write(tmp_path / f"release{number}" / "app" / "a.py", "X = 1")
    current = tmp_path / "current"
    current.symlink_to("release1")
    (tmp_path / "beside").mkdir()
    watching = watch(tmp_path / "beside", current / "app")

    assert watching.change(lambda: exchange(current, "release2")) == {"../current/app/a.py": "changed"}
    edited = tmp_path / "release2" / "app" / "a.py"
    assert watching.change(lambda: write(edited, "X = 22")) == {"../current/app/a.py": "changed"}
    assert watching.change(lambda: exchange(current, "nowhere")) == {"../current/app/a.py": "is gone"}
    assert watching.change(lambda: exchange(current, "release1")) == {"../current/app/a.py": "is new"}


@pytest.mark.slow
def test_a_replaced_folder_is_watched(tmp_path: Path, watch: Callable[..., Watch]) -> None:
    """For example, after the checkout of another branch."""
    app, other = tmp_path / "app", tmp_path / "other"
    write(app / "a.py")
    write(other / "a.py", "X = 1")
    (tmp_path / "beside").mkdir()
    watching = watch(tmp_path / "beside", app)

    def swap() -> None:
        app.rename(tmp_path / "before")
        other.rename(app)

    assert watching.change(swap) == {"../app/a.py": "changed"}
    assert watching.change(lambda: write(app / "a.py", "X = 22")) == {"../app/a.py": "changed"}


@pytest.mark.slow
def test_circular_links_are_ignored(project: Path, watch: Callable[..., Watch]) -> None:
    """Of files and of folders: to themselves, to each other and to a folder above."""
    edited = write(project / "a" / "a.py")
    for link, target in {
        "self.py": "self.py",
        "one.py": "two.py",
        "two.py": "one.py",
        "a/up": "..",
        "b": "a",
        "root": "/",
        "c": "c",
    }.items():
        (project / link).symlink_to(target)
    watching = watch(project)

    assert watching.change(lambda: write(edited, "X = 1")) == {"a/a.py": "changed"}
    assert len(watching.files.folders) < 10
    assert watching.change(lambda: exchange(project / "self.py", "own.py")) == {"self.py": "is new"}


@pytest.mark.slow
def test_a_file_with_two_names_changes_under_both(project: Path, watch: Callable[..., Watch]) -> None:
    """A program may have imported it as two modules."""
    edited = write(project / "a.py")
    (project / "b.py").symlink_to("a.py")
    watching = watch(project)

    assert watching.change(lambda: write(edited, "X = 1")) == {"a.py": "changed", "b.py": "changed"}


def test_files_beside_a_link_target_are_not_watched(project: Path) -> None:
    """The program does not use them."""
    write(project.parent / "library" / "shared.py")
    (project / "shared.py").symlink_to("../library/shared.py")
    files = Files([Place(project, is_deep=True)], ("*.py",), ())

    write(project.parent / "library" / "other.py")

    assert files.changes() == {}


def test_a_folder_with_several_links_has_one_name(project: Path) -> None:
    """Its own, or that of the first link, regardless of later changes in the folder."""
    write(project / "z" / "a.py")
    write(project.parent / "library" / "b.py")
    for link, target in {"a": "z", "m": "../library", "l": "../library"}.items():
        (project / link).symlink_to(target)
    files = Files([Place(project, is_deep=True)], ("*.py",), ())
    write(project / "z" / "a.py", "X = 1")
    write(project.parent / "library" / "b.py", "X = 1")

    assert files.changes() == {str(project / "z" / "a.py"): "changed", str(project / "l" / "b.py"): "changed"}


def test_a_change_of_the_size_alone_is_noticed(project: Path) -> None:
    """The same file, written within the resolution of its time, or with its time restored."""
    path = write(project / "a.py", "X = 1")
    files = Files([Place(project, is_deep=True)], ("*.py",), ())
    before = path.stat()
    path.write_text("X = 10")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert path.stat().st_ino == before.st_ino
    assert files.changes() == {str(path): "changed"}


def test_a_change_of_the_inode_alone_is_noticed(project: Path) -> None:
    """Another file of the same size and time."""
    path = write(project / "a.py", "X = 1")
    files = Files([Place(project, is_deep=True)], ("*.py",), ())
    before = path.stat()
    other = write(project / "a.new", "X = 2")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)

    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert files.changes() == {str(path): "changed"}


PROGRAM = """
import sys
from typedbus.plugins.autoreload._files import project
{imports}
print(*(f"{{place.path}} {{place.is_deep}}" for place in project()), sep="\\n")
"""


def places_of(script: Path, folder: Path, **environ: str) -> set[str]:
    """Return the places of the project of *script* when it runs in *folder*, relative to the folder above."""
    command = [sys.executable, str(script)]
    env = {**os.environ, **environ}
    ended = subprocess.run(command, cwd=folder, env=env, capture_output=True, encoding="utf-8", check=True)
    return {os.path.relpath(line, folder.parent) for line in ended.stdout.splitlines()}


@pytest.mark.slow
def test_a_project_keeps_the_logical_path_of_its_directory(tmp_path: Path) -> None:
    """The links of a release are resolved at each access, and a restart runs their current target."""
    write(tmp_path / "release1" / "shop" / "__init__.py")
    write(tmp_path / "release1" / "program.py", PROGRAM.format(imports="import shop"))
    current = tmp_path / "current"
    current.symlink_to("release1")

    for script in (current / "program.py", Path("program.py")):
        assert places_of(script, current, PWD=str(current)) == {"current False", "current/shop True"}
    assert places_of(Path("program.py"), current, PWD="/") == {"release1 False", "release1/shop True"}


@pytest.mark.slow
def test_a_project_has_the_modules_beside_the_target_of_a_linked_script(tmp_path: Path) -> None:
    """The interpreter imports modules from that folder."""
    write(tmp_path / "app" / "shop" / "__init__.py")
    write(tmp_path / "app" / "program.py", PROGRAM.format(imports="import shop"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "site.py").symlink_to("../app/program.py")
    (tmp_path / "elsewhere").mkdir()

    places = places_of(tmp_path / "bin" / "site.py", tmp_path / "elsewhere")

    assert places == {"bin False", "app/shop True"}


@pytest.mark.slow
def test_a_project_contains_packages_that_an_environment_links_to(tmp_path: Path) -> None:
    """A package under the name of its link, or a single module, but not other installed packages."""
    installed = tmp_path / "environment" / "site-packages"
    write(installed / "other.py")
    write(tmp_path / "app" / "source" / "shop" / "__init__.py")
    write(tmp_path / "app" / "source" / "desk.py")
    (installed / "shop").symlink_to(tmp_path / "app" / "source" / "shop")
    (installed / "desk.py").symlink_to(tmp_path / "app" / "source" / "desk.py")
    imports = f"sys.path.insert(0, {str(installed)!r}); import shop, desk, other"
    script = write(tmp_path / "app" / "program.py", PROGRAM.format(imports=imports))

    assert places_of(script, tmp_path / "app") == {
        "app False",
        "environment/site-packages/shop True",
        "environment/site-packages/desk.py False",
    }
