"""Everything that is measured: the two limits, ourselves, and the libraries that are installed."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import Any

import attrs

import peers
from contender import POSITIONAL, STOPS, Contender, statements
from limits import BARE_LOOPS, LOOPS
from typedbus import Bus, Channel


def limit() -> Contender:
    """Return the loop that every contender is measured against."""
    return Contender(
        name="loop with try",
        publish=statements("channel.publish({})", POSITIONAL),
        subscribe="channel.listeners.append(listener)",
        unsubscribe="channel.listeners.remove(listener)",
        declare=LOOPS.__getitem__,
        bind=lambda loop: loop(),
    )


def bare_limit() -> Contender:
    """Return the loop without a try."""
    return attrs.evolve(limit(), name="bare loop", declare=BARE_LOOPS.__getitem__, failing=STOPS)


def typedbus() -> Contender:
    """Return ourselves."""
    bus = Bus()

    def keyword(a: int, b: str) -> None: ...
    def keyword_only(a: int, *, b: str) -> None: ...
    def default(a: int, b: str = "two", c: int = 3) -> None: ...
    def variadic(a: int, *rest: object, **others: object) -> None: ...

    declarations = {one.__name__: one for one in (keyword, keyword_only, default, variadic)}

    def declare(form: str) -> Any:
        return Channel[[int, str], int]("placed") if form == "positional" else Channel.declare(declarations[form])

    return Contender(
        name="typedbus",
        publish=statements("channel.publish({})", POSITIONAL),
        subscribe="channel.subscribe(listener)",
        unsubscribe="channel.unsubscribe(listener)",
        declare=declare,
        bind=bus.__getitem__,
        bus=bus,
        package=("typedbus", "typedbus"),
        heat=80,
    )


ALL: tuple[Callable[[], Contender], ...] = (
    limit,
    bare_limit,
    typedbus,
    peers.blinker,
    peers.pluggy,
    lambda: peers.psygnal("emit"),
    lambda: peers.psygnal("emit_fast"),
    peers.pyee,
    peers.wspbus,
    peers.magicbus,
    peers.django,
    peers.asphalt,
)


def installed() -> tuple[list[Callable[[], Contender]], list[str]]:
    """Return what makes each contender that can be imported, and a word on each that cannot."""
    found, missing = [], []
    for make in ALL:
        try:
            make()
        except ImportError as error:
            missing.append(str(error))
        else:
            found.append(make)
    return found, list(dict.fromkeys(missing))


def version(contender: Contender) -> str:
    """Return the version of a contender's distribution."""
    if contender.package is None:
        return "-"
    try:
        return importlib.metadata.version(contender.package[0])
    except importlib.metadata.PackageNotFoundError:
        return "from source"
