"""
Runs that break during a test, and runs that a test leaves running.

A run that breaks is called again, so a test may pass although the tested code has failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest

from typedbus._base.failures import TransitionFailures, error_text, traceback_includes, traceback_of
from typedbus._base.run_errors import RunFailed
from typedbus._base.run_events import RunBroke, RunEvent, RunGaveUp
from typedbus._base.states import State
from typedbus._base.structured import StructuredError
from typedbus._bus.builtin import RUNS
from typedbus._bus.bus import Bus, parts_of
from typedbus._bus.event_loop import EventLoop
from typedbus._bus.forked import BUSES
from typedbus._channels.subscriptions import Subscription

MAY_BREAK: Final = "typedbus_may_break"


class RunsBroke(StructuredError, AssertionError):
    """
    Raised after a test for each failure of a run, unless another error of the test has reported it.

    Attributes:
        failures: The path of the run, its error and the traceback of the error as text; in the order of the failures.
    """

    failures: tuple[tuple[str, str, str], ...]

    def __str__(self) -> str:
        paths = ", ".join(repr(path) for path in dict.fromkeys(path for path, _, _ in self.failures))
        tracebacks = "\n".join(f"run {path!r} raised:\n{trace}" for path, _, trace in self.failures)
        return (
            f"runs broke {len(self.failures)} time(s) in the test; correct them, or mark the test "
            f"@pytest.mark.{MAY_BREAK}({paths})\n{tracebacks}"
        )


class RunsLeft(StructuredError, AssertionError):
    """
    Raised after a test whose runs have not ended although their bus has stopped.

    Attributes:
        runs: The path of each run, with the stack of its thread or task as text.
    """

    runs: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        stacks = "\n".join(f"run {path!r} is at:\n{stack.rstrip()}" for path, stack in self.runs)
        return (
            f"the test left {len(self.runs)} run(s) running; make each return soon after its `stopping` argument is "
            f"set, for example by waiting with stopping.wait(seconds)\n{stacks}"
        )


class MayBreakMarkError(StructuredError, ValueError):
    """
    Raised during test collection for an invalid mark `typedbus_may_break`.

    Attributes:
        test: The pytest node id of the marked test.
        given: The argument that is not a path.
    """

    test: str
    given: str

    def __str__(self) -> str:
        return (
            f"{self.test} is marked {MAY_BREAK}, but {self.given} is not the path of a run or a component; "
            "give texts such as 'Shop.consumer', or no argument for all runs"
        )


def may_break_of(node: pytest.Item) -> tuple[str, ...] | None:
    """
    Return the paths of all marks `typedbus_may_break` of *node*, () for every path, or None without a mark.

    Raises:
        MayBreakMarkError: An argument of a mark is not a path.
    """
    __tracebackhide__ = True
    marks = list(node.iter_markers(MAY_BREAK))
    for mark in marks:
        wrong = [repr(path) for path in mark.args if not isinstance(path, str)]
        wrong += [f"{name}={value!r}" for name, value in mark.kwargs.items()]
        if wrong:
            raise MayBreakMarkError(node.nodeid, wrong[0])
    if not marks:
        return None
    return () if any(not mark.args for mark in marks) else tuple(path for mark in marks for path in mark.args)


class RunWatch:
    """
    Records the failures of the runs of a bus, from its start to its exit.

    Args:
        may_break: The paths of the runs, components and containers that may break; () for all, None for none.
    """

    def __init__(self, may_break: tuple[str, ...] | None) -> None:
        self._may_break = may_break
        self._failures: list[tuple[str, BaseException]] = []
        self._subscription: Subscription | None = None

    def begin(self, bus: Bus) -> None:
        """Record the failures of the runs of *bus* from now on."""
        self._subscription = bus[RUNS].subscribe(self._changed)

    def end(self) -> None:
        """Record no further failures."""
        if self._subscription is not None:
            self._subscription.cancel()

    def problems(self, raised: Sequence[BaseException]) -> list[BaseException]:
        """
        Return the errors of the test, from *raised*, the errors of the start and the exit, and the recorded failures.

        Errors of runs that may break are left out, also if they are the cause of the exit. Failures of other runs that
        are not in *raised* are added as a `RunsBroke`.
        """
        failures, self._failures = self._failures, []
        allowed = [error for path, error in failures if self._is_allowed(path)]
        problems = [problem for error in raised for problem in _without(error, allowed)]
        reported = [*problems, *(error for problem in problems for error in _window_of(problem))]
        unreported = tuple(
            (path, error_text(error), traceback_of(error))
            for path, error in failures
            if not self._is_allowed(path) and not any(traceback_includes(problem, error) for problem in reported)
        )
        return [RunsBroke(unreported), *problems] if unreported else problems

    def _is_allowed(self, path: str) -> bool:
        if self._may_break is None:
            return False
        return not self._may_break or any(f"{path}.".startswith(f"{allowed}.") for allowed in self._may_break)

    def _changed(self, event: RunEvent, /) -> None:
        if isinstance(event, (RunBroke, RunGaveUp)):
            self._failures.append((event.path, event.error))


def _without(error: BaseException, allowed: Sequence[BaseException]) -> list[BaseException]:
    """
    Return *error*, or what remains of the group that `running` raises, without the errors that are in *allowed*.

    A failed start remains as it is: the test has not begun.
    """
    if type(error) in (BaseExceptionGroup, ExceptionGroup):
        assert isinstance(error, BaseExceptionGroup)
        members = [member for one in error.exceptions for member in _without(one, allowed)]
        return [error] if len(members) == len(error.exceptions) else members
    if isinstance(error, TransitionFailures) and error.goal is not State.STARTED:
        _, rest = error.split(lambda member: any(member is one for one in allowed))
        return [] if rest is None else [rest if len(rest.exceptions) < len(error.exceptions) else error]
    cause = error.__cause__ if isinstance(error, RunFailed) else error
    return [] if any(cause is one for one in allowed) else [error]


def _window_of(error: BaseException) -> Sequence[BaseException]:
    """Return the earlier errors of the run that failed with *error*; the traceback of *error* does not contain them."""
    if isinstance(error, BaseExceptionGroup):
        return [window for member in error.exceptions for window in _window_of(member)]
    return error.errors if isinstance(error, RunFailed) else ()


def paths_left(event_loop: EventLoop | None = None) -> set[str]:
    """
    Return the paths of the runs that were left behind; their threads and tasks have these names.

    Args:
        event_loop: The event loop of a bus, for the runs of this bus only; None for the runs of all buses.
    """
    buses = [bus for bus in list(BUSES) if event_loop is None or parts_of(bus).event_loop is event_loop]
    records = [record for bus in buses for record in bus.runs.values()]
    if not records:
        return set()
    from typedbus._base.run_records import RunState  # only where there are runs

    return {record.path for record in records if record.state is RunState.STOPPING}


for _class in (RunsBroke, RunsLeft, MayBreakMarkError):
    _class.__module__ = "typedbus.pytest_plugin"
