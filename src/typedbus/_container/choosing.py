"""Decides which branches of choices take part."""

from __future__ import annotations

import contextlib
import enum
import types
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dependency_injector import providers

from typedbus._base.errors import ComponentDisabled
from typedbus._base.static import MISSING, is_a, is_simple, lookup
from typedbus._container.annotations import This
from typedbus._container.choice import Choice
from typedbus._container.component import Component
from typedbus._container.construction import Entered
from typedbus._container.descriptions import description_of
from typedbus._container.faults import DisabledFault, Fault
from typedbus._container.results import Attribute, Item, Other, result_of


class Choices:
    """
    The choices among *components*.

    A branch takes part if a choice selects it, or if a component that takes part requires it.

    Args:
        components: The components.
        required: For each component, the numbers of the components that it requires, as `graph_of` returns them.
    """

    def __init__(self, components: Sequence[Component[object]], required: Sequence[Iterable[int]]) -> None:
        #: For each branch, by identity, the choices that have it, and its keys there.
        self._choices: dict[int, list[tuple[Choice[object], list[object]]]] = {}
        #: For each branch, by identity, the components that require it.
        self._users: dict[int, list[Component[object]]] = {}
        for choice in components:
            if not isinstance(choice, Choice) or choice.overriding is not None:
                continue
            keys: dict[int, list[object]] = {}
            for key, branch in choice.selected.branches.items():
                keys.setdefault(id(acting(branch)), []).append(key)
            for branch_id, own in keys.items():
                self._choices.setdefault(branch_id, []).append((choice, own))
        for number, others in enumerate(required if self._choices else ()):
            for other in others:
                self._users.setdefault(id(components[other]), []).append(components[number])

    def participation(self, component: Component[object], *, is_foreseen: bool) -> tuple[bool | None, str]:
        """Return the same as `Component.participation`, as far as choices decide it."""
        choices = self._choices.get(id(component))
        if choices is None:
            return True, ""
        # Checked before the choices, because their keys may come from these users.
        users = [user.participation(is_foreseen=is_foreseen)[0] for user in self._users.get(id(component), ())]
        if True in users:
            return True, ""
        decisions = [_decision(choice, keys, is_foreseen=is_foreseen) for choice, keys in choices]
        results = [result for result, _ in decisions]
        if True in results:
            return True, ""
        if None in results:
            return decisions[results.index(None)]
        return (None if None in users else False), decisions[0][1]


def _decision(choice: Choice[object], keys: Sequence[object], *, is_foreseen: bool) -> tuple[bool | None, str]:
    """Return whether *choice* selects the branch under *keys*, or None if that is known only later, and why not."""
    takes_part, reason = choice.participation(is_foreseen=is_foreseen)
    if takes_part is False:
        return False, f"{choice.path} is not enabled: {reason}"
    key = foreseen_key(choice) if is_foreseen else current_key(choice)
    if key is MISSING:
        return None, f"a branch of {choice.path}"
    selected = choice.selected.branch_of(key)
    is_taken = any(choice.selected.branch_of(own_key) is selected for own_key in keys)
    if is_taken and takes_part:
        return True, ""
    return (None if is_taken else False), f"{choice.path} is {key!r}"


def choice_faults(
    components: Sequence[Component[object]],
    participations: Sequence[tuple[bool | None, str]],
    key_of: Callable[[Choice[object]], object],
) -> list[Fault]:
    """
    Return the faults of the choices among *components*: keys without a branch, and chosen branches that are not enabled.

    Args:
        components: The components.
        participations: For each component, the result of `Component.participation`.
        key_of: Returns the key of a choice, or `MISSING` if it is not known yet.
    """
    numbers = {id(component): number for number, component in enumerate(components)}
    faults: list[Fault] = []
    for number, choice in enumerate(components):
        if not isinstance(choice, Choice) or choice.overriding is not None or participations[number][0] is False:
            continue
        key = key_of(choice)
        if key is MISSING:
            continue
        branch = choice.selected.branch_of(key)
        if branch is None:
            faults.append(choice.fault(key))
            continue
        chosen = numbers.get(id(acting(branch)))
        if chosen is not None and participations[chosen][0] is False:
            faults.append(DisabledFault(choice.path, choice.place, components[chosen].path, participations[chosen][1]))
    return faults


def current_key(choice: Choice[object]) -> object:
    """Build what the key of *choice* needs and return the key, or `MISSING` if a component it needs is not enabled."""
    try:
        with Entered(choice, choice.path, choice.place, choice.path):
            return choice.selected.key()
    except ComponentDisabled:
        return MISSING


def foreseen_key(choice: Choice[object]) -> object:
    """Return the key of *choice*, or `MISSING` if it is not known until something is built."""
    key = foreseen_value(choice.selected.key)
    return key if _is_plain(key) else MISSING


def foreseen_condition(condition: object) -> bool | None:
    """Return the value that the provider *condition* will have, or None if a component must be built to find out."""
    value = foreseen_value(condition)
    return bool(value) if value is not MISSING and _is_plain(value) else None


def foreseen_value(node: object) -> object:
    """
    Return the value that the provider *node* will give, or `MISSING` if it is not known until something is built.

    Settings that are already loaded are read, including properties of their class,
    since loading them has already run code of that class.
    """
    description = description_of(node)
    if isinstance(description, This):
        return description.value
    provider: Any = node
    source: Any = node
    while isinstance(result := result_of(source), (Attribute, Item, Other)):
        overriding = getattr(source, "last_overriding", None)
        if isinstance(source, Component) and lookup(type(source.builds), "holds_settings") is True:
            if isinstance(overriding, providers.Object):
                with contextlib.suppress(Exception):
                    return provider()
            return MISSING
        source = result.node if isinstance(result, Other) else result.of
    return MISSING


def _is_plain(key: object) -> bool:
    """Whether comparing and showing *key* runs no user code: built-in values, and members of enumerations."""
    if type(key) in (tuple, list, set, frozenset) and isinstance(key, Iterable):
        return all(map(_is_plain, key))
    if not is_a(key, enum.Enum):
        return is_simple(key)
    methods = [lookup(type(key), name) for name in ("__eq__", "__hash__", "__repr__")]
    return all(type(method) is not types.FunctionType or method.__module__ == "enum" for method in methods)


def acting(component: Any) -> object:
    """Return the component that overrides *component*, or *component* itself."""
    actor = getattr(component, "target", None) or component
    while isinstance(actor, Component) and isinstance(actor.overriding, Component):
        actor = actor.overriding
    return actor
