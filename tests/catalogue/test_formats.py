"""The formats of the catalogue: golden files of two examples, and hostile texts."""

from __future__ import annotations

import difflib
import html.parser
import json
import subprocess
import sys
from pathlib import Path

import pytest

from typedbus.catalogue import Catalogue, CatalogueChannel, Dynamic, Port, Unread, UnreadableCatalogue, Use

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
EXAMPLES = {
    "shop": ["examples.shop.site:Site"],
    "shop_nats": [
        "examples.shop_nats.front:Front",
        "examples.shop_nats.invoicing:Invoicing",
        "examples.shop_nats.shipping:Shipping",
    ],
}
SUFFIXES = {"text": "txt", "markdown": "md", "html": "html", "json": "json", "asyncapi": "asyncapi.json"}


@pytest.mark.slow
@pytest.mark.parametrize("shape", [*SUFFIXES])
@pytest.mark.parametrize("example", [*EXAMPLES])
def test_the_catalogue_of_an_example_is_the_golden_file(example: str, shape: str) -> None:
    """In a process of its own; ``python -m tests.catalogue.test_formats`` writes the files."""
    file = GOLDEN / f"{example}.{SUFFIXES[shape]}"
    expected, actual = file.read_text(encoding="utf-8"), catalogue_of(example, shape)

    assert actual == expected, "\n".join(difflib.unified_diff(expected.splitlines(), actual.splitlines(), lineterm=""))


def catalogue_of(example: str, shape: str) -> str:
    """Return the output of the command."""
    command = [sys.executable, "-m", "typedbus", "channels", *EXAMPLES[example], "--format", shape]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


HOSTILE = '<img src=x onerror=alert(1)> | `a` [b](c) "d" #e\n| f'


def hostile() -> Catalogue:
    """Return a catalogue with markup in every text."""
    channel = CatalogueChannel(
        "app:placed",
        HOSTILE,
        "app.py",
        1,
        doc=HOSTILE,
        deprecated=HOSTILE,
        result=f"Literal[{HOSTILE!r}]",
        parameters=(),
        uses=(Use("publishes", "app.py", 2, HOSTILE, HOSTILE), Use("listens", "app.py", 3, HOSTILE, HOSTILE, 20)),
        ports=(Port("event", HOSTILE, HOSTILE, HOSTILE),),
    )
    return Catalogue((channel,), (), (Dynamic("app.py", 4, HOSTILE),), (Unread("app.more", HOSTILE),))


class Tags(html.parser.HTMLParser):
    """Collects the names of the tags, and the text outside of tags."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        assert not [name for name, _ in attributes if name.startswith("on")]


def test_html_has_no_tags_from_the_code_base() -> None:
    """Nor references to other files."""
    text = hostile().html()
    tags = Tags()
    tags.feed(text)

    assert "img" not in tags.names
    assert "http" not in text


def test_a_table_of_markdown_has_no_cells_and_tags_from_the_code_base() -> None:
    """A name with a vertical bar is one cell; a document keeps its own Markdown."""
    rows = [line for line in hostile().markdown().splitlines() if line.startswith("| publishes")]

    assert len(rows) == 1
    assert rows[0].replace("\\|", "").count("|") == 4
    assert "\\<img" in rows[0]


def test_json_is_read_back_equal() -> None:
    """With every text as it was."""
    assert Catalogue.load(hostile().json()) == hostile()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "it is not JSON"),
        ("[]", '"format" is None, and must be 1'),
        ('{"format": 2}', '"format" is 2, and must be 1'),
        ('{"format": 1}', "the key 'channels' is missing"),
        ('{"format": 1, "channels": [{}]}', "the key 'parameters' is missing"),
        ('{"format": 1, "channels": 3, "types": [], "dynamic": [], "unread": []}', "a value is of the wrong type"),
    ],
)
def test_a_file_that_is_no_catalogue_is_refused(text: str, problem: str) -> None:
    """With the problem and the command that writes one."""
    with pytest.raises(UnreadableCatalogue) as caught:
        Catalogue.load(text)

    assert problem in caught.value.problem
    assert str(caught.value).endswith("write it with `typedbus channels --format json`")


def references(value: object) -> list[str]:
    """Return every reference in a document."""
    if isinstance(value, list):
        return [one for item in value for one in references(item)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return [*own, *(one for item in value.values() for one in references(item))]


@pytest.mark.parametrize("example", [*EXAMPLES])
def test_every_reference_of_an_asyncapi_document_leads_to_a_part_of_it(example: str) -> None:
    """References are relative to the root of the document."""
    document = json.loads((GOLDEN / f"{example}.asyncapi.json").read_text(encoding="utf-8"))

    for reference in references(document):
        part = document
        for key in reference.removeprefix("#/").split("/"):
            part = part[key]
    assert bool(document["channels"]) == (example == "shop_nats")


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for one in EXAMPLES:
        for form, suffix in SUFFIXES.items():
            (GOLDEN / f"{one}.{suffix}").write_text(catalogue_of(one, form), encoding="utf-8")
