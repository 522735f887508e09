"""
The exceptions of the bus and the container that are not groups, each with its text.

An exception stores the facts as attributes and computes its text from them: code
that raises it stays short, and the wording of related errors is in one file.
docs/errors.md has a section for each.
"""

from __future__ import annotations

from typing import Final, Literal

from typedbus._base.states import State
from typedbus._base.structured import StructuredError

#: How many of the components that wait for a hook `HookTimeout` names.
_NAMED: Final = 5

#: The text before the stack of a hook that has overrun, by its outcome.
_STACK_HEADINGS: Final = {
    "left behind": "it is at",
    "cancelled": "it was cancelled at",
    "loop blocked": "the event loop is blocked, so that no async hook can continue; its thread is at",
}


class TransitionError(StructuredError, RuntimeError):
    """Raised by `start` of a bus that is neither STOPPED nor EXITED."""

    state: State
    target: State

    def __str__(self) -> str:
        return (
            f"a bus that is {self.state.name} cannot go to {self.target.name}; "
            "only a STOPPED or EXITED bus can be started: stop() it first, or wait(State.STOPPED)"
        )


class StartCancelled(StructuredError, RuntimeError):
    """
    Raised by `start` when a stop or an exit was requested before the start was complete.

    It is raised from the cause that was given to `request_exit`, if there is one;
    from an exception group if several were given.
    """

    goal: State

    def __str__(self) -> str:
        request = "exit" if self.goal is State.EXITED else "stop"
        return (
            f"the start was cancelled and rolled back because {request}() was requested during it; "
            f"the bus is {self.goal.name} now"
        )


class WaitError(StructuredError, RuntimeError):
    """
    Raised by `wait` where waiting could never end.

    Attributes:
        states: The states to wait for.
        reason: Why waiting would never end, and what to write instead.
        given: The argument that is not a state; None if only states were given.
    """

    states: frozenset[State]
    reason: str
    given: object = None

    def __str__(self) -> str:
        if self.given is not None:
            return f"cannot wait for {self.given!r}: {self.reason}"
        names = ", ".join(sorted(state.name for state in self.states)) or "no state"
        return f"cannot wait for {names}: {self.reason}"


class StillRunning(StructuredError, RuntimeError):
    """
    Raised by `block` when threads that the bus owns still run after its *patience*.

    Attributes:
        threads: The name of each thread, with its stack as text.
        patience: How long `block` waited for them, in seconds.
    """

    threads: tuple[tuple[str, str], ...]
    patience: float

    def __str__(self) -> str:
        stacks = "\n".join(f"thread {name!r} is at:\n{stack.rstrip()}" for name, stack in self.threads)
        return (
            f"{len(self.threads)} thread(s) still run {self.patience:g} s after the bus has exited; "
            f"end each of them in the stop() or exit() of the component that began it\n{stacks}"
        )


class HookTimeout(StructuredError, TimeoutError):
    """
    Reported by a transition for a hook that did not return within its limit, and was given up.

    Its thread still runs, and does not keep the process alive. An async hook was cancelled
    first. If a start hook returns later, it is undone at that time; see `Limits`.

    Attributes:
        path: The component, as a dotted path.
        hook: The life-cycle channel on which it was called.
        place: File and line of the hook.
        seconds: How long it has been running.
        limit: How long it was allowed to run, or None if waiting for it was interrupted twice.
        scope: Whose limit that is: the hook's, the component's, or that of the whole start, stop, rollback or exit.
        stack: The stack of its thread, as text; of an async hook the coroutines that await each other, outermost
            first.
        waiting: The paths of the components that wait for it.
        outcome: "left behind" if it still runs; "cancelled" if it is async and ended when it was cancelled;
            "loop blocked" if it is async and a function blocks the thread of its event loop, so that the loop
            did not even cancel it. Then *stack* is the stack of that thread.
    """

    path: str
    hook: str
    place: str
    seconds: float
    limit: float | None
    scope: str
    stack: str
    waiting: tuple[str, ...]
    outcome: Literal["left behind", "cancelled", "loop blocked"] = "left behind"

    @property
    def _until(self) -> str:
        whose = {"hook": "its limit is", "component": "the limit of its component is"}.get(
            self.scope, f"the limit of the whole {self.scope} is"
        )
        return "and waiting was interrupted again" if self.limit is None else f"{whose} {self.limit:g} s"

    @property
    def verdict(self) -> str:
        """One short line: how long it had been running, and which limit has ended it."""
        return f"given up after {self.seconds:.2f} s, {self._until}"

    def __str__(self) -> str:
        names = ", ".join(self.waiting[:_NAMED]) + (
            f" and {len(self.waiting) - _NAMED} more" if len(self.waiting) > _NAMED else ""
        )
        verb = "waits" if len(self.waiting) == 1 else "wait"
        waiting = f"; {names} {verb} for it" if names else ""
        return (
            f"{self.path} has not returned from {self.hook} ({self.place}) after {self.seconds:.2f} s, "
            f"{self._until}{waiting}; {_STACK_HEADINGS[self.outcome]}:\n{self.stack.rstrip()}"
        )


class StartPending(StructuredError, TimeoutError):
    """
    Raised by the start of a component whose start in an earlier transition was given up and has not been undone.

    The two must not run at the same time: the later start has waited for the earlier
    start as long as its own limit allows.

    Attributes:
        path: The component, as a dotted path.
        place: File and line of the hook that has not returned.
        seconds: How long ago that hook was called.
        limit: How long the start was allowed to wait; None if waiting was interrupted.
        scope: Whose limit that is: the hook's, the component's, or that of the whole start.
        stack: The stack of the thread of the earlier call, as text.
    """

    path: str
    place: str
    seconds: float
    limit: float | None
    scope: str
    stack: str

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


class HookCancelled(StructuredError, RuntimeError):
    """
    Reported by a transition for an async hook that ended with `CancelledError` although the bus had not cancelled it.

    It is raised from that `CancelledError`.

    Attributes:
        path: The component, as a dotted path.
        hook: The life-cycle channel on which it was called.
        place: File and line of the hook.
    """

    path: str
    hook: str
    place: str

    def __str__(self) -> str:
        return (
            f"{self.path} ended {self.hook} ({self.place}) with CancelledError, and the bus had not cancelled it: "
            "other code cancelled its task, or a task or future that it awaited"
        )


class LoopError(StructuredError, RuntimeError):
    """
    Raised where the event loop of a bus cannot be used: a call would wait for itself, or the loop is wrong or has ended.

    Attributes:
        action: The call that was refused, or the hook that was not called.
        reason: Why, and what to do instead.
    """

    action: str
    reason: str

    def __str__(self) -> str:
        return f"{self.action}: {self.reason}"


class LimitError(StructuredError, ValueError):
    """Raised for a value that is not a number of workers or a time limit in seconds."""

    name: str
    given: object

    def __str__(self) -> str:
        if self.name == "workers":
            return f"{self.given!r} is not a number of workers: give a whole number from 1 up"
        return f"{self.given!r} is not a time limit for {self.name}: give a number of seconds above 0, or None for no limit"


class NoContainer(StructuredError, TypeError):
    """
    Raised for an argument that is neither a container nor a container class.

    Attributes:
        given: The argument.
        reason: What the argument is, and what to pass instead.
    """

    given: object
    reason: str

    def __str__(self) -> str:
        return self.reason


class DeclarationError(StructuredError, TypeError):
    """Raised in the body of a container class for an invalid declaration."""

    path: str
    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path} ({self.place}): {self.reason}"


class OutsideContainer(StructuredError, RuntimeError):
    """
    Raised by a call of a component on a container class: only container instances construct components.

    Attributes:
        path: The component, as a dotted path.
        place: File and line of its declaration.
        is_in_library: Whether it was called in a container of dependency-injector, which had copied it.
    """

    path: str
    place: str
    is_in_library: bool = False

    def __str__(self) -> str:
        if self.is_in_library:
            name = self.path.rpartition(".")[2].lower()
            return (
                f"{self.path} ({self.place}) is in a container of dependency-injector, which does not construct components; "
                f"declare {name} = providers.Dependency() there, and pass the component of an instance: Old({name}=new.{name})"
            )
        container, _, name = self.path.partition(".")
        way_out = f"{container}().{name}()"
        return (
            f"{self.path} ({self.place}) is a declaration and builds nothing; "
            f"call it on an instance of its container: {way_out}"
        )


class NotOpen(StructuredError, RuntimeError):
    """
    Raised by a call of a resource, or of a component that needs one, before the bus starts or after it has stopped.

    Attributes:
        path: The resource, as a dotted path.
        place: File and line of its declaration.
    """

    path: str
    place: str

    def __str__(self) -> str:
        return (
            f"{self.path} ({self.place}) is not open: a resource is opened when the bus starts, and closed when it stops; "
            "use it in between, or pass it to a component and use it in the hooks of that component"
        )


class ConstructionCycle(StructuredError, RuntimeError):
    """
    Raised when a component is requested while it is being constructed, and the request cannot wait for the end of it.

    Attributes:
        path: The component that is being constructed.
        place: File and line of its declaration.
        asked: The requested component, which depends on it or is the same.
        thread: The name of the thread that constructs it, or None if that is the requesting thread.
    """

    path: str
    place: str
    asked: str
    thread: str | None = None

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


class ComponentDisabled(StructuredError, LookupError):
    """Raised by a call of a component that is not enabled, or that depends on a component that is not enabled."""

    path: str
    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path} ({self.place}) is not enabled: {self.reason}"


class OverrideError(StructuredError, RuntimeError):
    """Raised by `override` if it is called too late or if the container has no such component."""

    path: str
    place: str
    reason: str

    def __str__(self) -> str:
        return f"cannot override {self.path} ({self.place}): {self.reason}"


class ResetError(StructuredError, RuntimeError):
    """
    Raised by a method that would drop instances or end overrides while the container runs.

    Attributes:
        path: The container or the component.
    """

    path: str

    def __str__(self) -> str:
        return (
            f"cannot reset {self.path}: its container runs, and components that have started would keep running "
            "beside new ones; exit the bus first"
        )


class NotMainThread(RuntimeError):
    """Raised by `run` outside the main thread, where Python allows no signal handlers."""

    def __str__(self) -> str:
        return (
            "run() handles the signals of the process, and Python allows that only in the main thread; "
            "in another thread use `with running(container):`, which handles no signals"
        )


class OperatorError(Exception):
    """
    The base class of errors in the environment or the settings, and not in the program.

    Examples are a port that another process uses, or a folder that does not exist.
    The text must state what is wrong and what to do: `run` prints only the text,
    without a traceback. For such errors of a component derive from this class, and from
    a built-in exception class if one fits.
    """


class RestartError(StructuredError, RuntimeError):
    """
    Raised by `restart` if the process cannot be replaced, and by `block` if the replacement failed.

    Attributes:
        reason: Why, and what to do.
    """

    reason: str

    def __str__(self) -> str:
        return f"this process cannot be restarted: {self.reason}"
