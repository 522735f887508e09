"""The exceptions of server components, with their texts."""

from __future__ import annotations

from typedbus._base.structured import StructuredError


class NotServing(RuntimeError):
    """Raised by the `address` of a server that has not started, or has stopped."""

    def __str__(self) -> str:
        return "the server has no address while it does not run; read it between the start and the stop of its bus"


class ServerEnded(StructuredError, RuntimeError):
    """
    The cause of an exit: a server returned without being asked to stop.

    Attributes:
        where: The address that it served.
    """

    where: str

    def __str__(self) -> str:
        return f"the server on {self.where} has ended by itself; its serve() must not return before drain() is called"


class ServerCancelled(StructuredError, RuntimeError):
    """
    The cause of an exit: other code cancelled the task of a server that shares the event loop of the bus.

    It is raised from the `asyncio.CancelledError`. `asyncio.run`, for example, cancels all tasks at its end.
    """

    def __str__(self) -> str:
        return (
            "the task of the server was cancelled, and the bus had not cancelled it; exit the bus before its event "
            "loop ends, and cancel only tasks of your own"
        )


class NotStopped(StructuredError, TimeoutError):
    """
    Raised by the stop of a server that does not end, even after its requests were cut off.

    Attributes:
        where: The address that it served.
        seconds: How long the stop waited.
        stack: The stack of the thread that it runs in, as text, outermost first.
    """

    where: str
    seconds: float
    stack: str = ""

    def __str__(self) -> str:
        text = f"the server on {self.where} has not ended {self.seconds:g} s after it was stopped, and is left running"
        return f"{text}; its thread is at:\n{self.stack.rstrip()}" if self.stack else text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"
