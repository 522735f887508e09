# a program on its own, no part of a package
"""
From classes to objects: a container of typedbus beside one of dishka.

``python bench/classes.py`` makes thousands of classes, each with three others as
annotated parameters of its constructor, and measures the processor time from the
first declaration until the bus is STARTED, or until dishka has built each object.
dishka finds the arguments by their annotations; typedbus checks them. Every life
has a process of its own, and the two take turns. The least of all rounds counts.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import types
from collections.abc import Callable

from report import table, target_table
from targets import Target

ROUNDS = 5
SIZE = 3_000
#: The numbers of components between which the cost of one may grow, and by how much.
SMALL, LARGE, GROWTH = 2_000, 20_000, 1.2
SHARE = 0.5
#: A class takes the ones that stand so many places before it.
DISTANCES = (1, 7, 13)


def classes(size: int) -> tuple[list[type], list[list[int]]]:
    """Return *size* classes, and the numbers of the classes that each one takes."""
    needed = [[number - one for one in DISTANCES if number >= one] for number in range(size)]
    names: dict[str, type] = {}
    source = "".join(
        f"class C{number}:\n"
        f"    def __init__(self{''.join(f', p{place}: C{other}' for place, other in enumerate(others))}) -> None:\n"
        f"        pass\n"
        for number, others in enumerate(needed)
    )
    exec(source, names)
    return [names[f"C{number}"] for number in range(size)], needed


def typedbus(kinds: list[type], needed: list[list[int]]) -> None:
    """Declare and start a container of typedbus."""
    from typedbus import Bus, Component, Container, State

    body = {"bus": Component(Bus)}
    components: list[Component[object]] = []
    for number, kind in enumerate(kinds):
        components.append(Component(kind, *[components[other].provided for other in needed[number]]))
        body[f"c{number}"] = components[number]
    shop = types.new_class("Shop", (Container,), {}, lambda namespace: namespace.update(body))()
    shop.bus().start()
    assert shop.bus().state is State.STARTED


def dishka(kinds: list[type], needed: list[list[int]]) -> None:
    """Provide the classes in a container of dishka, and get an object of each."""
    from dishka import Provider, Scope, make_container

    provider = Provider(scope=Scope.APP)
    for kind in kinds:
        provider.provide(kind)
    container = make_container(provider)
    for kind in kinds:
        container.get(kind)


LIVES: dict[str, Callable[[list[type], list[list[int]]], None]] = {"typedbus": typedbus, "dishka": dishka}


def seconds(name: str, size: int) -> float:
    """Return the processor time of one life, in a process of its own."""
    ended = subprocess.run([sys.executable, __file__, name, str(size)], capture_output=True, text=True, check=True)
    return float(ended.stdout)


def live(name: str, size: int) -> None:
    """Live once, and print the processor time of the second life; the first has imported the library."""
    LIVES[name](*classes(2))
    made = classes(size)
    began = time.process_time()
    LIVES[name](*made)
    print(time.process_time() - began)


def main() -> None:
    """Measure, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assert", dest="is_asserted", action="store_true", help="exit with 1 if a target is missed")
    arguments = parser.parse_args()
    lives = [("typedbus", SIZE), ("dishka", SIZE), ("typedbus", SMALL), ("typedbus", LARGE)]
    least = {life: float("inf") for life in lives}
    for _ in range(ROUNDS):
        for life in lives:
            least[life] = min(least[life], seconds(*life))
    targets = [
        Target(f"{SIZE:,} components beside dishka", SHARE, least["typedbus", SIZE] / least["dishka", SIZE]),
        Target(
            f"a component of {LARGE:,} beside one of {SMALL:,}",
            GROWTH,
            least["typedbus", LARGE] / LARGE / (least["typedbus", SMALL] / SMALL),
        ),
    ]
    print(
        table(
            ["library", "components", "seconds"],
            [[name, f"{size:,}", f"{least[name, size]:.2f}"] for name, size in lives],
        )
    )
    print(target_table(targets))
    if arguments.is_asserted and not all(target.kept for target in targets):
        raise SystemExit(1)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        live(sys.argv[1], int(sys.argv[2]))
    else:
        main()
