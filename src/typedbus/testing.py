"""
Help for the tests of applications: a container for a block, a recorder, a clock.

Nothing here is global: a recorder listens to one bus while its block lasts, and
a clock is the clock of the buses that it was given to.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Generic, ParamSpec, Self

import attrs
from typing_extensions import TypeVar

from typedbus._bound import BoundChannel
from typedbus._clock import Clock, Inbox
from typedbus._running import running

__all__ = ("Call", "FakeClock", "NoAnswer", "Recorder", "running")

Args = ParamSpec("Args")
Result = TypeVar("Result")


class NoAnswer(TypeError):
    """Raised by a `Recorder` on a channel with results that was told no answer."""

    def __init__(self, channel: str, result: object) -> None:
        super().__init__(channel, result)
        self.channel = channel
        self.result = result

    def __str__(self) -> str:
        wanted = getattr(self.result, "__name__", repr(self.result))
        return (
            f"listeners of channel {self.channel!r} answer with {wanted}, and so must a recorder: "
            "Recorder(bound).answering(function)"
        )


@attrs.frozen
class Call:
    """One publish, as a listener saw it."""

    args: tuple[object, ...]
    kwargs: dict[str, object]


class Recorder(Generic[Args, Result]):
    """
    Listens to a bound channel, for the length of a ``with``, and remembers.

    ``with Recorder(shop.bus()[stock_low]) as lows: ...; assert lows.times("A-1", left=2) == 1``

    Attributes:
        calls: Every publish, in order.
        results: What the recorder answered, in the same order.
    """

    def __init__(self, bound: BoundChannel[Args, Result], *, priority: int = 50) -> None:
        self._bound = bound
        self._priority = priority
        self._answer: Callable[Args, Result] | None = None
        self.calls: list[Call] = []
        self.results: list[Result] = []

    def answering(self, answer: Callable[Args, Result]) -> Self:
        """Answer each publish with what *answer* makes of it, which may also raise; give the recorder back."""
        self._answer = answer
        return self

    def times(self, /, *args: Args.args, **kwargs: Args.kwargs) -> int:
        """
        Return how many publishes had exactly these arguments; checkers hold them against the channel.

        What is left out is filled in as `publish` does.
        """
        return self.calls.count(self._call(args, kwargs))

    def _call(self, args: tuple[object, ...], kwargs: dict[str, object]) -> Call:
        signature = self._bound.channel.signature()
        if signature is None:
            return Call(args, kwargs)
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        return Call(given.args, given.kwargs)

    def _listen(self, /, *args: Args.args, **kwargs: Args.kwargs) -> Result:
        self.calls.append(self._call(args, kwargs))
        if self._answer is None:
            nothing: Result = None  # type: ignore[assignment]  # __enter__ lets in only channels of no result
            return nothing
        result = self._answer(*args, **kwargs)
        self.results.append(result)
        return result

    def __enter__(self) -> Self:
        signature = self._bound.channel.signature()
        if self._answer is None and signature is not None and signature.return_annotation not in (None, type(None)):
            raise NoAnswer(self._bound.channel.name, signature.return_annotation)
        self._bound.subscribe(self._listen, priority=self._priority)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        self._bound.unsubscribe(self._listen)


class FakeClock(Clock):
    """
    A clock that goes on when it is told to: ``Bus(clock=FakeClock())``.

    A bus that has it takes durations and ticks from it. May be used from any thread.
    """

    def __init__(self, now: float = 0.0) -> None:
        self._now = now
        self._changed = threading.Condition()
        self._sleepers: list[tuple[float, Inbox]] = []

    def now(self) -> float:
        """Return the time that it was brought to."""
        return self._now

    def wait(self, inbox: Inbox, seconds: float) -> None:
        """Sleep until the clock was brought *seconds* further, or something comes into *inbox*."""
        sleeper = (self._now + seconds, inbox)
        with self._changed:
            self._sleepers.append(sleeper)
            self._changed.notify_all()
        inbox.get()
        with self._changed:
            if sleeper in self._sleepers:
                self._sleepers.remove(sleeper)

    def advance(self, seconds: float, *, sleepers: int = 1, patience: float = 10.0) -> None:
        """
        Wait until *sleepers* threads sleep on the clock, bring it *seconds* further, and wake who is due.

        Raises:
            TimeoutError: Fewer sleep on it after *patience* real seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._sleepers) >= sleepers, patience):
                raise TimeoutError(f"{len(self._sleepers)} of {sleepers} threads sleep on the clock")
            self._now += seconds
            due = [sleeper for sleeper in self._sleepers if sleeper[0] <= self._now]
            for sleeper in due:
                self._sleepers.remove(sleeper)
                sleeper[1].put(None)
