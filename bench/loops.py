"""The two baselines: a hand-written loop, with and without a ``try`` around each listener."""

from __future__ import annotations

from collections.abc import Callable

Listener = Callable[..., object]


class Loop:
    """Calls all listeners; collects their results and their exceptions."""

    def __init__(self) -> None:
        self.listeners: list[Listener] = []

    def publish(self, a: int, b: str) -> list[object]:
        """Publish two arguments."""
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
    """The same with a keyword-only parameter."""

    def publish(self, a: int, *, b: str) -> list[object]:  # type: ignore[override]  # inherits only the listeners
        """Publish two arguments, the second by keyword."""
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
        """Publish up to three arguments, of which two have defaults."""
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
        """Publish any further arguments, too."""
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
    """Calls all listeners and collects their results; stops at the first that raises."""

    def publish(self, a: int, b: str) -> list[object]:
        """Publish two arguments."""
        results = []
        for listener in self.listeners:
            results.append(listener(a, b))  # noqa: PERF401  # must differ by the try only
        return results


class BareNamedLoop(BareLoop):
    """The same with a keyword-only parameter."""

    def publish(self, a: int, *, b: str) -> list[object]:  # type: ignore[override]  # inherits only the listeners
        """Publish two arguments, the second by keyword."""
        results = []
        for listener in self.listeners:
            results.append(listener(a, b=b))  # noqa: PERF401  # as above
        return results


class BareDefaultedLoop(BareLoop):
    """The same with defaults."""

    def publish(self, a: int, b: str = "two", c: int = 3) -> list[object]:
        """Publish up to three arguments, of which two have defaults."""
        results = []
        for listener in self.listeners:
            results.append(listener(a, b, c))  # noqa: PERF401  # as above
        return results


class BareVariadicLoop(BareLoop):
    """The same with any number of arguments."""

    def publish(self, a: int, *rest: object, **others: object) -> list[object]:
        """Publish any further arguments, too."""
        results = []
        for listener in self.listeners:
            results.append(listener(a, *rest, **others))  # noqa: PERF401  # as above
        return results


#: The classes, by form; see `contender.PARAMETERS`.
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
