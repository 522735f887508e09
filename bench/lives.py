"""
One life of a container of thousands of components, in a process of its own.

`scale.py` starts this on each Python that it is asked for. Each line that is
printed is a JSON object, one for each step as it ends: who ends in the middle
of a step was killed by it.
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
NEAR = 50  # dependencies are among so many that were declared just before
NESTED = 5  # every fifth component lives in a part

LEFT: list[Bus] = []
"""What is still there when the interpreter ends."""


class Part:
    """A component that starts and stops, with any number of dependencies."""

    __slots__ = ("needs",)

    def __init__(self, *needs: object) -> None:
        self.needs = needs

    def start(self) -> None:
        """Start at once."""

    def stop(self) -> None:
        """Stop at once."""


def graph(size: int) -> type[Container]:
    """Return a container of *size* components, each with up to three dependencies among the last fifty."""
    chosen = random.Random(size)
    parts: dict[str, Any] = {}
    for number in range(size // NESTED):
        _declare(parts, number, chosen, [])
    part_class = type("Infra", (Container,), parts)
    infra: Any = part_class()
    members: dict[str, Any] = {"bus": Component(Bus), "infra": infra}
    for number in range(size - size // NESTED):
        inside = [getattr(infra, f"c{chosen.randrange(len(parts))}")] if number % NESTED == 0 else []
        _declare(members, number, chosen, inside)
    return type("Shop", (Container,), members)


def _declare(members: dict[str, Any], number: int, chosen: random.Random, needs: list[Component[Part]]) -> None:
    last = [members[f"c{other}"] for other in range(max(0, number - NEAR), number)]
    needs = needs + chosen.sample(last, min(len(last), FAN_IN - len(needs)))
    members[f"c{number}"] = Component(Part, *[one.provided for one in needs])


def chain(size: int) -> type[Container]:
    """Return a container of *size* components, each of which needs the one before."""
    return type("Chain", (Container,), {"bus": Component(Bus), **_links(size)})


def backwards(size: int) -> type[Container]:
    """Return the same as `chain`, with each member in front of the one that it needs."""
    return type("Backwards", (Container,), {"bus": Component(Bus), **dict(reversed(_links(size).items()))})


def _links(size: int) -> dict[str, Any]:
    links: dict[str, Any] = {"c0": Component(Part)}
    for number in range(1, size):
        links[f"c{number}"] = Component(Part, links[f"c{number - 1}"].provided)
    return links


def live(declare: Callable[[int], type[Container]], size: int) -> None:
    """Go through the life of a container, and tell the seconds that each step of it worked."""
    before = _resident()
    began = time.process_time()

    def lap(name: str) -> None:
        nonlocal began
        _tell(name, time.process_time() - began)
        began = time.process_time()

    declared = declare(size)
    lap("declare")
    shop: Any = declared()
    lap("make")
    shop.validate()
    lap("validate")
    bus = shop.bus()
    # The first listener of the start: by then everything is built and subscribed.
    with bus[START].subscribe(lambda: lap("assemble"), priority=-1):
        bus.start()
    lap("start")
    _tell("held", _resident() - before)
    began = time.process_time()
    bus.stop()
    lap("stop")
    bus.exit()
    lap("exit")
    bus.start()
    lap("again")
    bus.exit()
    # Nothing of it may be too deep to be taken apart.
    del shop, bus, declared
    gc.collect()
    lap("drop")
    _tell("peak", _peak())


def leave(size: int) -> None:
    """Start a chain, and leave it to the interpreter's end."""
    LEFT.append(chain(size)().attach())
    LEFT[0].start()


def plain(size: int) -> None:
    """Drop a chain of objects that have nothing to do with a container."""
    part = Part()
    for _ in range(size):
        part = Part(part)


def types(size: int) -> None:
    """Tell the seconds that mypy works on modules of *size* components, with nothing in its cache."""
    if importlib.util.find_spec("mypy") is None:
        return
    _tell("types", _seconds_of_mypy(module(size)))
    _tell("marks", _seconds_of_mypy(marked_module(size)))


def _seconds_of_mypy(text: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "shop.py").write_text(text, encoding="utf-8")
        (Path(folder) / "mypy.ini").write_text("[mypy]\n", encoding="utf-8")
        command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "mypy.ini", "shop.py"]
        environment = {name: value for name, value in os.environ.items() if name != "MYPYPATH"}
        ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise SystemExit(f"mypy refuses what is right:\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime


def marked_module(size: int) -> str:
    """Return the text of a module with a container of *size* components; each has a class, a channel and a mark."""
    parts = [
        f'channel_{number} = Channel[[int], None]("channel_{number}")\n'
        f"class C{number}:\n"
        "    def __init__(self, bus: Bus, bound: BoundChannel[[int], None]) -> None: ...\n"
        f"    @on(channel_{number})\n"
        "    def hear(self, number: int, /) -> None: ...\n"
        for number in range(size)
    ]
    members = [
        f"    c{number} = Component(C{number}, bus.provided, bus.provided[channel_{number}])\n"
        for number in range(size)
    ]
    head = "from typedbus import BoundChannel, Bus, Channel, Component, Container, on\n\n"
    return f"{head}{''.join(parts)}\n\nclass Shop(Container):\n    bus = Component(Bus)\n{''.join(members)}"


def module(size: int) -> str:
    """Return the text of a module with a container of *size* components, each of a class of its own."""
    chosen = random.Random(size)
    classes, members = [], []
    for number in range(size):
        needs = chosen.sample(range(max(0, number - NEAR), number), min(number, FAN_IN))
        parameters = "".join(f", c{need}: C{need}" for need in needs)
        classes.append(f"class C{number}:\n    def __init__(self{parameters}, *, name: str = '') -> None: ...\n")
        given = ", ".join([f"C{number}", *[f"c{need}.provided" for need in needs], f"name='c{number}'"])
        members.append(f"    c{number} = Component({given})\n")
    head = "from typedbus import Bus, Component, Container\n\n"
    return f"{head}{''.join(classes)}\n\nclass Shop(Container):\n    bus = Component(Bus)\n{''.join(members)}"


def profile(size: int) -> None:
    """Tell where the time goes from a container to its bus that is STARTED, as cProfile sees it."""
    declared = graph(size)
    profiler = cProfile.Profile()
    profiler.enable()
    shop = declared()
    shop.validate()
    shop.attach().start()
    profiler.disable()
    stats: Any = pstats.Stats(profiler)
    own: dict[str, float] = {}
    below: dict[str, float] = {}
    for (file, _, name), (_, _, alone, together, _) in stats.stats.items():
        place = "what is built in" if file == "~" else f"`{Path(file).stem}`"
        own[place] = own.get(place, 0.0) + alone / stats.total_tt
        # The bus and its visits have all of it below them, and do little of it.
        if "typedbus" in Path(file).parts and "<" not in name and Path(file).stem not in ("_bus", "_visit"):
            below[f"`{Path(file).stem}.{name}`"] = together / stats.total_tt
    _tell("total", stats.total_tt)
    _tell("own", own)
    _tell("below", below)


def versions() -> str:
    """Return the version of this Python, and of what stands beside typedbus in it."""
    beside = [
        f"{name} {importlib.metadata.version(name)}"
        for name in ("attrs", "dependency-injector", "mypy")
        if importlib.util.find_spec(name.replace("-", "_"))
    ]
    return ", ".join([f"{platform.python_implementation()} {platform.python_version()}", *beside])


def _tell(name: str, figure: object) -> None:
    print(json.dumps({name: figure}), flush=True)


def _resident() -> int:
    """Return the bytes of this process that are in memory now; where nobody tells, the most there ever were."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return _peak()
    return int(pages) * resource.getpagesize()


def _peak() -> int:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


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
    """Do what is asked for, in the main thread or in one with as much stack as is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("size", type=int)
    parser.add_argument("--stack", type=int, default=0, help="kilobytes of stack, in a thread; 0 for the main thread")
    asked = parser.parse_args()
    _tell("python", versions())
    if asked.stack:
        threading.stack_size(asked.stack * 1024)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(KINDS[asked.kind], asked.size).result()
    else:
        KINDS[asked.kind](asked.size)
    _tell("end", asked.kind)


if __name__ == "__main__":
    main()
