"""
How the object of a resource or of a scope is opened and closed: the forms of the callable that is declared for it.

The form is read from the callable when it is declared, without a call, so that a start
and a scope can be planned. Where a class supports both, the async form comes before the
sync one (`aiohttp.ClientSession` has a sync `__enter__` that raises), and a context
manager before an iterator (a file is both).
"""

from __future__ import annotations

import enum
import inspect
import types
import typing
from collections.abc import Callable, Coroutine
from typing import Any, Final

import typing_extensions

from typedbus._base.signatures import ASYNC_MANAGER_CODE, MANAGER_CODE, called_by, function_of, unparametrised
from typedbus._base.static import MISSING, bases_of, full_name_of, is_a, lookup, namespace_of
from typedbus._container.annotations import class_in, read, returned_by


class Form(enum.Enum):
    """What a callable returns, and how that is opened and closed."""

    #: The object itself, which is not closed.
    PLAIN = "plain object"
    #: Not known before the call: a function without an annotation, or a function written in C.
    UNKNOWN = "unknown"
    #: A generator, which yields the object once and closes it when it is continued.
    GENERATOR = "generator"
    #: A context manager, whose `__enter__` returns the object.
    MANAGER = "context manager"
    #: An async generator.
    ASYNC_GENERATOR = "async generator"
    #: An async context manager.
    ASYNC_MANAGER = "async context manager"
    #: A coroutine, which returns the object.
    COROUTINE = "coroutine"

    @property
    def is_async(self) -> bool:
        """Whether opening and closing must be awaited."""
        return self in (Form.ASYNC_GENERATOR, Form.ASYNC_MANAGER, Form.COROUTINE)


#: The forms of functions that are decorated with `contextmanager` or `asynccontextmanager`, by their code.
_DECORATED: Final = {MANAGER_CODE: Form.MANAGER, ASYNC_MANAGER_CODE: Form.ASYNC_MANAGER}

#: Pairs of methods, with the form of a class that has both of a pair; the first pair decides.
_METHODS: Final = (
    (("__aenter__", "__aexit__"), Form.ASYNC_MANAGER),
    (("__enter__", "__exit__"), Form.MANAGER),
)

#: The methods of iterators.
_ITERATION: Final = (("__iter__", "__next__"), ("__aiter__", "__anext__"))


#: Connections whose ``with`` statement is a transaction and does not close them, and functions that make one.
_TRANSACTIONS: Final = frozenset(
    (
        "_sqlite3.connect",
        "apsw.Connection",
        "psycopg2.connect",
        "psycopg2.extensions.connection",
        "pyodbc.Connection",
        "sqlite3.Connection",
        "sqlite3.connect",
    )
)

_ITSELF: Final = (typing.Self, typing_extensions.Self)


def form_of(builds: Callable[..., object]) -> Form:
    """Return the form of the class or function *builds*, as far as its code and its annotation show it."""
    called = unparametrised(called_by(builds))
    if is_a(called, type):
        return form_of_class(called)
    function = function_of(called)
    if function is None:
        return Form.UNKNOWN
    flags = function.__code__.co_flags
    if flags & inspect.CO_ASYNC_GENERATOR:
        return Form.ASYNC_GENERATOR
    if flags & inspect.CO_COROUTINE:
        return Form.COROUTINE
    if flags & inspect.CO_GENERATOR:
        return Form.GENERATOR
    decorated = _DECORATED.get(function.__code__)
    if decorated is not None:
        return decorated
    if "__wrapped__" in vars(function):
        # Another decorator: it passes on what the decorated function returns, or the annotation is wrong.
        return form_of(function.__wrapped__)  # type: ignore[attr-defined]  # just found
    cls = class_in(returned_by(builds))
    if cls in (Coroutine, types.CoroutineType):
        return Form.COROUTINE
    return Form.UNKNOWN if cls is None else form_of_class(cls)


def form_of_class(cls: type) -> Form:
    """Return the form of the instances of *cls*: a context manager, or a plain object."""
    for names, form in _METHODS:
        methods = [lookup(cls, name) for name in names]
        if all(method is not MISSING and method is not None for method in methods):
            return form
    return Form.PLAIN


def iterates(builds: Callable[..., object]) -> bool:
    """
    Return whether *builds* is a plain callable that type checkers take for a generator function.

    Its result is an iterator, which gives no object to open: a cursor, or ``return iter(...)`` in a function.
    """
    if form_of(builds) is not Form.PLAIN:
        return False
    cls = class_in(returned_by(builds))
    if cls is None:
        return False
    return any(all(lookup(cls, name) is not MISSING for name in names) for names in _ITERATION)


def opened_by(builds: Callable[..., object]) -> object:
    """Return the type of the object that the result of *builds* gives when it is opened, or Any if it is not known."""
    form = form_of(builds)
    if form in (Form.PLAIN, Form.UNKNOWN):
        return returned_by(builds)
    called = called_by(builds)
    cls = unparametrised(called)
    if is_a(cls, type):
        return _entered(cls, called, form)
    function = function_of(called)
    while function is not None and "__wrapped__" in vars(function):
        function = function_of(function.__wrapped__)  # type: ignore[attr-defined]  # just found
    if function is None:
        return Any
    returned = read(function)[1].get("return", Any)
    if function.__code__.co_flags & inspect.CO_COROUTINE:
        return returned
    kind, args = class_in(returned), typing.get_args(returned)
    if args:
        return args[-1] if form is Form.COROUTINE else args[0]
    return Any if kind is None or form_of_class(kind) is not form else _entered(kind, returned, form)


def _entered(cls: type, declared: object, form: Form) -> object:
    """Return the annotation of the method of *cls* that opens it, or *declared* if that returns the object itself."""
    method = lookup(cls, "__aenter__" if form is Form.ASYNC_MANAGER else "__enter__")
    if not is_a(method, types.FunctionType):
        return Any
    annotation = read(method)[1].get("return", Any)
    return declared if annotation in _ITSELF or is_a(annotation, typing.TypeVar) else annotation


def described_form(builds: Callable[..., object]) -> str:
    """Return the form of *builds* for messages, as in "an async generator"."""
    name = form_of(builds).value
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def transaction_of(builds: Callable[..., object]) -> str | None:
    """Return the name of the connection, or of *builds*, if *builds* makes a connection that a ``with`` does not close."""
    called = called_by(builds)
    name = full_name_of(called)
    if name in _TRANSACTIONS:
        return name.removeprefix("_")
    cls = class_in(returned_by(builds))
    return None if cls is None else transaction_in(cls)


def transaction_in(cls: type) -> str | None:
    """Return the name of the class that defines the ``with`` statement of *cls*, if that is only a transaction."""
    for base in bases_of(cls):
        if "__exit__" in namespace_of(base):
            name = full_name_of(base)
            return name if name in _TRANSACTIONS else None
    return None


def not_closing(connection: str) -> str:
    """Return the problem of declaring *connection*, a name from `transaction_of` or `transaction_in`, by its form."""
    return f"the with statement of {connection} is a transaction, and does not close the connection"
