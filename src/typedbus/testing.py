"""
Helpers for the tests of applications: a container for a block, recorders, a clock.

There is no global state: a recorder listens to one bus while its block lasts, and
a clock belongs to the buses that it was passed to.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable
from types import NoneType, TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, Self, cast

import attrs
from typing_extensions import TypeVar

from typedbus._base.clock import Clock, Inbox
from typedbus._base.run_events import RunEvent
from typedbus._base.structured import StructuredError
from typedbus._bus.builtin import RUNS
from typedbus._bus.bus import Bus
from typedbus._channels.bound import BoundChannel
from typedbus._container.running import running

if TYPE_CHECKING:
    from typedbus._channels.async_bound import AsyncBoundChannel

__all__ = ("Call", "FakeClock", "NoAnswer", "NoRunEvent", "Recorder", "RunRecorder", "running")

Args = ParamSpec("Args")
Result = TypeVar("Result")
Silent = TypeVar("Silent", bound="Recorder[..., None]")
Event = TypeVar("Event", bound=RunEvent)

# Result annotations for which None is a valid answer; a string is an annotation that could not be evaluated.
_NO_RESULT: Final = (None, NoneType, "None", Any, inspect.Signature.empty)


class NoAnswer(StructuredError, TypeError):
    """
    Raised by ``with Recorder(bound)`` on a channel with results: the recorder has no answer to return.

    Attributes:
        channel: The name of the channel.
        result: The annotation of its results.
    """

    channel: str
    result: object

    def __str__(self) -> str:
        result = self.result if isinstance(self.result, str) else inspect.formatannotation(self.result)
        return (
            f"this recorder has no answer, but listeners of channel {self.channel!r} return {result}; "
            "pass a function that returns the answer: Recorder(bound).answering(function)"
        )


@attrs.frozen
class Call:
    """One publish, as a listener received it."""

    args: tuple[object, ...]
    kwargs: dict[str, object]


class Recorder(Generic[Args, Result]):
    """
    Listens to a bound channel, for the length of a ``with``, and records each publish.

    ``with Recorder(shop.bus()[stock_low]) as lows: ...; assert lows.times("A-1", left=2) == 1``

    On a channel with results it needs an answer before it can listen: ``with Recorder(bound).answering(function)``.
    The channel may be async; the recorder and its answer are plain functions, and are not awaited.

    Attributes:
        calls: Every publish, in order.
        results: The answers of the recorder, in the same order.
    """

    def __init__(
        self, bound: BoundChannel[Args, Result] | AsyncBoundChannel[Args, Result], *, priority: int = 50
    ) -> None:
        self._bound = bound
        self._priority = priority
        self._answer: Callable[Args, Result] | None = None
        self.calls: list[Call] = []
        self.results: list[Result] = []

    def answering(self, answer: Callable[Args, Result]) -> _Answering[Args, Result]:
        """Answer each publish with the result of *answer*, which may also raise; return this recorder."""
        self._answer = answer
        return cast("_Answering[Args, Result]", self)

    def times(self, /, *args: Args.args, **kwargs: Args.kwargs) -> int:
        """
        Return how many publishes had exactly these arguments; type checkers compare them with the channel.

        Defaults are filled in for missing arguments, as `publish` does.
        """
        return self.calls.count(self._call(args, kwargs))

    def _call(self, args: tuple[object, ...], kwargs: dict[str, object]) -> Call:
        signature = self._bound.channel.signature()
        if signature is None:
            return Call(args, kwargs)
        arguments = signature.bind(*args, **kwargs)
        arguments.apply_defaults()
        return Call(arguments.args, arguments.kwargs)

    def _listen(self, /, *args: Args.args, **kwargs: Args.kwargs) -> Result:
        self.calls.append(self._call(args, kwargs))
        if self._answer is None:
            nothing: Result = None  # type: ignore[assignment]  # __enter__ lets in only channels of no result
            return nothing
        result = self._answer(*args, **kwargs)
        self.results.append(result)
        return result

    def __enter__(self: Silent) -> Silent:  # noqa: PYI019  # only for a channel without results
        """
        Listen to the channel.

        Raises:
            NoAnswer: The channel has results, and the recorder has no answer.
        """
        signature = self._bound.channel.signature()
        if self._answer is None and signature is not None and signature.return_annotation not in _NO_RESULT:
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


if TYPE_CHECKING:

    class _Answering(Recorder[Args, Result]):
        """A recorder with an answer: type checkers accept it in a ``with``, whatever the result type of its channel."""

        # The base class restricts the type of `self`; this class lifts the restriction.
        def __enter__(self) -> Self: ...  # pyright: ignore[reportIncompatibleMethodOverride]


class NoRunEvent(StructuredError, TimeoutError):
    """
    Raised by `RunRecorder.wait` if the event does not come in time.

    Attributes:
        kind: The name of its class.
        path: The path of the run, or "" for any run.
        patience: How long `wait` waited, in seconds.
        events: The recorded events, as text.
    """

    kind: str
    path: str
    patience: float
    events: tuple[str, ...]

    def __str__(self) -> str:
        of_run = f" of run {self.path!r}" if self.path else ""
        recorded = "".join(f"\n{event}" for event in self.events) or " none"
        return f"no new {self.kind}{of_run} came within {self.patience:g} s; the recorded events:{recorded}"


class RunRecorder:
    """
    Records the events of the runs of a bus, for the length of a ``with``, and waits for them.

    ``with RunRecorder(shop.attach()) as runs, running(shop): runs.wait(RunBroke, "Shop.consumer")``

    Attributes:
        events: Every event, in order of arrival.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._arrived = threading.Condition()
        #: The number of the event that `wait` returned last, counted from 1, by path of the run.
        self._awaited: dict[str, int] = {}
        self.events: list[RunEvent] = []

    def wait(self, kind: type[Event], path: str = "", *, patience: float = 10.0) -> Event:
        """
        Return the next event of *kind*; each call returns a later event of its run than the call before.

        The calling thread is blocked; a task awaits ``asyncio.to_thread(runs.wait, RunBroke)``.

        Args:
            kind: The class of the event.
            path: The path of the run; any run by default.
            patience: How long to wait, in real seconds.

        Raises:
            NoRunEvent: It did not come within *patience*.
        """
        with self._arrived:
            found: list[Event] = []

            def is_found() -> bool:
                for number, event in enumerate(self.events, 1):
                    is_next = number > self._awaited.get(event.path, 0)
                    if is_next and isinstance(event, kind) and path in ("", event.path):
                        self._awaited[event.path] = number
                        found.append(event)
                        return True
                return False

            if not self._arrived.wait_for(is_found, patience):
                raise NoRunEvent(kind.__name__, path, patience, tuple(map(repr, self.events)))
            return found[0]

    def _record(self, event: RunEvent, /) -> None:
        with self._arrived:
            self.events.append(event)
            self._arrived.notify_all()

    def __enter__(self) -> Self:
        """Begin to record."""
        self._bus[RUNS].subscribe(self._record)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> None:
        self._bus[RUNS].unsubscribe(self._record)


class FakeClock(Clock):
    """
    A clock that moves only by `advance`: ``Bus(clock=FakeClock())``.

    Its bus takes durations and ticks from it. May be used from any thread.
    """

    def __init__(self, now: float = 0.0) -> None:
        self._now = now
        self._condition = threading.Condition()
        self._sleepers: list[tuple[float, Inbox]] = []

    def now(self) -> float:
        """Return the current time of the clock."""
        return self._now

    def wait(self, inbox: Inbox, seconds: float) -> None:
        """Sleep until the clock has advanced by *seconds*, or *inbox* receives something."""
        sleeper = (self._now + seconds, inbox)
        with self._condition:
            self._sleepers.append(sleeper)
            self._condition.notify_all()
        inbox.get()
        with self._condition:
            if sleeper in self._sleepers:
                self._sleepers.remove(sleeper)

    def advance(self, seconds: float, *, sleepers: int = 1, patience: float = 10.0) -> None:
        """
        Wait until *sleepers* threads sleep on the clock, advance it by *seconds*, and wake the threads that are due.

        Raises:
            TimeoutError: Fewer threads sleep on it after *patience* real seconds.
        """
        with self._condition:
            if not self._condition.wait_for(lambda: len(self._sleepers) >= sleepers, patience):
                raise TimeoutError(f"{len(self._sleepers)} of {sleepers} threads sleep on the clock")
            self._now += seconds
            due = [sleeper for sleeper in self._sleepers if sleeper[0] <= self._now]
            for sleeper in due:
                self._sleepers.remove(sleeper)
                sleeper[1].put(None)
