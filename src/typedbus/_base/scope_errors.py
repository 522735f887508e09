"""The exceptions of scopes, each with its text; docs/errors.md has a section for each."""

from __future__ import annotations

from typedbus._base.structured import StructuredError


class OutsideScope(StructuredError, RuntimeError):
    """Raised by a call of an object that belongs to scopes; only a scope builds it."""

    path: str
    place: str

    def __str__(self) -> str:
        return (
            f"{self.path} ({self.place}) has an object in each scope and none outside; open a scope: "
            f"with container.scope() as scope: scope[{self.path}]"
        )


class NotGiven(StructuredError, LookupError):
    """
    Raised when a scope needs a value that was not passed in when it was opened.

    Attributes:
        path: The declaration of the value.
        place: File and line of the declaration.
        needed_by: The object that the scope was asked for; the same as `path` if that is the value itself.
    """

    path: str
    place: str
    needed_by: str

    def __str__(self) -> str:
        user = "" if self.needed_by == self.path else f", which {self.needed_by} needs"
        return (
            f"the scope was opened without {self.path} ({self.place}){user}; "
            f"pass it: container.scope({self.path}.given(value))"
        )


class ScopeBusy(StructuredError, RuntimeError):
    """
    Raised when two tasks or threads use one scope at the same moment.

    Attributes:
        asked: The requested object.
        building: The object that the other task or thread, or a constructor further up the stack, is building.
    """

    asked: str
    building: str

    def __str__(self) -> str:
        return (
            f"the scope is building {self.building}, and was asked for {self.asked} meanwhile; a scope belongs to one "
            "unit of work: give each task or thread a scope of its own, for example by .opener, and declare the "
            "arguments of a constructor instead of asking for them in it"
        )


class ScopeClosed(StructuredError, RuntimeError):
    """
    Raised when a scope is used outside its ``with`` block, or opened a second time.

    Attributes:
        container: The container of the scope.
        reason: Why the scope cannot be used, and what to do.
    """

    container: str
    reason: str

    def __str__(self) -> str:
        return f"the scope of {self.container} {self.reason}"


class AsyncNeeded(StructuredError, RuntimeError):
    """
    Raised when an object that must be awaited is requested without ``await``, or from a scope without ``async with``.

    Attributes:
        path: The requested object.
        needs: The object that must be awaited; the same as `path` if that is it.
        place: File and line of its declaration.
        is_async_scope: Whether the scope was opened with ``async with``.
    """

    path: str
    needs: str
    place: str
    is_async_scope: bool

    def __str__(self) -> str:
        cause = "is opened with await" if self.needs == self.path else f"needs {self.needs}, which is opened with await"
        remedy = f"write: await scope.get({self.path})"
        if not self.is_async_scope:
            remedy = f"open the scope with `async with`, and {remedy}"
        return f"{self.path} {cause} ({self.place}); {remedy}"


class NotInContainer(StructuredError, LookupError):
    """
    Raised when a scope is asked for an object that its container does not declare, or declares more than once.

    Attributes:
        container: The container of the scope.
        asked: The argument, as text.
        candidates: The paths of the declarations if there are several.
    """

    container: str
    asked: str
    candidates: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.candidates:
            return f"{self.container} contains {self.asked} more than once; give one of these: {', '.join(self.candidates)}"
        return f"{self.asked} is not declared in {self.container}; give an attribute of the container's class, as in scope[Shop.orders]"


class ResourceError(StructuredError, RuntimeError):
    """
    Raised when the object of a resource or of a scope cannot be opened or closed as its form requires.

    Examples are a generator that yields twice, and a function whose result is not a context manager.
    """

    path: str
    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path} ({self.place}): {self.reason}"
