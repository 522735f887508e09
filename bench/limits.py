"""The two limits: the loop that one would write by hand, with and without a ``try`` around each listener."""

from __future__ import annotations

from collections.abc import Callable

Listener = Callable[..., object]


class Loop:
    """Calls all, collects what they return and what they raise."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []

    def publish(self, a: int, b: str) -> list[object]:
        """Publish with two parameters."""
        results = []
        failures = []
        for listener in self.listeners:
            try:
                results.append(listener(a, b))
            except Exception as error:
                failures.append(error)
        if failures:
            raise ExceptionGroup("listeners failed", failures)
        return results


class NamedLoop(Loop):
    """The same with a parameter that goes by name alone."""

    def publish(self, a: int, *, b: str) -> list[object]:  # type: ignore[override]  # shares the listeners alone
        """Publish with a keyword-only parameter."""
        results = []
        failures = []
        for listener in self.listeners:
            try:
                results.append(listener(a, b=b))
            except Exception as error:
                failures.append(error)
        if failures:
            raise ExceptionGroup("listeners failed", failures)
        return results


class DefaultedLoop(Loop):
    """The same with defaults."""

    def publish(self, a: int, b: str = "two", c: int = 3) -> list[object]:
        """Publish with two parameters that may be left out."""
        results = []
        failures = []
        for listener in self.listeners:
            try:
                results.append(listener(a, b, c))
            except Exception as error:
                failures.append(error)
        if failures:
            raise ExceptionGroup("listeners failed", failures)
        return results


class VariadicLoop(Loop):
    """The same with any number of arguments."""

    def publish(self, a: int, *rest: object, **others: object) -> list[object]:
        """Publish with whatever comes."""
        results = []
        failures = []
        for listener in self.listeners:
            try:
                results.append(listener(a, *rest, **others))
            except Exception as error:
                failures.append(error)
        if failures:
            raise ExceptionGroup("listeners failed", failures)
        return results


class BareLoop(Loop):
    """Calls all and collects what they return; the first that raises ends it."""

    def publish(self, a: int, b: str) -> list[object]:
        """Publish with two parameters."""
        results = []
        for listener in self.listeners:
            results.append(listener(a, b))  # noqa: PERF401  # only the try is to be the difference
        return results


class BareNamedLoop(BareLoop):
    """The same with a parameter that goes by name alone."""

    def publish(self, a: int, *, b: str) -> list[object]:  # type: ignore[override]  # shares the listeners alone
        """Publish with a keyword-only parameter."""
        results = []
        for listener in self.listeners:
            results.append(listener(a, b=b))  # noqa: PERF401  # as above
        return results


class BareDefaultedLoop(BareLoop):
    """The same with defaults."""

    def publish(self, a: int, b: str = "two", c: int = 3) -> list[object]:
        """Publish with two parameters that may be left out."""
        results = []
        for listener in self.listeners:
            results.append(listener(a, b, c))  # noqa: PERF401  # as above
        return results


class BareVariadicLoop(BareLoop):
    """The same with any number of arguments."""

    def publish(self, a: int, *rest: object, **others: object) -> list[object]:
        """Publish with whatever comes."""
        results = []
        for listener in self.listeners:
            results.append(listener(a, *rest, **others))  # noqa: PERF401  # as above
        return results


#: The classes by what is published: see `contenders.FORMS`.
LOOPS: dict[str, type[Loop]] = {
    "positional": Loop,
    "keyword": Loop,
    "keyword_only": NamedLoop,
    "default": DefaultedLoop,
    "variadic": VariadicLoop,
}
BARE_LOOPS: dict[str, type[Loop]] = {
    "positional": BareLoop,
    "keyword": BareLoop,
    "keyword_only": BareNamedLoop,
    "default": BareDefaultedLoop,
    "variadic": BareVariadicLoop,
}
