"""The reference has the signatures of the classes and functions, and each public name."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

import typedbus.nats

PAGE = Path(__file__).parents[2] / "docs" / "nats.md"
SIGNATURES = re.findall(r"^- \*\*`(\w+)`\*\* `(\([^`]*\))`", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize(("name", "shown"), SIGNATURES, ids=[name for name, _ in SIGNATURES])
def test_a_signature_has_the_parameters_and_the_defaults(name: str, shown: str) -> None:
    parameters = inspect.signature(getattr(typedbus.nats, name)).parameters.values()
    (function,) = ast.parse(f"def function{shown}: ...").body
    assert isinstance(function, ast.FunctionDef)
    arguments = function.args

    positional = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    by_keyword = [one.name for one in parameters if one.kind is one.KEYWORD_ONLY]
    assert [one.arg for one in arguments.args] == positional
    assert [one.arg for one in arguments.kwonlyargs] == by_keyword
    defaults = dict(zip(reversed(positional), reversed([ast.unparse(one) for one in arguments.defaults]), strict=False))
    defaults |= {
        one.arg: ast.unparse(default)
        for one, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if default is not None
    }
    # attrs shows no default that a function makes.
    real = {one.name: repr(one.default) for one in parameters if one.default is not one.empty}
    assert defaults == {name: defaults[name] if value == "NOTHING" else value for name, value in real.items()}


def test_each_public_name_is_explained() -> None:
    page = PAGE.read_text(encoding="utf-8")
    explained = re.findall(r"^(?:- \*\*|\| )`(\w+)`", page, re.MULTILINE)
    assert sorted(set(typedbus.nats.__all__) - set(explained)) == []
