"""Runs that a component begins and ends in its hooks `start` and `stop`, for a function that was passed to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from typedbus._base.failures import error_text
from typedbus._base.restart import Restart
from typedbus._base.run_errors import RestartPolicyError, RunFailed
from typedbus._base.run_records import RunRecord, RunState
from typedbus._bus.builtin import ERROR, WARNING
from typedbus._bus.bus import Bus, parts_of
from typedbus._bus.runs.reports import Line, RunLines
from typedbus._bus.runs.run import Run
from typedbus.plugins._thread_ends import NotEnded

if TYPE_CHECKING:
    from typedbus._base.clock import Clock
    from typedbus._base.stopping import Stopping


def own_error(failed: RunFailed) -> BaseException:
    """Return the error of the function, which is itself the cause of the exit if the run has no policy."""
    return failed.__cause__ or failed


class NoLines(RunLines):
    """Logs nothing about a run: the component logs its failures itself."""

    def begins(self, path: str, attempt: int) -> Line | None:
        return None

    def gave_up(self, path: str, error: BaseException, attempts: int, *, exits: bool) -> Line | None:
        return None

    def ended(self, path: str, seconds: float, *, is_asked: bool, is_late: bool) -> Line | None:
        return None


@attrs.frozen
class TaskLines(NoLines):
    """The lines about the background task *name*, which has no policy."""

    bus: Bus
    name: str

    def gave_up(self, path: str, error: BaseException, attempts: int, *, exits: bool) -> Line | None:
        return f"background task {self.name} failed, the bus exits: {error_text(error)}", ERROR

    def ended(self, path: str, seconds: float, *, is_asked: bool, is_late: bool) -> Line | None:
        if is_asked or self.bus.is_exit_requested:
            return None
        text = (
            f"background task {self.name} returned before its event was set, and is not called again; "
            "make it wait for the event, or call bus.request_exit() when its work is done"
        )
        return text, WARNING


@attrs.define(eq=False)
class ComponentRun:
    """
    A run that a component begins in its `start` and ends in its `stop`.

    Its path is that of the component; outside a container it is *name*. Without a
    policy the cause of an exit is the error of the function itself, and the lines on
    `LOG` are *lines*.

    Args:
        bus: The bus.
        component: The component.
        name: The name of its threads and tasks.
        call: The function.
        policy: Decides whether and when the function is called again; None to exit the bus at its first failure.
        patience: How long a stop waits for it, in seconds.
        lines: The lines on `LOG` about a run without a policy.
        clock: The source of its time; that of the bus unless given.

    Raises:
        RestartPolicyError: The policy is not a `Restart`, or has ``takes="dependents"``, which only a method marked
            ``@on(RUN)`` can have.
    """

    bus: Bus
    component: object
    name: str
    call: Callable[[Stopping], object]
    policy: Restart | None
    patience: float
    lines: RunLines
    clock: Clock | None = None
    _run: Run | None = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        policy: object = self.policy
        if policy is not None and not isinstance(policy, Restart):
            raise RestartPolicyError(f"restart={policy!r} is not a Restart; write restart=Restart(...)")
        if self.policy is not None and self.policy.takes == "dependents":
            raise RestartPolicyError(
                'takes="dependents" needs a run that is a method of a component: mark the method with @on(RUN)'
            )

    @property
    def record(self) -> RunRecord | None:
        """The state of the run; None before its first begin."""
        return None if self._run is None else self._run.record()

    @property
    def is_running(self) -> bool:
        """Whether the function has been called and has neither returned nor raised."""
        record = self.record
        return record is not None and record.state in (RunState.RUNNING, RunState.STOPPING)

    @property
    def is_begun(self) -> bool:
        """Whether it has begun, and has not been asked to end."""
        return self._run is not None and self._run.is_begun

    @property
    def is_here(self) -> bool:
        """Whether the caller is the run itself."""
        session = None if self._run is None else self._run.session
        return session is not None and session.is_here

    def begin(self) -> None:
        """
        Begin to call the function, unless that has begun.

        If an earlier call still runs, the function is called when that call has ended.

        Raises:
            OutOfThreads: The system starts no further thread.
        """
        runs = parts_of(self.bus).machine.runs.get()
        if self._run is None:
            self._run = Run(
                runs,
                self.call,
                self.name,
                policy=self.policy,
                patience=self.patience,
                name=self.name,
                clock=self.clock,
                lines=self.lines if self.policy is None else None,
                cause_of=own_error if self.policy is None else None,
                exits_late=True,
            )
        owner = parts_of(self.bus).participants.owners.get(id(self.component))
        runs.add(self._run, self.name if owner is None else owner.node.path)
        self._run.begin()

    def end(self, patience: float) -> None:
        """
        Ask the run to end, and wait for that, unless the caller is the run itself.

        Raises:
            NotEnded: It has not ended after *patience* seconds.
        """
        if self._run is not None:
            self._run.ask()
            self.wait(patience)

    def wait(self, patience: float) -> None:
        """
        Wait for the end of a run that was asked to end, unless the caller is the run itself.

        Raises:
            NotEnded: As in `end`.
        """
        run = self._run
        if run is None or run.session is None or run.session.is_here:
            return
        session = run.session
        if not parts_of(self.bus).machine.runs.get().await_end(run, session, patience):
            raise NotEnded(self.name, patience, session.stack())
