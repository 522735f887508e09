"""``python -m examples.shop.make_orders``: writes orders.jsonl, the same each time."""

import json
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

ORDERS_JSONL = Path(__file__).with_name("orders.jsonl")
LINES = 1_200
BAD_LINES = 42

# A JSON object.
Table: TypeAlias = dict[str, Any]

# Products later in the list sell better.
_SKUS = (
    *("POT-LARGE", "POT-SMALL", "SIEVE", "TIN-SQUARE", "TIN-ROUND", "CUP-WHITE"),
    *("CUP-BLUE", "HONEY", "SUGAR-BROWN", "TEA-MINT", "TEA-GREEN", "TEA-ASSAM"),
)
_FIRST_NAMES = ("Ada", "Åsa", "Björn", "Chloé", "Dilek", "Emeka", "Fatou", "Grzegorz", "Hana", "Inés", "José", "Zoë")
_LAST_NAMES = ("Andersen", "Brown", "Çelik", "Dubois", "Eze", "Fernández", "Kowalski", "Müller", "Novák", "Sørensen")


def make_orders() -> tuple[bytes, dict[int, str]]:
    """Return the file, and for each bad line its number and the kind of its error."""
    rng = Random(20250301)  # a fixed seed, so that the file is always the same
    places = rng.sample(range(20, LINES + 1), BAD_LINES)
    bad = {place: _SPOILERS[index % len(_SPOILERS)] for index, place in enumerate(places)}
    lines: list[bytes] = []
    good: list[Table] = []
    for number in range(1, LINES + 1):
        order = _order(rng, number)
        if number in bad:
            lines.append(bad[number][1](order, good[rng.randrange(len(good))]))
        else:
            good.append(order)
            lines.append(_json(order))
    return b"".join(line + b"\n" for line in lines), {place: bad[place][0] for place in sorted(bad)}


def _order(rng: Random, line: int) -> Table:
    first, last = rng.choice(_FIRST_NAMES), rng.choice(_LAST_NAMES)
    return {
        "number": 41_000 + line,
        "customer": f"{first} {last}",
        "email": f"customer{rng.randrange(400):03}@example.org",
        "date": (date(2025, 3, 1) + timedelta(days=line * 31 // (LINES + 1))).isoformat(),
        "lines": [
            {"sku": rng.choice(_SKUS[rng.randrange(len(_SKUS)) :]), "quantity": rng.randrange(1, 5)}
            for _ in range(rng.randrange(1, 4))
        ],
    }


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _with(order: Table, **changed: object) -> bytes:
    return _json({**order, **changed})


def _with_first(order: Table, **changed: object) -> bytes:
    first, *others = order["lines"]
    return _with(order, lines=[{**first, **changed}, *others])


# Functions that spoil a line; each takes the order of the line and an earlier order.
_SPOILERS: tuple[tuple[str, Callable[[Table, Table], bytes]], ...] = (
    ("broken JSON", lambda order, earlier: _json(order)[:70]),
    ("missing field", lambda order, earlier: _json({key: order[key] for key in order if key != "customer"})),
    ("wrong type", lambda order, earlier: _with_first(order, quantity="two")),
    ("unknown SKU", lambda order, earlier: _with_first(order, sku="CUP-GREEN")),
    ("bad quantity", lambda order, earlier: _with_first(order, quantity=0)),
    ("bad date", lambda order, earlier: _with(order, date="2025-02-30")),
    ("empty line", lambda order, earlier: b""),
    ("not UTF-8", lambda order, earlier: _with(order, customer="Zoë Müller").decode().encode("latin-1")),
    ("duplicate order number", lambda order, earlier: _with(order, number=earlier["number"])),
    ("broken JSON", lambda order, earlier: _json(order).replace(b'"', b"'")),
    ("missing field", lambda order, earlier: _with(order, lines=[])),
    ("wrong type", lambda order, earlier: _with(order, number=f"A-{order['number']}")),
    ("wrong type", lambda order, earlier: _json(order["lines"])),
    ("bad quantity", lambda order, earlier: _with_first(order, quantity=-3)),
    ("bad date", lambda order, earlier: _with(order, date="14/03/2025")),
    ("bad address", lambda order, earlier: _with(order, email="see last order")),
    ("duplicate order number", lambda order, earlier: _json(earlier)),
)


if __name__ == "__main__":
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else ORDERS_JSONL
    file.write_bytes(make_orders()[0])
