"""The exceptions that store their data as attributes: constructors, texts, copies and class patterns."""

import copy
import importlib
import pickle
import pkgutil
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, Union

import pytest

import typedbus
from typedbus import LimitError, State, StillRunning, WaitError
from typedbus._base.structured import StructuredError, computed


def errors_of_the_package() -> list[type[StructuredError]]:
    """Return every class of the package that derives from `StructuredError`."""
    for found in pkgutil.walk_packages(typedbus.__path__, "typedbus."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    errors: dict[type[StructuredError], None] = {}
    unseen = [StructuredError]
    while unseen:
        derived = [cls for cls in unseen.pop().__subclasses__() if cls.__module__.partition(".")[0] == "typedbus"]
        errors |= dict.fromkeys(derived)
        unseen += derived
    return list(errors)


ERRORS = errors_of_the_package()
#: The classes whose attributes are the parameters of the constructor.
DECLARED = [cls for cls in ERRORS if "__init__" not in vars(cls)]


class EqualError(OSError):
    """An error that is equal to its copies."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EqualError) and other.args == self.args

    def __hash__(self) -> int:
        return hash(self.args)


def sample(annotation: Any) -> Any:
    """Return a value of an annotated type."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (Union, types.UnionType):
        return sample(args[0])
    if origin is typing.Literal:
        return args[0]
    if origin is tuple:
        return tuple(sample(arg) for arg in args if arg is not ...)
    if origin is frozenset:
        return frozenset({sample(args[0])})
    samples: dict[object, object] = {
        str: "startup",
        int: 13,
        float: 0.5,
        bool: True,
        object: "given",
        type: int,
        Path: Path("/run/shop"),
        State: State.EXITED,
        BaseException: EqualError("no disk"),
    }
    return samples[annotation]


def samples_for(cls: type[StructuredError]) -> dict[str, object]:
    """Return a value for each parameter of the constructor of *cls*."""
    annotations = typing.get_type_hints(cls)
    return {name: "WSGI" if name == "kind" else sample(annotations[name]) for name in cls.__match_args__}


def by_position(cls: type[StructuredError]) -> StructuredError:
    """Construct *cls* with positional arguments."""
    return cls(*samples_for(cls).values())


def by_name(cls: type[StructuredError]) -> StructuredError:
    """Construct *cls* with keyword arguments, in reverse order."""
    return cls(**dict(reversed(samples_for(cls).items())))


in_each_class = pytest.mark.parametrize("cls", DECLARED, ids=lambda cls: f"{cls.__module__}.{cls.__qualname__}")


def test_the_errors_of_the_package_are_found() -> None:
    """The other tests of this module would pass without any."""
    assert {LimitError, WaitError, StillRunning} <= {*DECLARED}


@in_each_class
@pytest.mark.parametrize("construct", [by_position, by_name])
def test_the_arguments_of_an_error_are_its_attributes(
    cls: type[StructuredError], construct: Callable[[type[StructuredError]], StructuredError]
) -> None:
    """They are its `args` too, in the order of the parameters."""
    values = samples_for(cls)

    error = construct(cls)

    assert {name: getattr(error, name) for name in values} == values
    assert error.args == tuple(values.values())
    assert str(error)


@in_each_class
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_a_copy_of_an_error_has_the_same_class_text_attributes_and_notes(
    cls: type[StructuredError], copied: Callable[[StructuredError], StructuredError]
) -> None:
    """A pickle is a copy in another process."""
    error = by_position(cls)
    error.add_note("raised by a listener")

    again = copied(error)

    assert type(again) is cls
    assert (str(again), repr(again), vars(again)) == (str(error), repr(error), vars(error))
    assert again.__notes__ == ["raised by a listener"]


@in_each_class
def test_the_constructor_of_an_error_refuses_other_arguments(cls: type[StructuredError]) -> None:
    """The message lists the parameters."""
    values = samples_for(cls)
    expected = rf"^{cls.__name__}\(\) takes the arguments \({', '.join(values)}\)$"

    with pytest.raises(TypeError, match=expected):
        cls(*values.values(), 1)
    with pytest.raises(TypeError, match=expected):
        cls(**values, unknown=1)
    if values:
        with pytest.raises(TypeError, match=expected):
            cls(*values.values(), **{next(iter(values)): 1})


def test_an_argument_without_a_default_is_required() -> None:
    """A default of the class is used for the others."""
    with pytest.raises(TypeError, match=r"^WaitError\(\) takes the arguments \(states, reason, given\)$"):
        WaitError(frozenset())  # type: ignore[call-arg]

    assert WaitError(frozenset(), "too late").given is None
    assert WaitError(frozenset(), "too late").args == (frozenset(), "too late", None)


def test_an_error_is_equal_only_to_itself() -> None:
    """As every exception; so two failures with the same data stay two."""
    assert LimitError("stop", 0) != LimitError("stop", 0)
    assert len({LimitError("stop", 0), LimitError("stop", 0)}) == 2


def test_a_list_is_stored_as_a_tuple() -> None:
    """A caller that extends its list later does not change the error."""
    threads: Any = [("poller", "in poll")]

    error = StillRunning(threads, 5.0)
    threads.append(("other", "in other"))

    assert error.threads == error.args[0] == (("poller", "in poll"),)


def test_an_argument_that_was_refused_is_stored_as_it_was_passed() -> None:
    """Only attributes that are annotated as tuples take a list as a tuple."""
    refused: list[int] = []

    error = LimitError("stop", refused)

    assert error.given is refused
    assert error.args[1] is refused


def test_a_class_pattern_takes_the_attributes_by_position() -> None:
    """In the order of the constructor."""
    error: Exception = LimitError("stop", -1)

    match error:
        case LimitError(name, given):
            assert (name, given) == ("stop", -1)
        case _:
            pytest.fail("the pattern does not match")


def test_a_subclass_adds_its_attributes_to_those_of_its_base() -> None:
    """A computed attribute is set by `__post_init__`, and leaves the constructor."""

    class Full(StructuredError, OSError):
        path: str
        remedy: str = "delete files"

    class Quota(Full):
        remedy: str = computed()
        limit: int = 10

        def __post_init__(self) -> None:
            self.remedy = f"delete files in {self.path}"

    error = Quota("/srv", 3)

    assert (error.path, error.remedy, error.limit, error.args) == ("/srv", "delete files in /srv", 3, ("/srv", 3))
    assert Quota(path="/srv").limit == 10
    assert (error.errno, error.filename) == (None, None)


def test_a_subclass_with_a_constructor_of_its_own_keeps_the_parameters_of_its_base() -> None:
    """Its annotations are not parameters."""

    class OfUser(LimitError):
        user: str

        def __init__(self, user: str) -> None:
            super().__init__("stop", 0)
            self.user = user

    error = OfUser("ada")

    assert (error.user, error.name, error.given, error.args) == ("ada", "stop", 0, ("stop", 0))
