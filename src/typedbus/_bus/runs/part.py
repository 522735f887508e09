"""The runs of the components that restart together, after one of these runs has failed."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import attrs

from typedbus._base.errors import HookTimeout
from typedbus._base.limits import StartNode
from typedbus._bus.builtin import ERROR, INFO
from typedbus._bus.partial import PartialRestart

if TYPE_CHECKING:
    from typedbus._bus.runs.run import Run
    from typedbus._bus.runs.sessions import Session
    from typedbus._bus.runs.supervisor import Runs


@attrs.frozen(eq=False)
class RestartedRuns:
    """
    The runs of one partial restart, as `PartRuns`.

    Args:
        runs: The runs of the bus.
        node: The component of the run that has failed.
        run: That run.
        session: The session of that run, whose thread carries out the restart.
    """

    _runs: Runs
    _node: StartNode
    _run: Run
    _session: Session

    def end(self, nodes: Collection[StartNode], /) -> None:
        """End the runs of *nodes*, dependents first; a run that does not end in time is left behind and logged."""
        if self._run.is_begun and self._run.session is self._session:
            # Logged once, and not again for a further attempt.
            paths = ", ".join(sorted(node.path for node in nodes if node is not self._node))
            self._runs.log(f"{self._node.path} restarts" + (f" with {paths}" if paths else ""), INFO)
        for run, subscription in reversed(self._runs.matched()):
            if subscription.node not in nodes:
                continue
            self._runs.keep(run)
            if run.session is not self._session:
                self._end(run)
            run.suspend()

    def _end(self, run: Run) -> None:
        try:
            self._runs.end(run)
        except HookTimeout as error:
            self._runs.log(f"the restart of {self._run.path} continues although a run has not ended:\n{error}", ERROR)
        except Exception:  # noqa: S110  # the run has logged it
            pass
        except BaseException as error:
            self._runs.request_exit(error)

    def begin(self, nodes: Collection[StartNode], /) -> None:
        """Begin the runs of *nodes* in running order."""
        for run, subscription in self._runs.matched():
            if subscription.node in nodes and not run.is_begun:
                self._runs.begin_one(run)

    def failed(self, error: BaseException, /) -> float | None:
        """Count *error* of a start as a failure of the run; see `PartRuns`."""
        return self._run.start_failed(error)


def restart_dependents(runs: Runs, run: Run, session: Session, node: StartNode, pause: float) -> None:
    """
    Restart the component of *node* and its dependents, in this thread, after *session* of *run* has failed.

    If a stop or another restart ends the run before its turn, nothing is restarted.
    """
    restart = PartialRestart(runs.machine, node, RestartedRuns(runs, node, run, session))
    # In this order: whichever thread is second, this one or one that ends the run, sees the change of the first.
    session.restart = restart
    # Ends the session, so that no thread waits for this one; the next call belongs to another session.
    run.hand_over(session)
    if session.is_asked:
        restart.withdraw()
    restart.carry_out(pause)
