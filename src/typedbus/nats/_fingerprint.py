"""The fingerprint of a JSON schema: equal for equal schemas in every process and with every version of Python."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Final

#: Keywords for readers; no value is refused because of them.
_REMARKS: Final = frozenset({"title", "description", "default", "examples"})
#: Keywords whose items have a meaning by position. The items of all other arrays are sorted.
_ORDERED: Final = frozenset({"prefixItems"})


def fingerprint(schema: Mapping[str, object]) -> str:
    """
    Return 16 hexadecimal digits that identify the values which *schema* accepts.

    Names and docstrings of classes, defaults, and the order of fields and of the members of a union do not count.
    """
    definitions = schema.get("$defs")
    if not isinstance(definitions, dict):
        definitions = {}
    marks = dict.fromkeys(definitions, "")
    # Each pass includes one more level of references, also where definitions refer to each other.
    for _ in definitions:
        marks = {name: _digest(definition, marks) for name, definition in definitions.items()}
    return _digest({key: value for key, value in schema.items() if key != "$defs"}, marks)[:16]


def _digest(node: object, marks: Mapping[str, str]) -> str:
    return hashlib.sha256(_text(_canonical(node, marks)).encode()).hexdigest()


def _text(node: object) -> str:
    return json.dumps(node, sort_keys=True, separators=(",", ":"))


def _canonical(node: object, marks: Mapping[str, str], keyword: str = "") -> object:
    if isinstance(node, list):
        items = [_canonical(item, marks) for item in node]
        return items if keyword in _ORDERED else sorted(items, key=_text)
    if not isinstance(node, dict):
        return node
    if keyword == "properties":
        return {name: _canonical(value, marks) for name, value in node.items()}
    if "$ref" in node:
        return {"$ref": marks[str(node["$ref"]).rpartition("/")[2]]}
    return {key: _canonical(value, marks, key) for key, value in node.items() if key not in _REMARKS}
