"""
The life of a container of thousands of components, in its own process.

`scale.py` runs this module with each Python. It prints one JSON object in a line
at the end of each step: if the process dies, the step after the last line is the cause.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import importlib.metadata
import importlib.util
import json
import os
import platform
import pstats
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from typedbus import START, Bus, Component, Container

FAN_IN = 3
NEAR = 50  # the dependencies of a component are among the 50 declared just before it
NESTED = 5  # every fifth component is in a nested container

STARTED: list[Bus] = []
"""The buses that are still started when the interpreter exits."""


class Part:
    """A component that starts and stops, with any number of dependencies."""

    __slots__ = ("needs",)

    def __init__(self, *needs: object) -> None:
        self.needs = needs

    def start(self) -> None:
        """Return at once."""

    def stop(self) -> None:
        """Return at once."""


def graph(size: int) -> type[Container]:
    """Return a container of *size* components, each with up to three dependencies among the last fifty."""
    generator = random.Random(size)
    nested: dict[str, Any] = {}
    for number in range(size // NESTED):
        _declare(nested, number, generator, [])
    nested_class = type("Infra", (Container,), nested)
    infra: Any = nested_class()
    members: dict[str, Any] = {"bus": Component(Bus), "infra": infra}
    for number in range(size - size // NESTED):
        needs = [getattr(infra, f"c{generator.randrange(len(nested))}")] if number % NESTED == 0 else []
        _declare(members, number, generator, needs)
    return type("Shop", (Container,), members)


def _declare(members: dict[str, Any], number: int, generator: random.Random, needs: list[Component[Part]]) -> None:
    candidates = [members[f"c{other}"] for other in range(max(0, number - NEAR), number)]
    needs = needs + generator.sample(candidates, min(len(candidates), FAN_IN - len(needs)))
    members[f"c{number}"] = Component(Part, *[need.provided for need in needs])


def chain(size: int) -> type[Container]:
    """Return a container of *size* components, each of which needs the component before it."""
    return type("Chain", (Container,), {"bus": Component(Bus), **_links(size)})


def backwards(size: int) -> type[Container]:
    """Return the same as `chain`, with each member declared before the component that it needs."""
    return type("Backwards", (Container,), {"bus": Component(Bus), **dict(reversed(_links(size).items()))})


def _links(size: int) -> dict[str, Any]:
    links: dict[str, Any] = {"c0": Component(Part)}
    for number in range(1, size):
        links[f"c{number}"] = Component(Part, links[f"c{number - 1}"].provided)
    return links


def live(declare: Callable[[int], type[Container]], size: int) -> None:
    """Go through the life of a container, and print the processor time of each step."""
    before = _resident()
    began = time.process_time()

    def lap(name: str) -> None:
        nonlocal began
        _print(name, time.process_time() - began)
        began = time.process_time()

    container_class = declare(size)
    lap("declare")
    shop: Any = container_class()
    lap("make")
    shop.validate()
    lap("validate")
    bus = shop.bus()
    # The first listener of the start is called when all components are built and subscribed.
    with bus[START].subscribe(lambda: lap("assemble"), priority=-1):
        bus.start()
    lap("start")
    _print("held", _resident() - before)
    began = time.process_time()
    bus.stop()
    lap("stop")
    bus.exit()
    lap("exit")
    bus.start()
    lap("again")
    bus.exit()
    # No object may be nested too deeply to be deallocated.
    del shop, bus, container_class
    gc.collect()
    lap("drop")
    _print("peak", _peak())


def leave(size: int) -> None:
    """Start a chain, and leave it started until the interpreter exits."""
    STARTED.append(chain(size)().attach())
    STARTED[0].start()


def plain(size: int) -> None:
    """Drop a chain of plain objects without a container."""
    part = Part()
    for _ in range(size):
        part = Part(part)


def types(size: int) -> None:
    """Print the processor time of mypy for modules of *size* components, without a cache."""
    if importlib.util.find_spec("mypy") is None:
        return
    _print("types", _seconds_of_mypy(module(size)))
    _print("marks", _seconds_of_mypy(marked_module(size)))


def _seconds_of_mypy(text: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "shop.py").write_text(text, encoding="utf-8")
        (Path(folder) / "mypy.ini").write_text("[mypy]\n", encoding="utf-8")
        command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "mypy.ini", "shop.py"]
        environment = {name: value for name, value in os.environ.items() if name != "MYPYPATH"}
        process = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if process.returncode != 0:
        raise SystemExit(f"mypy rejects a correct module:\n{process.stdout[-2000:]}{process.stderr[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def marked_module(size: int) -> str:
    """Return the text of a module with a container of *size* components; each has a class, a channel and a mark."""
    parts = [
        f'channel_{number} = Channel[[int], None]("channel_{number}")\n'
        f"class C{number}:\n"
        "    def __init__(self, bus: Bus, bound: BoundChannel[[int], None]) -> None: ...\n"
        f"    @on(channel_{number})\n"
        "    def receive(self, number: int, /) -> None: ...\n"
        for number in range(size)
    ]
    members = [
        f"    c{number} = Component(C{number}, bus.provided, bus.provided[channel_{number}])\n"
        for number in range(size)
    ]
    head = "from typedbus import BoundChannel, Bus, Channel, Component, Container, on\n\n"
    return f"{head}{''.join(parts)}\n\nclass Shop(Container):\n    bus = Component(Bus)\n{''.join(members)}"


def module(size: int) -> str:
    """Return the text of a module with a container of *size* components, each with its own class."""
    generator = random.Random(size)
    classes, members = [], []
    for number in range(size):
        needs = generator.sample(range(max(0, number - NEAR), number), min(number, FAN_IN))
        parameters = "".join(f", c{need}: C{need}" for need in needs)
        classes.append(f"class C{number}:\n    def __init__(self{parameters}, *, name: str = '') -> None: ...\n")
        arguments = ", ".join([f"C{number}", *[f"c{need}.provided" for need in needs], f"name='c{number}'"])
        members.append(f"    c{number} = Component({arguments})\n")
    head = "from typedbus import Bus, Component, Container\n\n"
    return f"{head}{''.join(classes)}\n\nclass Shop(Container):\n    bus = Component(Bus)\n{''.join(members)}"


def profile(size: int) -> None:
    """Print where the time goes, according to cProfile, from a container class to a bus that is STARTED."""
    container_class = graph(size)
    profiler = cProfile.Profile()
    profiler.enable()
    shop = container_class()
    shop.validate()
    shop.attach().start()
    profiler.disable()
    stats: Any = pstats.Stats(profiler)
    own: dict[str, float] = {}
    below: dict[str, float] = {}
    for (file, _, name), (_, _, alone, together, _) in stats.stats.items():
        place = "built-in functions" if file == "~" else f"`{Path(file).stem}`"
        own[place] = own.get(place, 0.0) + alone / stats.total_tt
        # Without the bus and its hook scheduler, which call all the rest and do little themselves.
        if "typedbus" in Path(file).parts and "<" not in name and Path(file).stem not in ("machine", "scheduler"):
            below[f"`{Path(file).stem}.{name}`"] = together / stats.total_tt
    _print("total", stats.total_tt)
    _print("own", own)
    _print("below", below)


def versions() -> str:
    """Return the versions of this Python and of the libraries that typedbus uses."""
    libraries = [
        f"{name} {importlib.metadata.version(name)}"
        for name in ("attrs", "dependency-injector", "mypy")
        if importlib.util.find_spec(name.replace("-", "_"))
    ]
    return ", ".join([f"{platform.python_implementation()} {platform.python_version()}", *libraries])


def _print(name: str, figure: object) -> None:
    print(json.dumps({name: figure}), flush=True)


def _resident() -> int:
    """Return the bytes of this process in memory now; without /proc, the maximum so far."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return _peak()
    return int(pages) * resource.getpagesize()


def _peak() -> int:
    maximum = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return maximum if sys.platform == "darwin" else maximum * 1024


KINDS: dict[str, Callable[[int], None]] = {
    "graph": lambda size: live(graph, size),
    "chain": lambda size: live(chain, size),
    "backwards": lambda size: live(backwards, size),
    "leave": leave,
    "plain": plain,
    "types": types,
    "profile": profile,
}


def main() -> None:
    """Run the kind in the main thread, or in a thread with the requested stack."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("size", type=int)
    parser.add_argument("--stack", type=int, default=0, help="stack of the thread in kilobytes; 0 for the main thread")
    arguments = parser.parse_args()
    _print("python", versions())
    if arguments.stack:
        threading.stack_size(arguments.stack * 1024)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(KINDS[arguments.kind], arguments.size).result()
    else:
        KINDS[arguments.kind](arguments.size)
    _print("end", arguments.kind)


if __name__ == "__main__":
    main()
