"""All contenders: the two baselines, typedbus, and the other libraries that are installed."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import Any

import attrs

import peers
from contender import POSITIONAL, STOPS, Contender, statements
from loops import BARE_LOOPS, LOOPS
from typedbus import Bus, Channel


def baseline() -> Contender:
    """Return the loop that all contenders are compared with."""
    return Contender(
        name="loop with try",
        publish=statements("channel.publish({})", POSITIONAL),
        subscribe="channel.listeners.append(listener)",
        unsubscribe="channel.listeners.remove(listener)",
        declare=LOOPS.__getitem__,
        bind=lambda loop: loop(),
    )


def bare_loop() -> Contender:
    """Return the loop without a ``try``."""
    return attrs.evolve(baseline(), name="bare loop", declare=BARE_LOOPS.__getitem__, failing=STOPS)


def typedbus() -> Contender:
    """Return typedbus."""
    bus = Bus()

    def keyword(a: int, b: str) -> None: ...
    def keyword_only(a: int, *, b: str) -> None: ...
    def default(a: int, b: str = "two", c: int = 3) -> None: ...
    def variadic(a: int, *rest: object, **others: object) -> None: ...

    declarations = {function.__name__: function for function in (keyword, keyword_only, default, variadic)}

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
    baseline,
    bare_loop,
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
    """Return the factories of the contenders that can be imported, and a message for each that cannot."""
    factories, missing = [], []
    for make in ALL:
        try:
            make()
        except ImportError as error:
            missing.append(str(error))
        else:
            factories.append(make)
    return factories, list(dict.fromkeys(missing))


def version(contender: Contender) -> str:
    """Return the version of a contender's distribution."""
    if contender.package is None:
        return "-"
    try:
        return importlib.metadata.version(contender.package[0])
    except importlib.metadata.PackageNotFoundError:
        return "from source"
