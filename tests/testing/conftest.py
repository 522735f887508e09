"""Fixtures of the tests that run pytest with tests of their own."""

from __future__ import annotations

import pytest
from tests.testing.plugin_runs import OPTIONS, Run


@pytest.fixture(autouse=True)
def _without_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load only the plugins that a test names, which is ten times as fast."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.fixture
def run(request: pytest.FixtureRequest, pytester: pytest.Pytester) -> Run:
    """Return a function that runs tests beside the `SHOP` of this module, from which they import everything."""
    pytester.makepyfile(shop=request.module.SHOP)

    def run(text: str, *arguments: str, imports: str = "import pytest\nfrom shop import *\n") -> pytest.RunResult:
        pytester.makepyfile(test_shop=imports + text)
        return pytester.runpytest_inprocess(*OPTIONS, *arguments)

    return run
