"""The driver of the chaos test: random commands to real processes, in an order that a seed determines."""

from __future__ import annotations

import collections
import itertools
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from tests.chaos.graph import PATIENT, Graph, random_graph
from tests.chaos.ledger import Ledger
from tests.processes import Program, until

ROOT: Final = Path(__file__).parents[2]

COMMANDS: Final = (
    [sys.executable, "-m", "tests.chaos.site"],
    # The component for signals starts only in the main thread, so that commands cannot start the bus again.
    [sys.executable, "-m", "typedbus", "run", "tests.chaos.site:Site"],
)


class Driver:
    """
    Sends random commands to processes of one graph, one process after another, and checks each outcome.

    Args:
        seed: Determines the graph, and the commands as long as the outcomes are as documented.
        size: The number of components.
        deaths: How many runs must die.

    Attributes:
        history: The commands so far, for the message of a failure.
        replaced: How many times a process was replaced by a restart.
        statuses: How many processes ended with each exit status.
    """

    def __init__(self, seed: int, size: int, deaths: int) -> None:
        self.seed = seed
        self.wanted = deaths
        self.size = size
        self.chance = random.Random(seed)
        self.graph: Graph = random_graph(seed, size)
        self.ledger = Ledger(self.graph)
        self.history: list[str] = []
        self.numbers = itertools.count(1)
        self.program: Program | None = None
        self.begun = 0
        self.replaced = 0
        self.statuses: collections.Counter[int] = collections.Counter()

    def run(self) -> None:
        """Send commands until enough runs have died, then exit."""
        try:
            while self.ledger.deaths < self.wanted:
                self.chance.choices(*zip(*self._actions(), strict=True))[0]()
            self.exit()
        except AssertionError as broken:
            raise AssertionError(self.report(str(broken))) from broken
        finally:
            if self.program is not None:
                self.program.kill()

    def report(self, problem: str) -> str:
        """Return the text of a failure."""
        program = self.program
        lines = [f"seed {self.seed}, {self.size} components: {problem}", *self.history[-12:]]
        if program is not None:
            lines += ["the end of the journal:", *program.lines[-60:], "stderr:", program.errors[-3000:]]
        return "\n".join(lines)

    def _actions(self) -> list[tuple[Callable[[], None], float]]:
        return [
            (self.die, 60),
            (self.die_together, 25),
            (self.stop_and_start, 6 * self._is_plain),
            (self.stop_amid_deaths, 6 * self._is_plain),
            (self.exit, 2),
            (self.fail, 2),
            (self.interrupt, 3),
            (self.restart, 4),
            (self.restart_amid_deaths, 3),
            (self.exit_amid_deaths, 3),
        ]

    # The process.

    @property
    def _is_plain(self) -> bool:
        """Whether the process runs no command line of typedbus."""
        return self.program is not None and self.begun % len(COMMANDS) == 1

    def _live(self) -> Program:
        """Return the process, in which all wanted runs are running; start one if there is none."""
        if self.program is None:
            environment = {**os.environ, "TYPEDBUS_CHAOS": f"{self.seed} {self.size} {self.chance.choice([1, 1, 4])}"}
            command = COMMANDS[self.begun % len(COMMANDS)]
            self.begun += 1
            self.program = Program(*command, cwd=ROOT, env=environment, stderr=subprocess.PIPE)
            self.read = 0
            self.ledger.reset()
            self.history.append(f"{self.begun}. process: {' '.join(command[1:])}")
            self._until(lambda: self.ledger.state == "STARTED" and self.ledger.is_settled())
            self._compare_records()
        return self.program

    def _follow(self) -> None:
        """Check the lines of the journal that have been read."""
        assert self.program is not None
        while self.read < len(self.program.lines):
            self.read += 1
            self.ledger.read(self.program.lines[self.read - 1])

    def _until(self, condition: Callable[[], bool]) -> None:
        """Read the journal until *condition* holds."""
        assert self.program is not None
        while not condition():
            self.program.reach("")
            self._follow()

    def _send(self, *commands: str) -> list[str]:
        """Send *commands* at once, and return their numbers."""
        program = self._live()
        numbered = [(str(next(self.numbers)), command) for command in commands]
        self.history.append("; ".join(commands))
        program.write("".join(f"{number} {command}\n" for number, command in numbered))
        return [number for number, _ in numbered]

    def _done(self, *commands: str) -> list[str]:
        """Send *commands*, wait until they are carried out, and return their outcomes."""
        numbers = self._send(*commands)
        self._until(lambda: self.ledger.acknowledged.keys() >= set(numbers))
        return [self.ledger.acknowledged.pop(number) for number in numbers]

    def _compare_records(self) -> None:
        """Compare ``bus.runs`` with the ledger; a record may change a moment after the function of its run."""

        def agrees() -> bool:
            self.ledger.records = None
            self._send("records")
            self.history.pop()
            self._until(lambda: self.ledger.records is not None)
            return self.ledger.records == self.ledger.expected_records()

        until(agrees, lambda: f"bus.runs is {self.ledger.records}, not {self.ledger.expected_records()}", limit=10)

    def _settle(self) -> None:
        """Wait until all wanted runs are running; if a run has exited the bus, check the end of the process."""
        self._until(lambda: self.ledger.gave_up is not None or self.ledger.is_settled())
        if self.ledger.gave_up is None:
            self._compare_records()
        else:
            self._end(70, cause=f"run Site.{self.ledger.gave_up} failed")

    def _end(self, *statuses: int, cause: str = "") -> None:
        """Read the journal to its end, and check it and the exit status."""
        program = self._live()
        status = program.end()
        self._follow()
        if self.ledger.late:
            statuses = (*statuses, 70)
        assert status in statuses, f"the exit status is {status}, not {statuses}"
        assert not self.ledger.running, f"{self.ledger.running} ran at the end"
        assert not self.ledger.started, f"{self.ledger.started} were not stopped"
        left = set(self.graph.parts) - self.ledger.exited
        assert not left, f"{left} did not exit"
        assert cause in program.errors, f"stderr does not have {cause!r}"
        program.kill()
        self.program = None
        self.statuses[status] += 1

    def _victims(self, *, are_patient: bool, most: int) -> list[str]:
        """Return some of the running runs at random; a patient run is called again after any number of deaths."""
        self._live()
        parts = self.graph.by_run()
        runs = [run for run in parts if run in self.ledger.running]
        if are_patient:
            runs = [run for run in runs if (policy := parts[run].policy) is not None and policy.most == PATIENT["most"]]
        if most > 1:
            # A background task that fails after it was asked to end exits the bus.
            runs = [run for run in runs if not parts[run].is_background]
        return self.chance.sample(runs, min(len(runs), self.chance.randint(1, most)))

    def _orders(self, runs: Sequence[str], kinds: Sequence[str]) -> str:
        """Return the command that lets *runs* die, each in one of the ways *kinds*."""
        return " ".join(["die", *(f"{self.ledger.running[run]}:{self.chance.choice(kinds)}" for run in runs)])

    # The actions.

    def die(self) -> None:
        """One run dies, in any way; its component and all dependents are stopped, or no component is."""
        victims = self._victims(are_patient=self.chance.random() < 0.8, most=1)
        if not victims:
            return
        (run,) = victims
        number = self.ledger.running[run]
        self.ledger.watch()
        self._send(self._orders([run], ["error", "error", "fatal", "group", "unprintable", "return"]))
        self._until(lambda: self.ledger.running.get(run) != number)
        self._settle()
        part = self.graph.by_run()[run]
        if self.program is not None:
            takes = part.policy is not None and part.policy.takes == "dependents" and run not in self.ledger.over
            stopped = self.graph.dependents([part.name]) if takes else set()
            assert self.ledger.stopped == stopped, f"{self.ledger.stopped} were stopped, not {stopped}"
            ended = {each for name in stopped for each in self.graph.parts[name].runs} | {run}
            assert self.ledger.ended <= ended, f"{self.ledger.ended - ended} ended as well"

    def die_together(self) -> None:
        """Several runs die at once."""
        runs = self._victims(are_patient=True, most=4)
        before = {run: self.ledger.running[run] for run in runs}
        self._send(self._orders(runs, ["error", "group"]))
        self._until(lambda: all(self.ledger.running.get(run) != number for run, number in before.items()))
        self._settle()

    def stop_and_start(self) -> None:
        """The bus stops, and starts again."""
        self._live()
        assert self._done("stop") == ["done"]
        assert self.ledger.state == "STOPPED"
        assert self._done("start") == ["done"]
        self._settle()

    def stop_amid_deaths(self) -> None:
        """The bus stops while runs die, which may be failures of the stop."""
        orders = self._orders(self._victims(are_patient=True, most=4), ["error", "group"])
        _, outcome = self._done(orders, "stop")
        assert outcome in ("done", "TransitionFailures")
        assert self.ledger.state == "STOPPED"
        assert self._done("start") == ["done"]
        self._settle()

    def exit(self) -> None:
        """The exit is requested."""
        self._send("exit")
        self._end(0)

    def fail(self) -> None:
        """The exit is requested because of an error."""
        self._send("fail")
        self._end(70, cause="OSError: the operator pulled the plug")

    def interrupt(self) -> None:
        """The process gets a signal that ends it, gracefully or not."""
        program = self._live()
        number = self.chance.choice([signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
        self.history.append(number.name)
        program.send(number)
        if number != signal.SIGKILL:
            self._end(0)
            return
        assert program.end() == -number
        self._follow()
        program.kill()
        self.program = None

    def exit_amid_deaths(self) -> None:
        """The exit is requested while runs die, which may be failures of the stop."""
        self._send(self._orders(self._victims(are_patient=True, most=4), ["error", "group"]), "exit")
        self._end(0, 70)

    def restart(self) -> None:
        """The process is replaced."""
        self._live()
        self._replace("restart")

    def restart_amid_deaths(self) -> None:
        """The process is replaced while runs die."""
        self._replace(self._orders(self._victims(are_patient=True, most=4), ["error", "group"]), "restart")

    def _replace(self, *commands: str) -> None:
        boots = self.ledger.boots
        self._send(*commands)
        self._until(lambda: self.ledger.boots > boots)
        self._until(lambda: self.ledger.state == "STARTED")
        self._settle()
        self.replaced += 1
