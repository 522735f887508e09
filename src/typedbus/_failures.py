"""
Every exception that typedbus raises on purpose, with its text.

An exception keeps what it knows as attributes and computes its text from them,
so that the places that raise stay short and the wording stands in one file.
docs/errors.md has a section for each.
"""

from __future__ import annotations

import types
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Self, TypeAlias

import attrs

from typedbus._record import Record
from typedbus._states import State


def describe(listener: object) -> str:
    """Name a callable as a person would find it: module and qualified name, or its repr."""
    function = getattr(listener, "__func__", listener)
    name = getattr(function, "__qualname__", None)
    if not isinstance(name, str):
        try:
            return repr(listener)
        except Exception:
            # It is named in the middle of a publish, which it must not end.
            return object.__repr__(listener)
    module = getattr(function, "__module__", None)
    return f"{module}.{name}" if module else name


def place_of(listener: object) -> str:
    """Return file and line of a callable's definition, or where nobody knows that, "no file"."""
    called: object = vars(type(listener)).get("__call__")
    for function in (getattr(listener, "__func__", listener), called):
        code = getattr(getattr(function, "__wrapped__", function), "__code__", None)
        if isinstance(code, types.CodeType):
            return f"{code.co_filename}:{code.co_firstlineno}"
    return "no file"


def note_of(name: str, channel: str) -> str:
    """Return the note for what the listener *name* raised."""
    return f"raised by {name} on channel {channel!r}"


def put_note(error: Exception, note: str) -> None:
    """Give *error* its note; one exception object that is raised again and again is noted once."""
    try:
        # An exception may refuse to have attributes set, as a frozen class does. PEP 678 says where notes are.
        known = error.__dict__
        if "__notes__" not in known:
            known["__notes__"] = [note]
        elif note not in known["__notes__"]:
            error.add_note(note)
    except Exception:
        # No failure of a listener is to be lost for want of a note.
        return


@attrs.frozen(eq=False, repr=False)
class Failure(Record):
    """One listener that raised: which one, on which channel, and what."""

    name: str
    channel: str
    error: Exception
    listener: Callable[..., object] = attrs.field(repr=False)

    def __attrs_post_init__(self) -> None:
        put_note(self.error, note_of(self.name, self.channel))


Blame: TypeAlias = tuple[str, Callable[..., object], str]
"""A listener that raised, of which a `Failure` is made when somebody asks for it: its name, itself, and the note."""


class ChannelFailures(ExceptionGroup[Exception]):
    """
    Raised by `publish` after the last listener, if any of them raised.

    Attributes:
        channel: The name of the channel.
        failures: One `Failure` for each listener that raised, in running order.
        results: What the listeners that worked returned, in running order.
    """

    _known: tuple[str, Sequence[Blame], Sequence[object]]

    def __new__(cls, channel: str, failures: Sequence[Failure], results: Iterable[object]) -> Self:
        """Make the group; the members are the errors of *failures*."""
        blamed = [(failure.name, failure.listener, note_of(failure.name, failure.channel)) for failure in failures]
        group = super().__new__(cls, "", [failure.error for failure in failures])
        group._known = channel, blamed, list(results)
        return group

    # ExceptionGroup.__init__ would refuse what __new__ takes.
    def __init__(self, channel: str, failures: Sequence[Failure], results: Iterable[object]) -> None:
        """See `__new__`."""

    @property
    def channel(self) -> str:
        return self._known[0]

    @property
    def failures(self) -> tuple[Failure, ...]:
        channel, blamed, _ = self._known
        return tuple(
            Failure(name, channel, error, listener)
            for (name, listener, _), error in zip(blamed, self.exceptions, strict=True)
        )

    @property
    def results(self) -> tuple[object, ...]:
        return tuple(self._known[2])

    @property
    def message(self) -> str:
        channel, blamed, results = self._known
        names = ", ".join(name for name, _, _ in blamed)
        return f"{len(blamed)} of {len(blamed) + len(results)} listeners of channel {channel!r} failed: {names}"

    def __str__(self) -> str:
        count = len(self.exceptions)
        return f"{self.message} ({count} sub-exception{'' if count == 1 else 's'})"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r}, {list(self.exceptions)!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.channel, self.failures, self.results), _notes_of(self)

    def derive(self, excs: Sequence[Exception], /) -> ChannelFailures:  # type: ignore[override]  # a group of Exceptions has no other members
        """Return a group of *excs* with the same channel and results, each with its listener; `except*` and `split` call it."""
        return ChannelFailures(self.channel, _failures_of(self.failures, excs), self.results)


class TransitionFailures(ExceptionGroup[Exception]):
    """
    Raised by `start`, `stop` and `exit` of a bus when listeners failed on the way.

    Everything that could be done has been done: a start was rolled back, a stop
    or an exit has visited every listener.

    Attributes:
        goal: The state that was asked for.
        state: The state that the bus is in now.
        failures: One `Failure` for each listener that raised, in the order of events.
    """

    goal: State
    state: State
    failures: tuple[Failure, ...]

    def __new__(cls, goal: State, state: State, failures: Sequence[Failure]) -> Self:
        """Make the group; the members are the errors of *failures*."""
        if goal is State.STARTED:
            what = "the bus could not be started and what had started was stopped again"
        elif goal is State.STOPPED:
            what = "the bus was stopped, but not everything stopped well"
        else:
            what = "the bus has exited, but not everything ended well"
        names = ", ".join(f"{failure.name} ({failure.channel})" for failure in failures)
        group = super().__new__(
            cls,
            f"{what}; it is {state.name} now; failed: {names}",
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
    """Return the state of *error* that its constructor does not make, for copies and pickles."""
    notes = getattr(error, "__notes__", None)
    return {} if notes is None else {"__notes__": [*notes]}


def _failures_of(failures: Sequence[Failure], errors: Sequence[Exception]) -> list[Failure]:
    """
    Return a failure for each of *errors*, which are members of a group with *failures*, or parts of members.

    For a member that is itself a group `split` gives a new group with some of
    its exceptions. The new group belongs to the member with which it shares the
    most exceptions; `split` keeps the order, so among equals, as when listeners
    raise one exception object, it is the next in order. An exception that no
    member contains, as `derive` may be given, takes the next place.
    """
    containing: dict[int, list[int]] = {}
    for place, failure in enumerate(failures):
        for contained in _contents(failure.error):
            containing.setdefault(id(contained), []).append(place)
    parts = []
    following = 0
    for error in errors:
        if following < len(failures) and failures[following].error is error:
            place = following
        else:
            shared = Counter(place for contained in _contents(error) for place in containing.get(id(contained), ()))
            most = max(shared.values(), default=0)
            equals = sorted(place for place, count in shared.items() if count == most)
            equals = equals or [min(following, len(failures) - 1)]
            place = next((place for place in equals if place >= following), equals[0])
        following = place + 1
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


def leaves(error: BaseException) -> bool:
    """Return whether *error* ends a publish or a transition at once instead of being collected: it is no failure of one listener."""
    return not isinstance(error, Exception) or isinstance(error, RecursionError)


def leave(leaving: BaseException, failed: BaseException) -> None:
    """
    Prepare *leaving*, a `SystemExit` or its like, to be raised after *failed*.

    What had failed before becomes its cause, so that nothing is lost, and a
    status of success becomes 1, so that the process does not claim any.
    """
    if isinstance(leaving, SystemExit) and leaving.code in (None, 0):
        leaving.code = 1
    chain = [failed]
    # One exception object may be raised again and again: no link is to lead back.
    while (cause := chain[-1].__cause__) is not None and all(cause is not link for link in (leaving, *chain)):
        chain.append(cause)
    before = leaving.__cause__
    chain[-1].__cause__ = None if any(before is link for link in chain) else before
    leaving.__cause__ = failed


def carries(error: BaseException, cause: BaseException) -> bool:
    """Whether *cause* is *error*, or is part of its traceback: as a cause, as a context or as the member of a group."""
    seen: set[int] = set()
    links: list[BaseException | None] = [error]
    while links:
        link = links.pop()
        if link is cause:
            return True
        # Chains of exceptions may be circular.
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        links.append(link.__cause__)
        if not link.__suppress_context__:
            links.append(link.__context__)
        if isinstance(link, BaseExceptionGroup):
            links.extend(link.exceptions)
    return False


def unique(errors: Iterable[BaseException]) -> list[BaseException]:
    """Return each object of *errors* once; exceptions need not be hashable."""
    return list({id(error): error for error in errors}.values())


def together(message: str, errors: Iterable[BaseException]) -> BaseException | None:
    """Return the only one of *errors* as it is, several in a group with *message*, None if there are none."""
    members = unique(errors)
    return BaseExceptionGroup(message, members) if len(members) > 1 else next(iter(members), None)


class CauseReport(str):
    """The message on `LOG` about a cause of the exit; `run` does not show it, since it prints the error when it ends."""

    __slots__ = ()


def traceback_of(error: BaseException) -> str:
    """Return the traceback of *error*, as the interpreter prints it."""
    import traceback  # only needed when something fails

    return "".join(traceback.format_exception(error)).rstrip()


class TransitionError(RuntimeError):
    """Raised by `start` of a bus in a state from which there is no way to STARTING."""

    def __init__(self, state: State, target: State) -> None:
        super().__init__(state, target)
        self.state = state
        self.target = target

    def __str__(self) -> str:
        return (
            f"a bus that is {self.state.name} cannot go to {self.target.name}; "
            "only a STOPPED or EXITED bus can be started: stop() it first, or wait(State.STOPPED)"
        )


class StartCancelled(RuntimeError):
    """
    Raised by `start` when a stop or an exit was requested before the start was complete.

    It is raised from the cause that was given to `request_exit`, if there is one;
    from an exception group if several were given.
    """

    def __init__(self, goal: State) -> None:
        super().__init__(goal)
        self.goal = goal

    def __str__(self) -> str:
        asked = "exit" if self.goal is State.EXITED else "stop"
        return (
            f"the start was broken off because {asked}() was asked for meanwhile; "
            f"what had started was stopped again and the bus is {self.goal.name}"
        )


class WaitError(RuntimeError):
    """
    Raised by `wait` where waiting could never end.

    Attributes:
        states: The states to wait for.
        reason: Why it would never end, and what to write instead.
        given: What was given instead of a state; None if only states were given.
    """

    def __init__(self, states: frozenset[State], reason: str, given: object = None) -> None:
        super().__init__(states, reason, given)
        self.states = states
        self.reason = reason
        self.given = given

    def __str__(self) -> str:
        if self.given is not None:
            return f"cannot wait for {self.given!r}: {self.reason}"
        names = ", ".join(sorted(state.name for state in self.states)) or "no state"
        return f"cannot wait for {names}: {self.reason}"


class StillRunning(RuntimeError):
    """
    Raised by `block` when threads that the bus owns outlive its patience.

    Attributes:
        threads: The name of each thread, with its stack as text.
        patience: How long they were waited for, in seconds.
    """

    def __init__(self, threads: Sequence[tuple[str, str]], patience: float) -> None:
        super().__init__(threads, patience)
        self.threads: tuple[tuple[str, str], ...] = tuple(threads)
        self.patience = patience

    def __str__(self) -> str:
        stacks = "\n".join(f"thread {name!r} is at:\n{stack.rstrip()}" for name, stack in self.threads)
        return (
            f"{len(self.threads)} thread(s) still run {self.patience:g} s after the bus has exited; "
            f"end each of them in the stop() or exit() of the component that began it\n{stacks}"
        )


class HookTimeout(TimeoutError):
    """
    Reported by a transition for a hook that did not return within its limit, and was given up.

    Its thread is left to itself and may still end; it keeps no process alive. If
    it is a start that returns after all, it is undone then; see `Limits`.

    Attributes:
        path: The component, as a dotted path.
        hook: The life-cycle channel on which it was called.
        place: File and line of the hook.
        seconds: How long it has been running.
        limit: How long it was allowed to, or None if waiting for it was interrupted twice.
        scope: Whose limit that is: the hook's, the component's, or that of the whole start, stop, rollback or exit.
        stack: Where its thread is, as text.
        waiting: The paths of those who cannot go on without it.
    """

    def __init__(  # noqa: PLR0917  # by position, as pickles give them
        self,
        path: str,
        hook: str,
        place: str,
        seconds: float,
        limit: float | None,
        scope: str,
        stack: str,
        waiting: Sequence[str],
    ) -> None:
        super().__init__(path, hook, place, seconds, limit, scope, stack, waiting)
        self.path = path
        self.hook = hook
        self.place = place
        self.seconds = seconds
        self.limit = limit
        self.scope = scope
        self.stack = stack
        self.waiting: tuple[str, ...] = tuple(waiting)

    def __str__(self) -> str:
        whose = {"hook": "its limit is", "component": "the limit of its component is"}.get(
            self.scope, f"the limit of the whole {self.scope} is"
        )
        until = "and waiting was interrupted again" if self.limit is None else f"{whose} {self.limit:g} s"
        names = ", ".join(self.waiting[:_NAMED]) + (
            f" and {len(self.waiting) - _NAMED} more" if len(self.waiting) > _NAMED else ""
        )
        verb = "waits" if len(self.waiting) == 1 else "wait"
        waiting = f"; {names} {verb} for it" if names else ""
        return (
            f"{self.path} has not returned from {self.hook} ({self.place}) after {self.seconds:.2f} s, "
            f"{until}{waiting}; it is at:\n{self.stack.rstrip()}"
        )


class StartPending(TimeoutError):
    """
    Raised by the start of a component whose start in an earlier transition was given up and has not been undone.

    The two must not run side by side: the later one has waited, as long as it
    may take.

    Attributes:
        path: The component, as a dotted path.
        place: File and line of the hook that has not returned.
        seconds: How long ago that was called.
        limit: How long the start was allowed to wait; None if waiting was interrupted.
        scope: Whose limit that is: the hook's, the component's, or that of the whole start.
        stack: Where the thread of the earlier call is, as text.
    """

    def __init__(  # noqa: PLR0917  # by position, as pickles give them
        self, path: str, place: str, seconds: float, limit: float | None, scope: str, stack: str
    ) -> None:
        super().__init__(path, place, seconds, limit, scope, stack)
        self.path = path
        self.place = place
        self.seconds = seconds
        self.limit = limit
        self.scope = scope
        self.stack = stack

    def __str__(self) -> str:
        within = (
            "before waiting was interrupted"
            if self.limit is None
            else f"within {self.limit:g} s, the limit of the {self.scope}"
        )
        return (
            f"{self.path} cannot start: its start ({self.place}) that was called {self.seconds:.2f} s ago, and was "
            f"given up, has not been undone {within}; give it a longer limit, or have it return sooner; "
            f"it is at:\n{self.stack.rstrip()}"
        )


_NAMED: Final = 5


class LimitError(ValueError):
    """Raised for a number of workers or of seconds that could never work."""

    def __init__(self, name: str, given: object) -> None:
        super().__init__(name, given)
        self.name = name
        self.given = given

    def __str__(self) -> str:
        if self.name == "workers":
            return f"{self.given!r} workers start nothing: give a whole number from 1 up"
        return f"a limit of {self.given!r} seconds for {self.name} is none: give a number above 0, or None for no limit"


class ChannelError(TypeError):
    """Raised where something that is no channel, or no name or signature of one, is used as one."""

    def __init__(self, given: object, reason: str) -> None:
        super().__init__(given, reason)
        self.given = given
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.given!r} {self.reason}"


class ListenerError(TypeError):
    """Raised by `subscribe` for a listener or a priority that could never work."""

    def __init__(self, channel: str, listener: object, reason: str) -> None:
        super().__init__(channel, listener, reason)
        self.channel = channel
        self.listener = listener
        self.reason = reason

    def __str__(self) -> str:
        return f"cannot subscribe {self.listener!r} to channel {self.channel!r}: {self.reason}"


class NoContainer(TypeError):
    """
    Raised where a container is expected, for anything else.

    Attributes:
        given: What was given in its place.
        reason: Why it is not a container, and what to write.
    """

    def __init__(self, given: object, reason: str) -> None:
        super().__init__(given, reason)
        self.given = given
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class DeclarationError(TypeError):
    """Raised in the body of a container for something that cannot be declared."""

    def __init__(self, path: str, place: str, reason: str) -> None:
        super().__init__(path, place, reason)
        self.path = path
        self.place = place
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path} ({self.place}): {self.reason}"


class OutsideContainer(RuntimeError):
    """Raised when a declared component is called that belongs to no container instance."""

    def __init__(self, path: str, place: str) -> None:
        super().__init__(path, place)
        self.path = path
        self.place = place

    def __str__(self) -> str:
        container, _, name = self.path.partition(".")
        way_out = f"{container}().{name}()"
        return (
            f"{self.path} ({self.place}) is a declaration and builds nothing; "
            f"call it on an instance of its container: {way_out}"
        )


class ConstructionCycle(RuntimeError):
    """
    Raised when a component is asked for while it is being constructed, and the request cannot wait for that.

    Attributes:
        path: The component that is being constructed.
        place: File and line of its declaration.
        asked: The component that was asked for, which needs it or is the same.
        thread: The name of the thread that constructs it, or None if that is the thread that asked.
    """

    def __init__(self, path: str, place: str, asked: str, thread: str | None = None) -> None:
        super().__init__(path, place, asked, thread)
        self.path = path
        self.place = place
        self.asked = asked
        self.thread = thread

    def __str__(self) -> str:
        needing = "it again" if self.asked == self.path else f"{self.asked}, which needs it"
        remedy = f"ask for {self.asked} later, in start(), or declare it as an argument"
        if self.thread is None:
            return (
                f"{self.path} ({self.place}) is under construction: "
                f"its constructor or one of its arguments asked the container for {needing}; {remedy}"
            )
        return (
            f"{self.path} ({self.place}) is under construction in thread {self.thread!r}, "
            f"which waits for this thread, and this thread asked for {needing}; {remedy}"
        )


class ComponentDisabled(LookupError):
    """Raised when a component is called that is not enabled, or one that needs it."""

    def __init__(self, path: str, place: str, reason: str) -> None:
        super().__init__(path, place, reason)
        self.path = path
        self.place = place
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path} ({self.place}) is not enabled: {self.reason}"


class OverrideError(RuntimeError):
    """Raised by `override` where the replacement would come too late or to nothing."""

    def __init__(self, path: str, place: str, reason: str) -> None:
        super().__init__(path, place, reason)
        self.path = path
        self.place = place
        self.reason = reason

    def __str__(self) -> str:
        return f"cannot override {self.path} ({self.place}): {self.reason}"


class ResetError(RuntimeError):
    """
    Raised where instances would be forgotten, or overrides taken back, that a running container uses.

    Attributes:
        path: The container or the component.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return (
            f"cannot reset {self.path}: its container runs, and components that have started would go on "
            "beside new ones; exit the bus first"
        )


class NotMainThread(RuntimeError):
    """Raised by `run` outside the main thread, where signals cannot be had."""

    def __str__(self) -> str:
        return (
            "run() looks after the signals of the process and works in the main thread alone; "
            "elsewhere use `with running(container):`, which touches no signal"
        )


class RestartError(RuntimeError):
    """
    Raised by `restart` where nothing can take the place of the process, and by `block` where it turned out so.

    Attributes:
        reason: Why, and what to do.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"this process cannot be restarted: {self.reason}"
