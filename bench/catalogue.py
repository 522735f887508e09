"""
Measures `typedbus channels` on a generated code base of 500 channels in 300 modules.

``python bench/catalogue.py`` writes the code base to a temporary folder, checks that the catalogue
has every publisher and every listener of it, and prints the seconds of the command in each format.
Each run is a process of its own. The options are listed by ``--help``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from report import machine, table, target_table
from targets import Target

PACKAGES = 30
MODULES = 10  # in each package: one of channels, the others with a component each
CHANNELS = 500
CONTAINER = "app.container:Shop"

#: The arguments of the command, in order: the last one reads what the one before it has written.
COMMANDS = (
    ("text", ["--format", "text"]),
    ("Markdown", ["--output", "../channels.md"]),
    ("HTML", ["--output", "../channels.html"]),
    ("JSON", ["--output", "../channels.json"]),
    ("`--check` with that JSON", ["--check", "../channels.json"]),
)

CHANNELS_MODULE = '''\
"""The channels of package {package}."""

import attrs

from typedbus import Channel


@attrs.frozen
class Order{package}:
    """An order of this package."""

    sku: str
    count: int
    note: str | None = None


{declarations}
'''
DECLARATION = '''\
order_{number} = Channel[[Order{package}, str], int]("order_{number}")
"""An order has reached step {number}."""
'''
COMPONENT_MODULE = '''\
"""A component that listens to channels of its package, and publishes on channels of the next one."""

from typedbus import BoundChannel, Bus, on
{imports}

class Part{name}:
    """Works on orders."""

    def __init__(self, bus: Bus, {parameters}) -> None:
        self.bus = bus
{assignments}
{listeners}
{publishers}

{functions}'''
LISTENER = '''
    @on(order_{number})
    def handle_{number}(self, order: Order{package}, origin: str, /) -> int:
        """Handle an order from this origin."""
        return order.count
'''
PUBLISHER = '''
    def place_{number}(self, order: Order{package}) -> list[int]:
        """Place an order."""
        return self.out_{number}.publish(order, "{name}")
'''
FUNCTION = '''
def total_{number}(prices: list[int], counts: dict[str, int]) -> int:
    """Return a sum."""
    total = 0
    for index, price in enumerate(prices):
        if price > {number} and str(index) in counts:
            total += price * counts[str(index)]
        elif price < 0:
            raise ValueError(f"price {{price}} is negative")
    return total

'''
FUNCTIONS = 12  # in each module, without channels


@attrs.frozen
class CodeBase:
    """
    A generated code base.

    Attributes:
        folder: The folder that contains the package `app`.
        lines: The number of lines.
        modules: The number of modules, without the one of the container.
        components: The number of components beside the bus.
        publishers: The number of call sites that publish.
        listeners: The number of methods that listen.
    """

    folder: Path
    lines: int
    modules: int
    components: int
    publishers: int
    listeners: int


def generate(folder: Path) -> CodeBase:
    """Write the code base into *folder*."""
    of_package = [[number for number in range(CHANNELS) if number % PACKAGES == package] for package in range(PACKAGES)]
    members = ["from typedbus import Bus, Component, Container", ""]
    declarations = ["", "", "class Shop(Container):", '    """All components."""', "", "    bus = Component(Bus)"]
    publishers = listeners = 0
    for package, numbers in enumerate(of_package):
        inside = folder / "app" / f"p{package}"
        inside.mkdir(parents=True)
        (inside / "__init__.py").write_text("", encoding="utf-8")
        declared = "\n".join(DECLARATION.format(number=number, package=package) for number in numbers)
        (inside / "channels.py").write_text(
            CHANNELS_MODULE.format(package=package, declarations=declared), encoding="utf-8"
        )
        after = (package + 1) % PACKAGES
        for module in range(MODULES - 1):
            listened, published = numbers[module :: MODULES - 1], of_package[after][module :: MODULES - 1]
            name = f"{package}_{module}"
            text = _component(name, package, after, listened, published)
            (inside / f"part{module}.py").write_text(text, encoding="utf-8")
            members.append(f"from app.p{package}.part{module} import Part{name}")
            members.append(f"from app.p{after}.channels import {', '.join(f'order_{number}' for number in published)}")
            given = ", ".join(f"bus.provided[order_{number}]" for number in published)
            declarations.append(f"    part{name} = Component(Part{name}, bus.provided, {given})")
            publishers += len(published)
            listeners += len(listened)
    (folder / "app" / "__init__.py").write_text("", encoding="utf-8")
    (folder / "app" / "container.py").write_text("\n".join([*members, *declarations, ""]), encoding="utf-8")
    files = [file for file in folder.rglob("*.py") if file.name != "__init__.py"]
    lines = sum(file.read_text(encoding="utf-8").count("\n") for file in files)
    return CodeBase(folder, lines, len(files) - 1, PACKAGES * (MODULES - 1), publishers, listeners)


def _component(name: str, package: int, after: int, listened: Sequence[int], published: Sequence[int]) -> str:
    imports = [
        f"from app.p{package}.channels import Order{package}, {', '.join(f'order_{number}' for number in listened)}",
        f"from app.p{after}.channels import Order{after}",
    ]
    return COMPONENT_MODULE.format(
        name=name,
        imports="\n".join([*imports, ""]),
        parameters=", ".join(f"out_{number}: BoundChannel[[Order{after}, str], int]" for number in published),
        assignments="\n".join(f"        self.out_{number} = out_{number}" for number in published),
        listeners="".join(LISTENER.format(number=number, package=package) for number in listened),
        publishers="".join(PUBLISHER.format(number=number, package=after, name=name) for number in published),
        functions="".join(FUNCTION.format(number=number) for number in range(FUNCTIONS)),
    )


def run(python: str, code: CodeBase, arguments: Sequence[str]) -> dict[str, float]:
    """Run the command in the folder of *code*, and return its seconds, processor seconds and peak memory."""
    command = [python, "-m", "typedbus", "channels", CONTAINER, *arguments]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as output:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=code.folder, stdout=subprocess.DEVNULL, stderr=output)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        if (message := output.read()) or process.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{message}")
    return {"seconds": seconds, "processor": usage.ru_utime + usage.ru_stime, "peak": usage.ru_maxrss * 1024}


def measure(python: str, rounds: int) -> dict[str, Any]:
    """Return all figures of *python*: the first run, which compiles the modules, and *rounds* runs of each command."""
    with tempfile.TemporaryDirectory() as root:
        code = generate(Path(root) / "src")
        first = run(python, code, COMMANDS[0][1])
        runs = {title: [run(python, code, arguments) for _ in range(rounds)] for title, arguments in COMMANDS}
        _check(json.loads((Path(root) / "channels.json").read_text(encoding="utf-8")), code)
    version = subprocess.run([python, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    return {"python": version, "code": code, "first": first, "runs": runs}


def _check(catalogue: dict[str, Any], code: CodeBase) -> None:
    """Exit with a message unless *catalogue* has everything that was generated."""
    uses = [use["how"] for channel in catalogue["channels"] for use in channel["uses"]]
    found = (len(catalogue["channels"]), uses.count("publishes"), uses.count("listens"))
    expected = (CHANNELS, code.publishers, code.listeners)
    if found != expected:
        raise SystemExit(f"the catalogue has {found} channels, publishers and listeners instead of {expected}")


def targets(figures: dict[str, Any]) -> Iterator[Target]:
    """Yield the targets, with the largest of the measured processor times."""
    yield Target("the first run", 5.0, figures["first"]["processor"], "s")
    for title, runs in figures["runs"].items():
        yield Target(title, 5.0, max(each["processor"] for each in runs), "s")


def page(figures: dict[str, Any], about: dict[str, str]) -> str:
    """Return *figures* as Markdown."""
    code: CodeBase = figures["code"]
    rows = [
        [
            title,
            *[f"{each['processor']:.2f}" for each in sorted(runs, key=lambda each: each["processor"])],
            f"{min(each['seconds'] for each in runs):.2f}",
            f"{max(each['peak'] for each in runs) / (1 << 20):.0f}",
        ]
        for title, runs in figures["runs"].items()
    ]
    head = (
        f"# The catalogue of {CHANNELS} channels\n\n{about['date']}; CPython {figures['python']}; {about['processor']}; "
        f"{about['system']}; `python bench/catalogue.py`.\n\n"
        f"`typedbus channels {CONTAINER}` on a generated code base: {CHANNELS} channels in {code.modules} modules with "
        f"{code.lines:,} lines, {code.publishers} calls that publish, {code.listeners} methods that listen, and "
        f"{code.components} components in one container. The catalogue has each of them. Every run is a process, "
        "which imports all modules and reads their source. The first run also compiles them. "
        "The limit is for the processor time of the slowest run.\n\n"
    )
    units = "\nSeconds of processor time in order, seconds that passed in the fastest run, and memory in MB.\n\n"
    columns = ["", *[f"run {number + 1}" for number in range(len(rows[0]) - 3)], "passed", "peak MB"]
    return head + target_table(list(targets(figures))) + units + table(columns, rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; return 1 if `--assert` is given and a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=sys.executable, metavar="PATH", help="interpreter with typedbus")
    parser.add_argument("--rounds", type=int, default=3, help="number of processes for each command")
    parser.add_argument("--write", action="store_true", help="write the page to docs/bench")
    parser.add_argument("--assert", dest="strict", action="store_true", help="exit with 1 if a target is missed")
    options = parser.parse_args(arguments)
    figures = measure(options.python, options.rounds)
    text = page(figures, machine())
    print(text)
    if options.write:
        (Path(__file__).parent.parent / "docs" / "bench" / "catalogue.md").write_text(text, encoding="utf-8")
    return int(options.strict and not all(target.kept for target in targets(figures)))


if __name__ == "__main__":
    raise SystemExit(main())
