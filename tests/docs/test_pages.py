"""
The documentation does what it says.

Python blocks of a page share a namespace, in order. One whose first line names
a file, as `# shop.py`, is a module of its own, beside the page's others; one
that ends in `SystemExit(run(...))` is a process, and so is each file of a page with
settings of Django, of which a process has one set. A file named `test_*.py` is
run by pytest. A `text` block is what the last Python block before it printed.
"""

import contextlib
import gc
import io
import itertools
import re
import runpy
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from tests.docs.shown import is_shown

import typedbus
import typedbus.catalogue
import typedbus.events
import typedbus.faults
import typedbus.graph
import typedbus.injection
import typedbus.inspector
import typedbus.observe
import typedbus.otel
import typedbus.prometheus
import typedbus.report
import typedbus.testing
import typedbus.types

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROSE = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
PROGRAM = "raise SystemExit(run("
DJANGO = "DJANGO_SETTINGS_MODULE"


@attrs.frozen
class Block:
    """A fenced block of a page: its language, its text, the page's lines above it, and whether it is a process."""

    language: str
    text: str
    above: int
    is_process: bool = False

    @property
    def file(self) -> str | None:
        """The file that the block's first line names."""
        named = re.match(r"# (\w+\.py)\n", self.text)
        return named[1] if named else "program.py" if PROGRAM in self.text else None

    @property
    def command(self) -> list[str] | None:
        """The arguments of the interpreter that run the block in a process of its own."""
        if self.file is not None and self.file.startswith("test_"):
            # pytest-asyncio warns where the option is not set.
            option = "asyncio_default_fixture_loop_scope=function"
            return ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", option, self.file]
        return [str(self.file)] if PROGRAM in self.text or (self.is_process and self.file) else None


def text_of(page: Path) -> str:
    """Return the whole *page*."""
    return page.read_text(encoding="utf-8")


def blocks_of(page: Path) -> list[Block]:
    """Return the fenced blocks of *page*."""
    text = text_of(page)
    found = re.finditer(r"^```(\w+)[^\n]*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Block(block[1], block[2], text.count("\n", 0, block.start(2)), DJANGO in text) for block in found]


def run_process(*command: str, folder: Path) -> str:
    """Return what *command* wrote, and its status unless that is 0."""
    ended = subprocess.run(
        [sys.executable, "-u", *command],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    return ended.stdout + (f"[exit status {ended.returncode}]\n" if ended.returncode else "")


def run_block(block: Block, page: Path, folder: Path, namespace: dict[str, object]) -> str:
    """Run a Python *block* of *page*, and return what it printed."""
    if block.file is not None:
        (folder / block.file).write_text(block.text, encoding="utf-8")
    if block.command is not None:
        return run_process(*block.command, folder=folder)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        if block.file is not None:
            runpy.run_path(str(folder / block.file), run_name="__main__")
            # The functions of the module are in a cycle with its names. A later block imports it again, and a signal of
            # blinker, which holds them weakly, would call both until they are collected.
            gc.collect()
        else:
            exec(compile("\n" * block.above + block.text, str(page), "exec"), namespace)
    return printed.getvalue()


def python_of(page: Path) -> list[Block]:
    """Return the Python blocks of *page*."""
    return [block for block in blocks_of(page) if block.language == "python"]


def write_blocks(page: Path, folder: Path) -> None:
    """Write the Python blocks of *page* into *folder*: a file for each that names one, and one for the rest."""
    folder.mkdir(exist_ok=True)
    lines: list[str] = []
    for block in python_of(page):
        if block.file is not None:
            (folder / block.file).write_text(block.text, encoding="utf-8")
            continue
        # Each line where the page has it, so that the checker's message leads there.
        lines.extend([""] * (block.above - len(lines)))
        lines.extend(block.text.splitlines())
    (folder / f"page_{page.stem.replace('-', '_')}.py").write_text("\n".join(lines) + "\n", encoding="utf-8")


# A page may start ten processes, each of which imports all plugins of pytest.
MARKS = [pytest.mark.slow, pytest.mark.timeout(600)]
PAGES_WITH_CODE = [
    pytest.param(page, id=page.stem, marks=MARKS if any(block.command for block in blocks) else [])
    for page in PAGES
    if (blocks := python_of(page))
]

#: The pages whose blocks are test modules: each is a run of pytest.
OF_TESTS = ("test-a-container", "test-a-web-application")
PAGES_TO_RUN = [
    page._replace(marks=[*page.marks, pytest.mark.exhaustive]) if page.id in OF_TESTS else page
    for page in PAGES_WITH_CODE
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Change to a folder whose files can import each other, and forget them afterwards: the next page has a shop as well."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


@pytest.mark.parametrize("page", PAGES_TO_RUN)
def test_the_blocks_of_a_page_run_and_print_what_is_shown(page: Path, folder: Path) -> None:
    """Readers can copy every block, and see what the page shows."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    printed: str | None = None
    for block, below in itertools.zip_longest(blocks := blocks_of(page), blocks[1:]):
        if block.language == "python":
            printed = run_block(block, page, folder, namespace)
            has_output = below is not None and below.language == "text"
            assert has_output or "[exit status" not in printed, f"{page}:{block.above}\n{printed}"
        elif block.language == "text":
            assert printed is not None, f"{page}:{block.above} shows what nothing printed"
            assert is_shown(block.text, printed), f"{page}:{block.above}\n{printed}"


@pytest.mark.slow
def test_a_slow_component_prints_what_a_page_shows(tmp_path: Path) -> None:
    """On a machine under load, `run` writes a line more for each component that takes longer than a second."""
    source = """
        import threading
        from typedbus import Bus, Component, Container

        class Part:
            def __init__(self): threading.Event().wait(1.2)
            def stop(self): threading.Event().wait(1.2)

        class Shop(Container):
            bus = Component(Bus)
            part = Component(Part)
    """
    (tmp_path / "shop.py").write_text(textwrap.dedent(source), encoding="utf-8")

    printed = run_process("-m", "typedbus", "run", "shop:Shop", "--exit-after-start", folder=tmp_path)

    assert printed.count(" ...\n") == 2, printed
    lines = [line for line in printed.splitlines(keepends=True) if not line.endswith(" ...\n")]
    assert is_shown("".join(lines), printed)
    assert not is_shown("".join(lines[1:]), printed)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_python_block_escapes_the_tests(page: Path) -> None:
    """A block that is indented or fenced in another way would be neither run nor type-checked."""
    fences = re.findall(r"(?:```|~~~)\s*(?:python|py\b|pycon)", text_of(page), re.IGNORECASE)

    assert len(fences) == len(python_of(page))


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES_WITH_CODE)
def test_the_blocks_of_a_page_are_typed(page: Path, tmp_path: Path) -> None:
    """The strict checker takes every block, and refuses exactly the lines that say so."""
    write_blocks(page, tmp_path)
    files = sorted(map(str, tmp_path.glob("*.py")))

    checked = run_process("-m", "mypy", "--config-file", "mypy.ini", *files, folder=ROOT)

    assert "Success" in checked, checked


def links_of(page: Path) -> Iterator[str]:
    """Give the targets of the links of *page* that lead to files of the project."""
    prose = re.sub(r"^```.*?^```$|`[^`\n]+`", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", prose):
        if "://" not in target:
            yield target


def anchors_of(page: Path) -> set[str]:
    """Return the names under which the headings of *page* can be linked to."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.stem)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    """Each link to a file of the project finds the file, and the heading in it."""
    broken = []
    for link in links_of(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        is_picture = anchor in ("only-light", "only-dark")  # of the site's theme
        if not target.exists() or (anchor and not is_picture and anchor not in anchors_of(target)):
            broken.append(link)

    assert broken == []


#: The modules that docs/reference.md describes.
REFERENCE = [
    typedbus,
    typedbus.events,
    typedbus.faults,
    typedbus.types,
    typedbus.testing,
    typedbus.report,
    typedbus.graph,
    typedbus.catalogue,
    typedbus.injection,
    typedbus.inspector,
    typedbus.observe,
    typedbus.otel,
    typedbus.prometheus,
]


def public_names() -> set[str]:
    """Return every name that users may import from these modules."""
    return {name for module in REFERENCE for name in module.__all__}


def test_every_public_name_has_a_line_in_the_reference() -> None:
    """A name that may be imported is one that may be looked up."""
    reference = text_of(ROOT / "docs" / "reference.md")
    described = set(re.findall(r"^- \*\*`([A-Za-z_]+)", reference, re.MULTILINE))

    assert described == public_names()


def test_every_exception_has_a_section_in_the_page_of_errors() -> None:
    """Whoever searches for the class of an exception finds what to do about it, and no class of the past."""
    public = {name: getattr(module, name) for module in REFERENCE for name in module.__all__}
    exceptions = {
        name for name, value in public.items() if isinstance(value, type) and issubclass(value, BaseException)
    }
    sections = re.findall(r"^## (\w+)$", text_of(ROOT / "docs" / "errors.md"), re.MULTILINE)

    assert sections == sorted(exceptions)
