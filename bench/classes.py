# a program on its own, no part of a package
"""
Compares a container of typedbus with one of dishka, from the classes to the objects.

``python bench/classes.py`` makes thousands of classes, each with three others as
annotated parameters of its constructor, and measures the processor time from the
first declaration until the bus is STARTED, or until dishka has built each object.
dishka finds the arguments by their annotations; typedbus checks them. Each run has
its own process, the libraries take turns, and the fastest round of each counts.
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
#: The cost of one component may grow by this factor between SMALL and LARGE components.
SMALL, LARGE, GROWTH = 2_000, 20_000, 1.2
#: The allowed time of typedbus, relative to dishka.
SHARE = 0.5
#: A class needs the classes that were declared so many places before it.
DISTANCES = (1, 7, 13)


def classes(size: int) -> tuple[list[type], list[list[int]]]:
    """Return *size* classes, and for each the numbers of the classes that it needs."""
    needed = [[number - distance for distance in DISTANCES if number >= distance] for number in range(size)]
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


LIBRARIES: dict[str, Callable[[list[type], list[list[int]]], None]] = {"typedbus": typedbus, "dishka": dishka}


def seconds(name: str, size: int) -> float:
    """Return the processor time of one run in its own process."""
    process = subprocess.run([sys.executable, __file__, name, str(size)], capture_output=True, text=True, check=True)
    return float(process.stdout)


def run(name: str, size: int) -> None:
    """Print the processor time of a second run; the first has imported the library."""
    LIBRARIES[name](*classes(2))
    kinds, needed = classes(size)
    began = time.process_time()
    LIBRARIES[name](kinds, needed)
    print(time.process_time() - began)


def main() -> None:
    """Measure, and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assert", dest="is_asserted", action="store_true", help="exit with 1 if a target is missed")
    arguments = parser.parse_args()
    runs = [("typedbus", SIZE), ("dishka", SIZE), ("typedbus", SMALL), ("typedbus", LARGE)]
    least = dict.fromkeys(runs, float("inf"))
    for _ in range(ROUNDS):
        for name, size in runs:
            least[name, size] = min(least[name, size], seconds(name, size))
    targets = [
        Target(f"{SIZE:,} components, relative to dishka", SHARE, least["typedbus", SIZE] / least["dishka", SIZE]),
        Target(
            f"one component among {LARGE:,}, relative to one among {SMALL:,}",
            GROWTH,
            least["typedbus", LARGE] / LARGE / (least["typedbus", SMALL] / SMALL),
        ),
    ]
    print(
        table(
            ["library", "components", "seconds"],
            [[name, f"{size:,}", f"{least[name, size]:.2f}"] for name, size in runs],
        )
    )
    print(target_table(targets))
    if arguments.is_asserted and not all(target.kept for target in targets):
        raise SystemExit(1)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        run(sys.argv[1], int(sys.argv[2]))
    else:
        main()
