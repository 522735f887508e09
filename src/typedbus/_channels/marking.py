"""The types of the decorators that `on` returns, for type checkers only."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, Protocol, overload

from typing_extensions import ParamSpec, TypeVar

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
Owner = TypeVar("Owner")
Result_co = TypeVar("Result_co", covariant=True)
Other_co = TypeVar("Other_co", covariant=True)
Other_contra = TypeVar("Other_contra", contravariant=True)


class AsyncMark(Protocol[P, R]):
    """The decorator that `on` returns for a channel whose listeners may be async; it keeps the type of the method."""

    @overload
    def __call__(
        self, method: Callable[Concatenate[Owner, P], Coroutine[Any, Any, R]], /
    ) -> Callable[Concatenate[Owner, P], Coroutine[Any, Any, R]]: ...

    @overload
    def __call__(self, method: Callable[Concatenate[Owner, P], R], /) -> Callable[Concatenate[Owner, P], R]: ...

    def __call__(self, method: Callable[Concatenate[Owner, P], Any], /) -> Callable[Concatenate[Owner, P], Any]:
        """Mark *method*, and return it."""
        ...


class TakesBoth(Protocol[P, Result_co, Q, Other_co]):
    """A method that can be called as a listener of either of two channels."""

    @overload
    def __call__(self, owner: Any, /, *args: P.args, **kwargs: P.kwargs) -> Result_co: ...

    @overload
    def __call__(self, owner: Any, /, *args: Q.args, **kwargs: Q.kwargs) -> Other_co: ...


class MarkOfTwo(Protocol[P, R, Q, Other_contra]):
    """The decorator that `on` returns for two channels."""

    def __call__(self, method: TakesBoth[P, R, Q, Other_contra], /) -> Callable[Concatenate[Any, P], R]:
        """Mark *method*, and return it."""
        ...
