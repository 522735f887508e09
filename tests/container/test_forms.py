"""The forms of the callables of resources and scoped components, read without a call."""

import contextlib
import functools
import sqlite3
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any, Generic, Self, TypeVar

import pytest

from typedbus._container.annotations import Exactly
from typedbus._container.forms import Form, form_of, iterates, opened_by

T = TypeVar("T")


class Engine:
    """Has no methods to open or close it."""


class Client:
    """A context manager that returns itself."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None: ...


class Session(Client):
    """Both kinds of context manager; the sync kind refuses to work, as that of `aiohttp.ClientSession` does."""

    def __enter__(self) -> Self:
        raise TypeError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *args: object) -> None: ...


class Pool(Generic[T]):
    def __enter__(self) -> T:
        raise NotImplementedError

    def __exit__(self, *args: object) -> None: ...


class NoManager(Client):
    __exit__ = None  # type: ignore[assignment]  # a subclass takes the method away


class Cursor:
    def __iter__(self) -> Self:
        return self

    def __next__(self) -> int:
        return 1


def generator(url: str) -> Iterator[Engine]:
    yield Engine()


@contextlib.contextmanager
def manager(url: str) -> Generator[Engine, None, None]:
    yield Engine()


async def async_generator() -> AsyncIterator[Engine]:
    yield Engine()


@contextlib.asynccontextmanager
async def async_manager() -> AsyncGenerator[Engine, None]:
    yield Engine()


async def coroutine() -> Engine:
    return Engine()


def returns_manager() -> contextlib.AbstractContextManager[Engine]:
    return contextlib.nullcontext(Engine())


def returns_client() -> Client:
    return Client()


def iterator() -> Iterator[str]:
    return iter(("a", "b"))


def logged(function: Callable[..., T]) -> Callable[..., T]:
    @functools.wraps(function)
    def call(*args: object) -> T:
        return function(*args)

    return call


@pytest.mark.parametrize(
    ("builds", "form", "opened"),
    [
        (generator, Form.GENERATOR, Engine),
        (functools.partial(generator, "a"), Form.GENERATOR, Engine),
        (logged(generator), Form.GENERATOR, Engine),
        (manager, Form.MANAGER, Engine),
        (async_generator, Form.ASYNC_GENERATOR, Engine),
        (async_manager, Form.ASYNC_MANAGER, Engine),
        (coroutine, Form.COROUTINE, Engine),
        (returns_manager, Form.MANAGER, Engine),
        (returns_client, Form.MANAGER, Client),
        (Client, Form.MANAGER, Client),
        (Session, Form.ASYNC_MANAGER, Session),
        (tempfile.TemporaryDirectory, Form.MANAGER, Any),
        (Engine, Form.PLAIN, Exactly(Engine)),
        (NoManager, Form.PLAIN, Exactly(NoManager)),
        (sqlite3.connect, Form.UNKNOWN, Any),
    ],
)
def test_the_form_and_the_type_of_the_object_are_read_from_the_callable(
    builds: Callable[..., object], form: Form, opened: object
) -> None:
    assert (form_of(builds), opened_by(builds)) == (form, opened)


def test_a_class_with_type_arguments_has_the_form_of_the_class() -> None:
    assert form_of(Pool[int]) is Form.MANAGER


@pytest.mark.parametrize(
    ("builds", "expected"), [(iterator, True), (Cursor, True), (generator, False), (Engine, False), (open, False)]
)
def test_plain_iterators_are_recognised(builds: Callable[..., object], *, expected: bool) -> None:
    """Type checkers accept them where a generator function is expected."""
    assert iterates(builds) is expected
