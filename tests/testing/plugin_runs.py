"""Runs of pytest with the plugin, for tests of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

# An unknown mark is an error. The plugin has been imported already, which pytest would warn of.
OPTIONS = ["-p", "typedbus.pytest_plugin", "--strict-config", "--strict-markers"]
OPTIONS += ["-W", "error", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
ASYNCIO = ("-p", "pytest_asyncio.plugin", "-o", "asyncio_default_fixture_loop_scope=function")
AUTO = (*ASYNCIO, "-o", "asyncio_mode=auto")
# Older versions of anyio use a name that newer versions of pytest deprecate.
ANYIO = ("-p", "anyio", "-W", "ignore:_pytest.python.CallSpec2")

Run: TypeAlias = Callable[..., pytest.RunResult]


def text_of(result: pytest.RunResult) -> str:
    """Return the output of pytest without the margins of its lines."""
    return "\n".join(line.removeprefix("E ").strip() for line in result.outlines)
