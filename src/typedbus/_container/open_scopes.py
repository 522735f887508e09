"""The scopes that are open, as text for messages."""

from __future__ import annotations

from collections.abc import Iterable

from typedbus._container.scope import Scope


def described(scopes: Iterable[Scope]) -> list[str]:
    """Return a line for each of *scopes*, the oldest first: its container, age and place, and the objects to be closed."""
    return [_description(scope) for scope in sorted(scopes, key=lambda scope: scope.age, reverse=True)]


def _description(scope: Scope) -> str:
    place = f" ({scope.place})" if scope.place else ""
    paths = ", ".join(component.path for _, _, component in list(scope.exits))
    return f"a scope of {scope.name}, opened {scope.age:.1f} s ago{place}{paths and f', with {paths} open'}"
