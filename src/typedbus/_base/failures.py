"""The exception groups that publishes and transitions raise, and helpers for exceptions raised by listeners."""

from __future__ import annotations

import re
import types
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Generic, Self, TypeAlias

import attrs
from typing_extensions import TypeVar

from typedbus._base.record import Record
from typedbus._base.states import State
from typedbus._base.structured import StructuredError

Error = TypeVar("Error", bound=BaseException)
Function = TypeVar("Function", bound=Callable[..., object])
Result_co = TypeVar("Result_co", covariant=True, default=Any)


#: The beginning of the file names of generated code.
GENERATED: Final = "<typedbus: "


#: The code of the functions that `calls_listener` has marked.
_callers: Final[set[types.CodeType]] = set()


def calls_listener(function: Function) -> Function:
    """Mark *function* as a caller of listeners: for `note_refusal`, a `TypeError` raised in its frame is a bad call."""
    code: types.CodeType = vars(types.FunctionType)["__code__"].__get__(function)
    _callers.add(code)
    return function


def describe(listener: object) -> str:
    """Return the name of a callable for messages: module and qualified name, or its repr."""
    function = getattr(listener, "__func__", listener)
    name = getattr(function, "__qualname__", None)
    if not isinstance(name, str):
        try:
            return repr(listener)
        except Exception:
            # This is called in the middle of a publish, which a failing repr must not end.
            return object.__repr__(listener)
    module = getattr(function, "__module__", None)
    return f"{module}.{name}" if module else name


def label_of(name: str) -> str:
    """
    Return *name* up to its first space or parenthesis, so without the addresses and arguments that a repr may contain.

    Telemetry uses the result: a label must have few values, and no argument may leave the process in it.
    """
    head = re.split(r"[\s(]", name, maxsplit=1)[0]
    return name if head == name else head.lstrip("<") or "listener"


def place_of(listener: object) -> str:
    """Return file and line of a callable's definition, or "no file" if that is unknown."""
    call: object = vars(type(listener)).get("__call__")
    for function in (getattr(listener, "__func__", listener), call):
        code = getattr(getattr(function, "__wrapped__", function), "__code__", None)
        if isinstance(code, types.CodeType):
            return f"{code.co_filename}:{code.co_firstlineno}"
    return "no file"


def note_of(name: str, channel: str) -> str:
    """Return the note for an exception that the listener *name* raised."""
    return f"raised by {name} on channel {channel!r}"


def note_refusal(error: TypeError, listener: object, name: str, channel: str) -> None:
    """Add the place of *listener* and the remedy to *error*, if the call itself failed and no line of the listener ran."""
    trace, place = error.__traceback__, place_of(listener)
    if trace is None or place == "no file":
        return  # a listener that is written in C may have raised the error itself
    innermost = trace
    while innermost.tb_next is not None:
        innermost = innermost.tb_next
    code = innermost.tb_frame.f_code
    if innermost is trace or code in _callers or code.co_filename.startswith(GENERATED):
        put_note(
            error,
            f"{name} ({place}) does not accept the arguments of channel {channel!r}; "
            "give it the parameters of the channel, or **_: object for those that it does not use",
        )


def put_note(error: Exception, note: str) -> None:
    """Add *note* to *error*; an exception object that is raised repeatedly gets the note once."""
    try:
        # An exception, such as a frozen class, may refuse to set attributes. PEP 678 defines where notes are stored.
        attributes = error.__dict__
        if "__notes__" not in attributes:
            attributes["__notes__"] = [note]
        elif note not in attributes["__notes__"]:
            error.add_note(note)
    except Exception:
        # A note that cannot be added must not hide the failure of the listener.
        return


@attrs.frozen(eq=False, repr=False)
class Failure(Record):
    """A failure of a listener: its name, the channel, the exception, and the listener itself."""

    name: str
    channel: str
    error: Exception
    listener: Callable[..., object] = attrs.field(repr=False)

    def __attrs_post_init__(self) -> None:
        put_note(self.error, note_of(self.name, self.channel))


Blame: TypeAlias = tuple[str, Callable[..., object], str]
"""A listener that raised: its name, the listener itself, and the note. A `Failure` is created from it on demand."""


class ChannelFailures(ExceptionGroup[Exception], Generic[Result_co]):
    """
    Raised by `publish` after the last listener, if any of them raised.

    The type parameter is the result of the channel. An ``except ChannelFailures`` cannot give it, so the type of
    `results` is ``tuple[Any, ...]`` there; an annotation, such as ``receipts: tuple[Receipt, ...] = failed.results``,
    states it unchecked. `attempt` returns the same results with their type.

    Attributes:
        channel: The name of the channel.
        failures: One `Failure` for each listener that raised, in running order.
        results: The results of the listeners that returned, in running order.
    """

    # The channel, the blame for each member, and the results of the other listeners.
    _data: tuple[str, Sequence[Blame], Sequence[Result_co]]

    def __new__(cls, channel: str, failures: Sequence[Failure], results: Iterable[Result_co]) -> Self:
        """Make the group; the members are the errors of *failures*."""
        blames = [(failure.name, failure.listener, note_of(failure.name, failure.channel)) for failure in failures]
        group = super().__new__(cls, "", [failure.error for failure in failures])
        group._data = channel, blames, list(results)
        return group

    # ExceptionGroup.__init__ does not accept the arguments of __new__.
    def __init__(self, channel: str, failures: Sequence[Failure], results: Iterable[Result_co]) -> None:
        """See `__new__`."""

    @property
    def channel(self) -> str:
        return self._data[0]

    @property
    def failures(self) -> tuple[Failure, ...]:
        channel, blames, _ = self._data
        return tuple(
            Failure(name, channel, error, listener)
            for (name, listener, _), error in zip(blames, self.exceptions, strict=True)
        )

    @property
    def results(self) -> tuple[Result_co, ...]:
        return tuple(self._data[2])

    @property
    def message(self) -> str:
        channel, blames, results = self._data
        names = ", ".join(name for name, _, _ in blames)
        return f"{len(blames)} of {len(blames) + len(results)} listeners of channel {channel!r} failed: {names}"

    def __str__(self) -> str:
        count = len(self.exceptions)
        return f"{self.message} ({count} sub-exception{'' if count == 1 else 's'})"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r}, {list(self.exceptions)!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.channel, self.failures, self.results), _notes_of(self)

    def find(self, kind: type[Error], /) -> Error | None:
        """
        Return the first exception of the class *kind* in the group, or None.

        For publishers whose callers handle an exception by its class: ``raise failed.find(BuildError) or failed``.
        Members are searched in running order, and a member that is itself a group before the next member.
        """
        members: list[BaseException] = [*reversed(self.exceptions)]
        while members:
            error = members.pop()
            if isinstance(error, kind):
                return error
            if isinstance(error, BaseExceptionGroup):
                members += reversed(error.exceptions)
        return None

    def derive(self, excs: Sequence[Exception], /) -> ChannelFailures[Result_co]:  # type: ignore[override]  # a group of Exceptions has no other members
        """Return a group of *excs* with the same channel and results, each with its listener; `except*` and `split` call it."""
        return ChannelFailures(self.channel, _failures_of(self.failures, excs), self.results)


class TransitionFailures(ExceptionGroup[Exception]):
    """
    Raised by `start`, `stop` and `exit` of a bus when listeners failed during the transition.

    The transition is complete nevertheless: a start was rolled back, a stop
    or an exit has called every listener.

    Attributes:
        goal: The requested state.
        state: The state in which the transition ended.
        failures: One `Failure` for each listener that raised, in the order of events.
    """

    goal: State
    state: State
    failures: tuple[Failure, ...]

    def __new__(cls, goal: State, state: State, failures: Sequence[Failure]) -> Self:
        """Make the group; the members are the errors of *failures*."""
        if goal is State.STARTED:
            what = "the start failed and was rolled back"
        elif goal is State.STOPPED:
            what = "listeners failed during the stop"
        else:
            what = "listeners failed during the exit"
        names = ", ".join(f"{failure.name} ({failure.channel})" for failure in failures)
        group = super().__new__(
            cls,
            f"{what}; the bus is {state.name} now; failed: {names}",
            [failure.error for failure in failures],
        )
        group.goal, group.state, group.failures = goal, state, tuple(failures)
        return group

    def __init__(self, goal: State, state: State, failures: Sequence[Failure]) -> None:
        """See `__new__`."""

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.goal, self.state, self.failures), _notes_of(self)

    def derive(self, excs: Sequence[Exception], /) -> TransitionFailures:  # type: ignore[override]  # a group of Exceptions has no other members
        """Return a group of *excs* with the same goal and state, each with its listener; `except*` and `split` call it."""
        return TransitionFailures(self.goal, self.state, _failures_of(self.failures, excs))


def _notes_of(error: BaseException) -> dict[str, object]:
    """Return the state of *error* that its constructor does not restore, for copies and pickles."""
    notes = getattr(error, "__notes__", None)
    return {} if notes is None else {"__notes__": [*notes]}


def _failures_of(failures: Sequence[Failure], errors: Sequence[Exception]) -> list[Failure]:
    """
    Return a failure for each of *errors*, which are members of a group with *failures*, or parts of members.

    For a member that is itself a group, `split` creates a new group with some of
    its exceptions. The new group belongs to the member with which it shares the
    most exceptions. `split` keeps the order, so of several such members, for example when
    listeners raise the same exception object, it belongs to the next in order. An exception
    that no member contains, which a caller may pass to `derive`, takes the next place.
    """
    places_by_id: dict[int, list[int]] = {}
    for place, failure in enumerate(failures):
        for content in _contents(failure.error):
            places_by_id.setdefault(id(content), []).append(place)
    parts = []
    next_place = 0
    for error in errors:
        if next_place < len(failures) and failures[next_place].error is error:
            place = next_place
        else:
            counts = Counter(place for content in _contents(error) for place in places_by_id.get(id(content), ()))
            most = max(counts.values(), default=0)
            candidates = sorted(place for place, count in counts.items() if count == most)
            candidates = candidates or [min(next_place, len(failures) - 1)]
            place = next((place for place in candidates if place >= next_place), candidates[0])
        next_place = place + 1
        parts.append(attrs.evolve(failures[place], error=error))
    return parts


def _contents(error: BaseException) -> list[BaseException]:
    """Return *error* and, if it is a group, all exceptions and groups inside it, each once."""
    contents = {id(error): error}
    unseen = [error]
    while unseen:
        group = unseen.pop()
        if isinstance(group, BaseExceptionGroup):
            new = {id(member): member for member in group.exceptions if id(member) not in contents}
            contents |= new
            unseen += new.values()
    return list(contents.values())


def propagates_at_once(error: BaseException) -> bool:
    """Return whether *error* ends a publish or a transition at once, instead of being collected as a failure."""
    return not isinstance(error, Exception) or isinstance(error, RecursionError)


def chain_failure(leaving: BaseException, failure: BaseException) -> None:
    """
    Make *failure* the cause of *leaving* (`SystemExit`, `KeyboardInterrupt` or similar), so that its traceback shows both.

    An exit status of success becomes 1.
    """
    if isinstance(leaving, SystemExit) and leaving.code in (None, 0):
        leaving.code = 1
    chain = [failure]
    # The same exception object may be raised repeatedly: the chain of causes must not become circular.
    while (cause := chain[-1].__cause__) is not None and all(cause is not link for link in (leaving, *chain)):
        chain.append(cause)
    cause_before = leaving.__cause__
    chain[-1].__cause__ = None if any(cause_before is link for link in chain) else cause_before
    leaving.__cause__ = failure


def traceback_includes(error: BaseException, cause: BaseException) -> bool:
    """Whether the traceback of *error* shows *cause*: as *error* itself, a cause, a context or a member of a group."""
    visited: set[int] = set()
    links: list[BaseException | None] = [error]
    while links:
        link = links.pop()
        if link is cause:
            return True
        # Chains of exceptions may be circular.
        if link is None or id(link) in visited:
            continue
        visited.add(id(link))
        links.append(link.__cause__)
        if not link.__suppress_context__:
            links.append(link.__context__)
        if isinstance(link, BaseExceptionGroup):
            links.extend(link.exceptions)
    return False


def distinct_errors(errors: Iterable[BaseException]) -> list[BaseException]:
    """Return each object of *errors* once; exceptions need not be hashable."""
    return list({id(error): error for error in errors}.values())


def combined_error(message: str, errors: Iterable[BaseException]) -> BaseException | None:
    """Return a single error unchanged, several errors in a group with *message*, and None if there are no errors."""
    members = distinct_errors(errors)
    return BaseExceptionGroup(message, members) if len(members) > 1 else next(iter(members), None)


class CauseReport(str):
    """A message on `LOG` about a cause of the exit; `run` does not show it, since it prints the error when it ends."""

    __slots__ = ()


def error_text(error: BaseException) -> str:
    """
    Return *error* in one line: its repr, or a text without it if it cannot be computed.

    For an error of typedbus it is the first line of its text: the repr has all its data, such as a stack.
    """
    try:
        if isinstance(error, StructuredError):
            return f"{type(error).__name__}: {str(error).splitlines()[0]}"
        return repr(error)
    except Exception:  # raised by the class of the error
        return f"{type(error).__name__}(<its repr has failed>)"


def traceback_of(error: BaseException) -> str:
    """Return the traceback of *error*, as the interpreter prints it."""
    import traceback  # only needed when something fails

    return "".join(traceback.format_exception(error)).rstrip()
