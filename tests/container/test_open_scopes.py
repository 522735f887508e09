"""Scopes that are still open when their container stops."""

import asyncio
import contextlib
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from logging import WARNING
from pathlib import Path

import pytest
from tests.doubles import LIMIT

from typedbus import (
    LOG,
    STOP,
    Bus,
    Component,
    Container,
    Scoped,
    TransitionFailures,
    running,
)


def open_session() -> Iterator[str]:
    yield "session"


class Shop(Container):
    bus = Component(Bus)
    session = Scoped(open_session)


class Metrics(Container):
    sample = Scoped(open_session)


@contextlib.contextmanager
def warnings_of(bus: Bus) -> Iterator[list[str]]:
    """Collect the warnings of *bus*, with ages replaced by N."""
    warnings: list[str] = []

    def record(message: str, level: int) -> None:
        if level == WARNING:
            warnings.append(re.sub(r"\d+\.\d s ago(?: \(.+?\))?", "N", message))

    with bus[LOG].subscribe(record):
        yield warnings


def test_a_scope_that_is_open_after_the_stop_is_logged_with_its_open_objects() -> None:
    shop = Shop()
    with warnings_of(shop.attach()) as warnings, contextlib.ExitStack() as stack:
        with running(shop):
            stack.enter_context(shop.scope())
            stack.enter_context(shop.scope())[Shop.session]
        assert warnings == [
            "still open after the stop: a scope of Shop, opened N",
            "still open after the stop: a scope of Shop, opened N, with Shop.session open",
        ]


def test_a_scope_of_another_thread_is_logged() -> None:
    shop = Shop()
    is_open, may_end = threading.Event(), threading.Event()

    def work() -> None:
        with shop.scope() as scope:
            scope[Shop.session]
            is_open.set()
            may_end.wait(LIMIT)

    thread = threading.Thread(target=work)
    with warnings_of(shop.attach()) as warnings:
        try:
            with running(shop):
                thread.start()
                assert is_open.wait(LIMIT)
        finally:
            may_end.set()
            thread.join()
    assert warnings == ["still open after the stop: a scope of Shop, opened N, with Shop.session open"]


def test_a_scope_that_ends_in_a_stop_hook_is_not_logged() -> None:
    """The server of a site waits in its stop() for the requests, each with a scope."""
    shop = Shop()
    bus = shop.attach()
    with warnings_of(bus) as warnings, contextlib.ExitStack() as stack:
        with bus[STOP].subscribe(stack.close), running(shop):
            stack.enter_context(shop.scope())[Shop.session]
        with running(shop), shop.scope() as scope:
            scope[Shop.session]
    assert warnings == []


def test_each_container_of_a_bus_logs_its_own_scopes() -> None:
    shop, metrics = Shop(), Metrics()
    with warnings_of(shop.attach()) as warnings, contextlib.ExitStack() as stack:
        with running(shop, metrics):
            stack.enter_context(metrics.scope())[Metrics.sample]
            stack.enter_context(shop.scope())[Shop.session]
        assert warnings == [
            "still open after the stop: a scope of Shop, opened N, with Shop.session open",
            "still open after the stop: a scope of Metrics, opened N, with Metrics.sample open",
        ]


def test_a_scope_that_is_open_after_a_rollback_is_logged() -> None:
    def fail() -> None:
        raise OSError

    shop = Shop()
    bus = shop.attach()
    with warnings_of(bus) as warnings, contextlib.ExitStack() as stack:
        scope = stack.enter_context(shop.scope())

        class Failing:
            start = staticmethod(fail)

        class Broken(Container):
            failing = Component(Failing)

        with pytest.raises(TransitionFailures), running(shop, Broken()):
            pass
        assert scope.is_open
        assert warnings == ["still open after the stop: a scope of Shop, opened N"]


def test_an_async_scope_that_is_open_after_the_stop_is_logged() -> None:
    async def use() -> list[str]:
        shop = Shop()
        async with contextlib.AsyncExitStack() as stack:
            with warnings_of(shop.attach()) as warnings:
                async with running(shop):
                    scope = await stack.enter_async_context(shop.scope())
                    await scope.get(Shop.session)
        return warnings

    assert asyncio.run(use()) == ["still open after the stop: a scope of Shop, opened N, with Shop.session open"]


PROGRAM = """
from typedbus import LOG, Bus, Component, Container, running

class Shop(Container):
    bus = Component(Bus)

shop = Shop()
shop.attach()[LOG].subscribe(lambda message, level: print(message))
with running(shop):
    shop.scope().__enter__()
"""


@pytest.mark.slow
def test_in_development_mode_the_place_is_logged(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.lstrip())

    printed = subprocess.run([sys.executable, "-X", "dev", program], capture_output=True, text=True, check=True).stdout

    (line,) = printed.splitlines()
    assert line.endswith(f" s ago ({program}:9)")
