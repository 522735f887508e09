"""The restart policy of a run."""

from __future__ import annotations

import math
from typing import Literal

import attrs

from typedbus._base.numbers import is_number, is_seconds
from typedbus._base.record import Record
from typedbus._base.run_errors import RestartPolicyError

#: Doubling a pause more often than this would overflow a float.
_MOST_DOUBLINGS = 64


@attrs.frozen(eq=False, repr=False)
class Restart(Record):
    """
    A restart policy: when a run is called again, how soon, and how often.

    The pause before a restart is *first* seconds, doubled for each earlier failure in the window up to *longest*, plus
    a random share of *jitter*. After more than *most* failures within *within* seconds the run is not restarted;
    failures before that window do not count. All times are measured on the clock of the bus.

    Args:
        when: "failure" restarts the run after an exception; a run that returns has ended. "always" also restarts it
            after a return, unless it was asked to end. "never" does not restart it.
        most: The number of restarts that are allowed within the window.
        within: The length of the window in seconds.
        first: The first pause in seconds.
        longest: The longest pause in seconds, without *jitter*.
        jitter: The largest random extension of a pause, as a fraction of the pause, so that many processes do not
            restart at the same moment.
        fatal: The exceptions after which the run is not restarted.
        takes: "itself" restarts only the run. "dependents" also restarts its component and the components that need
            that component: they stop, dependents first, and start again after the pause, dependents last. Instances are
            kept, except those of resources and of their users.
        then: The consequence of a failure after which the run is not restarted: "exit" exits the bus with `RunFailed`;
            "unready" lets the bus continue without the run.
        silent: The number of seconds without `Stopping.beat` after which the run counts as hung; None for no limit.

    Raises:
        RestartPolicyError: An argument is of the wrong type or outside its range; or the pauses of *most* restarts may
            take longer than *within*, so that the limit may never be reached.
    """

    when: Literal["failure", "always", "never"] = "failure"
    most: int = 5
    within: float = 60.0
    first: float = 0.5
    longest: float = 10.0
    jitter: float = 0.25
    fatal: tuple[type[Exception], ...] = ()
    takes: Literal["itself", "dependents"] = "itself"
    then: Literal["exit", "unready"] = "exit"
    silent: float | None = None

    def __attrs_post_init__(self) -> None:
        _check_choice("when", self.when, ("failure", "always", "never"))
        _check_choice("takes", self.takes, ("itself", "dependents"))
        _check_choice("then", self.then, ("exit", "unready"))
        most: object = self.most
        if isinstance(most, bool) or not isinstance(most, int) or most < 1:
            raise RestartPolicyError(
                f'most={most!r} is not a whole number from 1 up; Restart("never") allows no restart'
            )
        for name in ("within", "first", "longest"):
            _check_seconds(name, getattr(self, name))
        if self.silent is not None:
            _check_seconds("silent", self.silent)
        jitter: object = self.jitter
        if not is_number(jitter) or jitter < 0:
            raise RestartPolicyError(
                f"jitter={jitter!r} is not a number from 0 up; 0.25 makes pauses up to a quarter longer"
            )
        fatal: object = self.fatal
        if not isinstance(fatal, tuple):
            raise RestartPolicyError(f"fatal={fatal!r} is not a tuple; write fatal=(PermissionError,)")
        for kind in fatal:
            if not (isinstance(kind, type) and issubclass(kind, Exception)):
                raise RestartPolicyError(
                    f"fatal has {kind!r}, which is not a subclass of Exception; give classes of exceptions"
                )
        if self.first > self.longest:
            raise RestartPolicyError(
                f"first={self.first:g} is longer than longest={self.longest:g}; set longest as well"
            )
        if self.when != "never" and (pauses := self.longest_pauses) >= self.within:
            restarts = "1 restart takes" if most == 1 else f"{most} restarts take"
            raise RestartPolicyError(
                f"{restarts} up to {pauses:.1f} s of back-off alone, so that they never fall within {self.within:g} s; "
                "increase within, or reduce most, first, longest or jitter"
            )

    @property
    def summary(self) -> str:
        """The policy in a few words, as in "restarts on failure, 5 in 60 s", for listings and pictures."""
        if self.when == "never":
            text = "restarts never"
        else:
            text = f"restarts {'on failure' if self.when == 'failure' else 'always'}, {self.most} in {self.within:g} s"
        text += ", with its dependents" * (self.takes == "dependents")
        text += ", then unready" * (self.then == "unready")
        return text if self.silent is None else f"{text}, silent for at most {self.silent:g} s"

    def pause(self, failures: int) -> float:
        """Return the pause in seconds, without jitter, after a failure with *failures* earlier ones in the window."""
        return min(self.longest, self.first * 2.0 ** min(failures, _MOST_DOUBLINGS))

    @property
    def longest_pauses(self) -> float:
        """The longest possible sum of the pauses of `most` restarts in a row, in seconds."""
        doubling = min(self.most, _MOST_DOUBLINGS)
        try:
            pauses = sum(map(self.pause, range(doubling))) + (self.most - doubling) * self.longest
        except OverflowError:
            return math.inf
        return pauses * (1 + self.jitter)


def _check_choice(name: str, given: object, choices: tuple[str, ...]) -> None:
    if given not in choices:
        raise RestartPolicyError(f"{name}={given!r} is not one of {', '.join(map(repr, choices))}")


def _check_seconds(name: str, given: object) -> None:
    if not is_seconds(given):
        raise RestartPolicyError(f"{name}={given!r} is not a number of seconds above 0")
