"""The paths of runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from typedbus._channels.subscriptions import Subscription


def paths_of(subscriptions: Iterable[Subscription]) -> list[tuple[str, Subscription]]:
    """Return the path of each run and its subscription: that of a component with one run, else the listener's name."""
    subscriptions = tuple(subscriptions)
    runs_of = Counter(id(subscription.node) for subscription in subscriptions if subscription.node is not None)
    paths: list[tuple[str, Subscription]] = []
    used: set[str] = set()
    for subscription in subscriptions:
        is_only = runs_of[id(subscription.node)] == 1
        path = distinct(subscription.path if is_only else subscription.name, used)
        used.add(path)
        paths.append((path, subscription))
    return paths


def distinct(path: str, used: Iterable[str]) -> str:
    """Return *path*, with a number appended if it is in *used*: listeners outside a container may share a name."""
    number, numbered = 2, path
    while numbered in used:
        number, numbered = number + 1, f"{path} ({number})"
    return numbered
