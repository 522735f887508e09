"""Checks that the contenders do the same work; the tables list the differences."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from contender import CALLS_REST, STOPS, Contender
from scenarios import Scenario, call


class Recording:
    """Listeners that record each call and its arguments."""

    def __init__(self, parameters: str, count: int, failing: int | None) -> None:
        self.calls: list[tuple[int, object]] = []
        body = "(calls.append((number, locals())), fail(number), number)[-1]"
        make: Any = eval(f"lambda number, calls, fail: lambda {parameters}: {body}")

        def fail(number: int) -> None:
            if number == failing:
                raise ValueError("no")

        self.listeners: list[Callable[..., object]] = [make(number, self.calls, fail) for number in range(count)]


def check(contender: Contender) -> None:
    """
    Publish in each form to listeners that record their calls, and compare the calls with the contender's description.

    Raises:
        AssertionError: The contender does not behave as described.
    """
    for form in contender.publish:
        record, returned, raised = _published(contender, Scenario("check", "", form=form, count=5))
        _expect(raised is None, contender, form, f"raised {raised!r}")
        order = [number for number, _ in record.calls]
        expected = [4, 3, 2, 1, 0] if contender.order == "last first" else [0, 1, 2, 3, 4]
        if contender.order == "unspecified":
            order.sort()
        _expect(order == expected, contender, form, f"called {order}")
        for _, names in record.calls:
            expected_arguments = _EXPECTED[form]
            arguments = _arguments(names)[: len(expected_arguments)]
            _expect(arguments == expected_arguments, contender, form, f"called with {arguments}")
        if contender.results is not None:
            answers = contender.results(returned)
            _expect([*answers] == [number for number, _ in record.calls], contender, form, f"answered {answers}")
    record, _, raised = _published(contender, Scenario("check", "", count=10, failing=3))
    called = len(record.calls)
    _expect((called == 10) or contender.failing == STOPS, contender, "failing", f"called {called} of 10")
    _expect((raised is not None) == (contender.failing in (CALLS_REST, STOPS)), contender, "failing", repr(raised))


_EXPECTED: dict[str, tuple[object, ...]] = {
    "positional": (1, "two"),
    "keyword": (1, "two"),
    "keyword_only": (1, "two"),
    "default": (1, "two", 3),
    "variadic": (1, ("two", 3), {"name": "four"}),
}


def _arguments(names: Any) -> tuple[object, ...]:
    """Return the arguments of a call, without those that the library adds."""
    event = names.get("event")
    arguments = vars(event) if event is not None else names
    return tuple(arguments[name] for name in ("a", "b", "c", "rest", "others") if name in arguments)


def _published(contender: Contender, scenario: Scenario) -> tuple[Recording, object, Exception | None]:
    record = Recording(contender.parameters[scenario.form], scenario.count, scenario.failing)
    declaration = contender.declare(scenario.form)
    names: dict[str, Any] = {"bus": contender.bus, "channel": contender.bind(declaration)}
    for listener in record.listeners:
        call(contender.subscribe, **names, listener=contender.prepare(declaration, listener))
    statement = contender.publish[scenario.form]
    try:
        if not contender.is_async:
            return record, call(statement, **names), None
        exec(f"async def published():\n    return {statement}", names)
        return record, asyncio.run(names["published"]()), None
    except Exception as error:
        return record, None, error


def _expect(holds: bool, contender: Contender, form: str, problem: str) -> None:
    if not holds:
        raise AssertionError(f"{contender.name}, {form}: {problem}")
