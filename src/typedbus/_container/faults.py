"""
The faults that can be found in a container before anything is built, with their texts.

docs/errors.md has a section for each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Self

from typedbus._base.structured import StructuredError, computed

#: How many components of a cycle its text names, and how many at each end of a longer cycle.
_NAMED: Final = 12
_NAMED_AT_EACH_END: Final = 4


class Fault(StructuredError):
    """
    One fault of a container, reported by `validate()`.

    Attributes:
        path: The component, as a dotted path from the container.
        place: File and line of its declaration.
        problem: What is wrong.
        remedy: What to do about it.
    """

    path: str
    place: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path} ({self.place}): {self.problem}; {self.remedy}"


class ArgumentFault(Fault):
    """A component is given too few, too many or unknown constructor arguments."""


class BuildFault(Fault):
    """A component is declared with a class or function whose call cannot return it, such as an abstract class."""


class CycleFault(Fault):
    """Components need each other in a cycle."""

    cycle: tuple[str, ...]

    def __init__(self, cycle: Sequence[str], place: str) -> None:
        shown = [*cycle]
        if len(cycle) > _NAMED:
            left_out = f"... ({len(cycle) - 2 * _NAMED_AT_EACH_END} more)"
            shown = [*cycle[:_NAMED_AT_EACH_END], left_out, *cycle[-_NAMED_AT_EACH_END:]]
        super().__init__(
            cycle[0],
            place,
            f"components need each other in a cycle: {' -> '.join([*shown, cycle[0]])}",
            "remove one of these arguments, or pass it later, on a channel or in start()",
        )
        self.cycle = tuple(cycle)
        self.args: tuple[object, ...] = (self.cycle, place)


class DependencyFault(Fault):
    """
    A component, or a provider of dependency-injector, needs a `Dependency()` that has no provider.

    Attributes:
        dependency: The path of the `Dependency`, or an empty string if it has no name.
        argument: The argument that needs it, such as ``argument 'url'``.
    """

    problem: str = computed()
    remedy: str = computed()
    dependency: str = ""
    argument: str = "declaration"

    def __post_init__(self) -> None:
        needed = self.dependency or "a dependency without a name"
        self.problem = f"its {self.argument} needs {needed}, a Dependency() that has no provider"
        container, _, name = self.dependency.partition(".")
        provider = f", or a provider: {container.lower()}.{name}.override(providers.Object(...))" if name else ""
        self.remedy = f"give it a default{provider}"


class LibraryFault(Fault):
    """A provider of dependency-injector needs something that the container cannot do, such as starting its instance."""


class HookFault(Fault):
    """A method of a component listens to a channel whose signature it does not fit."""


class BusFault(Fault):
    """A container has no bus, or more than one."""


class ChannelFault(Fault):
    """A component listens to, or is given, a channel that only shares its name with a life-cycle channel."""


class HiddenFault(Fault):
    """A component or a provider is passed in a place that neither the container nor its library searches."""


class LifetimeFault(Fault):
    """
    A component would use an object outside the lifetime of that object.

    It would keep an object of one scope, thread or context for its whole life, or need a resource that is not open yet.
    """


class MisspeltFault(Fault):
    """A method has nearly the name of a life-cycle channel, and would never be called."""


class OpenerFault(Fault):
    """A component is given an opener whose scope cannot build the object."""


class OverrideFault(Fault):
    """The override of a component is not of the declared type."""


class ReplacementFault(Fault):
    """A container class replaces a declaration but references keep the old one, or merges two of the same name."""


class ReferenceFault(Fault):
    """
    A component refers to a declaration of another container class, and it is unclear in which instance of that class.

    Attributes:
        target: The path of the declaration in its class.
        target_place: File and line of the declaration.
        candidates: The paths of its counterparts in the containers around the component
            and in the containers that run with them; empty, or several.
    """

    problem: str = computed()
    remedy: str = computed()
    target: str
    target_place: str
    candidates: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        owner, _, name = self.target.partition(".")
        if self.candidates:
            reason = f"of which there are several: {', '.join(self.candidates)}"
            nested = self.candidates[0].partition(".")[2] or name
            self.remedy = f"name one of them in the container that holds it, as in {nested}.provided"
        else:
            reason = f"and no instance of {owner} is in a container around it, or runs together with it"
            self.remedy = f"nest one, as in {owner.lower()} = {owner}(), or pass one to run(...) or running(...)"
        self.problem = f"it refers to {self.target} ({self.target_place}), {reason}"


class TypeFault(Fault):
    """A component is given an argument of a type that its parameter does not take, or is not of its annotated type."""


class DisabledFault(Fault):
    """A component needs another that is not enabled."""

    problem: str = computed()
    remedy: str = computed()
    disabled: str
    reason: str

    def __post_init__(self) -> None:
        self.problem = f"it needs {self.disabled}, which is not enabled: {self.reason}"
        name = self.disabled.rpartition(".")[2]
        self.remedy = f"enable it on the same condition, or pass {name}.optional to a parameter that accepts None"


class ChoiceFault(Fault):
    """
    A choice has no branch for its key.

    Attributes:
        key: The key.
        choices: The keys that have a branch.
    """

    problem: str = computed()
    remedy: str = computed()
    key: object
    choices: tuple[object, ...]

    def __post_init__(self) -> None:
        branches = ", ".join(map(repr, self.choices)) or "none"
        self.problem = f"it has no branch for {self.key!r}; its branches are: {branches}"
        self.remedy = "correct the key, or add a branch"


class ContributionFault(Fault):
    """The contribution of a distribution cannot be loaded, or is not a container."""


class InvalidContainer(ExceptionGroup[Fault]):
    """
    Raised by `validate()`, and by every function that starts a container, for its faults.

    Attributes:
        container: The name of the container.
        exceptions: Every `Fault` that was found, in order of declaration.
    """

    container: str

    def __new__(cls, container: str, faults: Sequence[Fault]) -> Self:
        """Create the group of *faults*."""
        group = super().__new__(cls, f"{container} cannot be wired", faults)
        group.container = container
        return group

    def __init__(self, container: str, faults: Sequence[Fault]) -> None:
        """See `__new__`."""

    def __reduce__(self) -> tuple[type[Self], tuple[object, ...]]:
        return type(self), (self.container, self.exceptions)

    def __str__(self) -> str:
        faults = [fault for fault in self.exceptions if isinstance(fault, Fault)]
        lines = "".join(f"\n- {fault}" for fault in faults)
        return f"{self.message}: {len(faults)} fault(s), nothing was built{lines}"

    def derive(self, excs: Sequence[Fault], /) -> InvalidContainer:  # type: ignore[override]  # a group of Faults has no other members
        """Keep the container's name, for `except*` and `split`."""
        return InvalidContainer(self.container, excs)
