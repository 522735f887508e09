"""The outcome of `attempt`: the answer or the failure of each listener."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Generic, Self

import attrs
from typing_extensions import TypeVar

from typedbus._base.failures import ChannelFailures, Failure
from typedbus._base.record import Record
from typedbus._channels.roles import Substitute
from typedbus._channels.subscriptions import AnyBoundChannel

Result_co = TypeVar("Result_co", covariant=True)


@attrs.frozen(eq=False, repr=False)
class Answer(Record, Generic[Result_co]):
    """
    The result of a listener that returned.

    Attributes:
        name: The name of the listener, as in a `Failure`.
        channel: The name of the channel.
        result: What the listener returned.
        listener: The listener itself.
        error: None, in contrast to that of a `Failure`.
    """

    name: str
    channel: str
    result: Result_co
    listener: Callable[..., object] = attrs.field(repr=False)

    error: ClassVar[None] = None


class Attempt(Generic[Result_co]):
    """
    What `attempt` returns: iterating gives an `Answer` or a `Failure` for each listener, in running order.

    ``answer.error`` is None for an `Answer`, and the exception for a `Failure`, which has no result.
    The records are created on first access.
    """

    # There is no constructor, which would take as long as the call of a listener: the generated code sets the attributes.
    __slots__ = ("_bound", "_failed", "_listeners", "_records", "_results")

    _bound: AnyBoundChannel
    _listeners: Sequence[Callable[..., Any]]
    _results: Sequence[Result_co]
    _failed: ChannelFailures[Result_co] | None
    _records: tuple[Answer[Result_co] | Failure, ...]

    @classmethod
    def of(
        cls,
        bound: AnyBoundChannel,
        listeners: Sequence[Callable[..., Any]],
        results: Sequence[Result_co],
        failed: ChannelFailures[Result_co] | None,
    ) -> Self:
        """Return the outcome of a call of *listeners*, in running order."""
        attempt = cls()
        attempt._bound, attempt._listeners, attempt._results, attempt._failed = bound, listeners, results, failed
        return attempt

    @property
    def results(self) -> tuple[Result_co, ...]:
        """The results of the listeners that returned, in running order."""
        return tuple(self._results)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """A `Failure` for each listener that raised, in running order."""
        return () if self._failed is None else self._failed.failures

    def __iter__(self) -> Iterator[Answer[Result_co] | Failure]:
        try:
            records = self._records
        except AttributeError:
            records = self._records = tuple(self._each())
        return iter(records)

    def __len__(self) -> int:
        return len(self._listeners)

    def _each(self) -> Iterator[Answer[Result_co] | Failure]:
        bound, results, failures = self._bound, iter(self._results), iter(self.failures)
        failure = next(failures, None)
        for called in self._listeners:
            listener = called.subscription.listener if isinstance(called, Substitute) else called
            # A listener has one subscription, so it is called once.
            if failure is not None and failure.listener is listener:
                yield failure
                failure = next(failures, None)
            else:
                yield Answer(bound.name_of(listener), bound.channel.name, next(results), listener)

    def __repr__(self) -> str:
        answers, failures = len(self._results), len(self.failures)
        return f"<Attempt on {self._bound.channel.name!r}: {answers} answer(s), {failures} failure(s)>"
