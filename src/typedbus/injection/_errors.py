"""The exceptions of injection, with their texts."""

from __future__ import annotations

from typedbus._base.structured import StructuredError


class InjectionError(StructuredError, TypeError):
    """
    Raised by `injected` for components or a function that it cannot use.

    Attributes:
        subject: The function or the argument.
        place: File and line of the decorator.
        reason: What is wrong with it, and what to write instead.
    """

    subject: str
    place: str
    reason: str

    def __str__(self) -> str:
        return f"injected ({self.place}): {self.subject} {self.reason}"


class NoRunningContainer(StructuredError, RuntimeError):
    """
    Raised if not exactly one container runs that an injected function, or a middleware, may use.

    Attributes:
        path: The component, as a dotted path, or the container class.
        place: File and line of its declaration.
        user: The injected function or the middleware.
        running: The names of the containers that run and contain the component, or are of the class.
    """

    path: str
    place: str
    user: str
    running: tuple[str, ...]

    def __str__(self) -> str:
        container, _, name = self.path.partition(".")
        kind = "container that declares it" if name else "container of this class"
        instance = f"give the component of one instance: @injected(shop.{name})" if name else "give an instance"
        if self.running:
            runs = f"more than one {kind} runs: {', '.join(self.running)}; {instance}"
        else:
            runs = f"no {kind} runs; start one with running({container}), run or Hosted, or {instance}"
        return f"{self.user} needs {self.path} ({self.place}), and {runs}"


class NoScope(StructuredError, RuntimeError):
    """Raised by `current_scope` outside of requests and of injected functions."""

    def __str__(self) -> str:
        return (
            "no scope is open here; handle requests through ScopedASGI, ScopedWSGI or Hosted(..., scopes=True), "
            "decorate the function with @injected, or open a scope: with shop.scope() as scope"
        )


class FailedResponse(StructuredError, RuntimeError):
    """
    The failure of a request that raised no exception; raised inside the objects that the scope of the request has opened.

    Frameworks turn exceptions into responses. So a response with a status of 500 or above, and a response that ends
    before it is complete, count as failures.

    Attributes:
        status: The status of the response; None if it had not begun.
        is_complete: Whether the response was complete.
    """

    status: int | None
    is_complete: bool

    def __str__(self) -> str:
        if self.status is None:
            return "the request ended without a response"
        if self.is_complete:
            return f"the application answered with the status {self.status}"
        return f"the response with the status {self.status} ended before it was complete"
