"""The fast path of `validate()` for ordinary classes finds the same faults as the general path."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from typedbus import Bus, Component, Container, InvalidContainer


class Base:
    """A class that a parameter may require."""


class Derived(Base):
    """A subclass of `Base`."""


class Made(Base):
    """A class whose `__new__` may return any object."""

    def __new__(cls) -> Any:
        return super().__new__(cls)


class Meta(type):
    """A metaclass; its classes are checked by the general path."""


ANNOTATIONS = ("", "Base", "Derived", "int", "float", "str", "bool", "object", "None", "int | None", "Unknown")
ARGUMENTS = ("base", "derived", "made", "bus", "1", "True", "'a'", "None", "1.5")

parameters = st.lists(st.tuples(st.sampled_from(ANNOTATIONS), st.booleans(), st.booleans()), max_size=4)
arguments = st.lists(st.sampled_from(ARGUMENTS), max_size=4)
keywords = st.dictionaries(st.sampled_from(["p0", "p1", "p2", "p3", "other"]), st.sampled_from(ARGUMENTS), max_size=3)


def faults_of(parameters: list[tuple[str, bool, bool]], call: str, metaclass: str) -> list[str]:
    """Return the faults of a component whose class has *parameters* and that is given the arguments *call*."""
    signature = []
    for number, (annotation, is_text, has_default) in enumerate(parameters):
        hint = (f": '{annotation}'" if is_text or annotation == "Unknown" else f": {annotation}") if annotation else ""
        signature.append(f"p{number}{hint}{' = None' if has_default else ''}")
    names = dict(globals())
    exec(
        f"class Taking(metaclass={metaclass}):\n    def __init__({', '.join(['self', *signature])}): pass\n"
        "class Shop(Container):\n"
        "    bus, base, derived, made = Component(Bus), Component(Base), Component(Derived), Component(Made)\n"
        f"    taking = Component(Taking{call})\n",
        names,
    )
    try:
        names["Shop"]().validate()
    except InvalidContainer as invalid:
        return [str(fault) for fault in invalid.exceptions]
    return []


@pytest.mark.slow
@settings(deadline=None)
@given(parameters, arguments, keywords)
@example([("Base", True, False)], ["derived"], {})
@example([("Derived", False, False)], ["base"], {})
@example([("Base", False, False)], ["made"], {})
@example([("int", False, False)], ["True"], {})
@example([("Base", False, False)], [], {})
@example([("Base", False, True)], [], {"p0": "base"})
@example([("Base", False, False)], ["base"], {"p0": "base"})
@example([], ["1"], {})
def test_both_paths_find_the_same_faults(
    parameters: list[tuple[str, bool, bool]], arguments: list[str], keywords: dict[str, str]
) -> None:
    """The same class is checked with and without a metaclass."""
    # Parameters without a default come first, as Python demands.
    parameters = sorted(parameters, key=lambda one: one[2])
    values = [value if value[0] in "1TN'" else f"{value}.provided" for value in arguments]
    named = [
        f"{name}={value if value[0] in chr(39) + '1TN' else value + '.provided'}" for name, value in keywords.items()
    ]
    call = "".join(f", {argument}" for argument in [*values, *named])

    assert faults_of(parameters, call, "type") == faults_of(parameters, call, "Meta")


def test_a_decorated_or_async_init_is_checked_by_the_general_path() -> None:
    """An async constructor is a fault, whatever its arguments."""

    class Late:
        async def __init__(self, base: Base) -> None:  # type: ignore[misc]  # the fault that is meant
            """Return a coroutine, which a constructor must not."""

    class Shop(Container):
        bus = Component(Bus)
        base = Component(Base)
        late = Component(Late, base.provided)

    with pytest.raises(InvalidContainer) as raised:
        Shop().validate()
    assert "the constructor of" in str(raised.value)
    assert "is async" in str(raised.value)


def test_a_positional_only_parameter_cannot_be_passed_by_name() -> None:
    """The argument of that name is surplus, and the parameter lacks its own."""

    class Strict:
        def __init__(self, base: Base, /) -> None:
            """Take a base by position."""

    class Shop(Container):
        bus = Component(Bus)
        base = Component(Base)
        strict = Component[Strict](Strict, base=base.provided)  # type: ignore[call-arg]

    with pytest.raises(InvalidContainer) as raised:
        Shop().validate()
    assert "has no parameter 'base'" in str(raised.value)
    assert "misses 'base'" in str(raised.value)
