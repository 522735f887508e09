"""Each line of the table of failures in docs/explanation/delivery.md is a test."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from tests.nats.consuming import Seen, consumer_site, placed
from tests.nats.servers import NatsServer

from typedbus import running
from typedbus.nats import DeadLettered, Redelivery, delivery

_HERE = Path(__file__).parent
_PAGE = (_HERE.parents[1] / "docs" / "explanation" / "delivery.md").read_text(encoding="utf-8")
_LINES = [line for line in _PAGE.partition("\n## Failures\n")[2].splitlines() if line.startswith("| ")][1:]
_FAILURES = [line for line in _LINES if not line.startswith("| **")]


@pytest.mark.parametrize("line", _FAILURES, ids=lambda line: line.split("|")[1].strip())
def test_a_line_is_a_test(line: str) -> None:
    name = re.search(r"<!-- (test_\w+\.py)::(test_\w+) --> \|$", line)
    assert name is not None, "the line does not name its test"
    source = (_HERE / name[1]).read_text(encoding="utf-8")
    assert f"\ndef {name[2]}(" in source, f"{name[1]} has no {name[2]}"


def test_each_line_has_a_test_of_its_own() -> None:
    names = re.findall(r"<!-- (.*?) -->", "\n".join(_FAILURES))
    assert len(names) == len({*names}) == len(_FAILURES) > 40


def test_the_function_of_the_page_replays_dead_letters(server: NatsServer, capsys: pytest.CaptureFixture[str]) -> None:
    (source,) = re.findall(r"^```python\n(.*?)^```$", _PAGE, re.MULTILINE | re.DOTALL)
    page: dict[str, Any] = {}
    exec(source, page)
    calls, dead = Seen(), Seen()

    def listener(number: int) -> None:
        is_first = calls.qsize() < 2
        calls.put((number, delivery().message_id))
        if is_first:
            raise ValueError("out of stock")

    def keep(event: object) -> None:
        if isinstance(event, DeadLettered):
            dead.put(event)

    with running(consumer_site(server, placed, listener, events=keep, redelivery=Redelivery(attempts=1))) as site:
        for number in (1, 2):
            site.port().keyed(f"order-{number}").publish_from_thread(number)
        dead.take(2)
        asyncio.run(page["replay"](server.url))
        assert calls.take(4) == [(1, "order-1"), (2, "order-2")] * 2
    assert "order-2 ValueError" in capsys.readouterr().out
