"""Listeners of every kind, which the other files of this folder use."""

from collections.abc import Callable
from typing import Protocol, TypeVar, overload

from declared import Order, PaidReceipt, Receipt, RushOrder

Item = TypeVar("Item")


def bill(order: Order) -> Receipt:
    return Receipt(1)


def bill_anything(thing: object) -> PaidReceipt:
    return PaidReceipt(1)


def bill_with_default(order: Order, copies: int = 1) -> Receipt:
    return Receipt(copies)


def bill_without_order() -> Receipt:
    return Receipt(1)


def bill_twice(order: Order, again: Order) -> Receipt:
    return Receipt(1)


def bill_with_flag(order: Order, *, quiet: bool) -> Receipt:
    return Receipt(1)


def bill_rush(order: RushOrder) -> Receipt:
    return Receipt(1)


def bill_text(text: str) -> Receipt:
    return Receipt(1)


def bill_by_name(*, order: Order) -> Receipt:
    return Receipt(1)


def bill_with_text(order: Order) -> str:
    return ""


def bill_with_nothing(order: Order) -> None: ...


def bill_perhaps(order: Order) -> Receipt | None:
    return None


async def bill_later(order: Order) -> Receipt:
    return Receipt(1)


def note(*things: object, **named: object) -> None: ...


def note_and_bill(*things: object, **named: object) -> Receipt:
    return Receipt(1)


def note_orders(*orders: Order) -> Receipt:
    return Receipt(1)


def note_texts(*texts: str) -> Receipt:
    return Receipt(1)


def refill(sku: str, /, *, left: int = 0) -> None: ...


def refill_wider(sku: str, *, left: float = 1.0, shop: str = "") -> None: ...


def refill_anyhow(sku: object, left: int = 0) -> None: ...


def refill_dropping(sku: str, /) -> None: ...


def refill_demanding(sku: str, /, *, left: int) -> None: ...


def refill_further(sku: str, /, *, left: int = 0, shop: str) -> None: ...


def refill_renamed(sku: str, /, *, remaining: int = 0) -> None: ...


def refill_mistyped(sku: str, /, *, left: str = "") -> None: ...


def refill_answering(sku: str, /, *, left: int = 0) -> int:
    return left


def ask(sku: str, count: int = 1) -> float:
    return 1.0


def ask_whole(sku: str, count: int = 1) -> int:
    return 1


def ask_dropping(sku: str) -> float:
    return 1.0


def ask_demanding(sku: str, count: int) -> float:
    return 1.0


def ask_further(sku: str, count: int = 1, *, currency: str) -> float:
    return 1.0


def ask_renamed(name: str, count: int = 1) -> float:
    return 1.0


def ask_by_position(sku: str, count: int = 1, /) -> float:
    return 1.0


def ask_swapped(count: int = 1, sku: str = "") -> float:
    return 1.0


def audit(*parts: str, **numbers: int) -> None: ...


def audit_parts(*parts: str) -> None: ...


def audit_numbers(**numbers: int) -> None: ...


def audit_one(part: str, **numbers: int) -> None: ...


def same(thing: Item) -> Item:
    return thing


def bill_all(thing: Item, *things: Item) -> Receipt:
    return Receipt(1 + len(things))


def in_list(thing: Item) -> list[Item]:
    return [thing]


@overload
def either(thing: Order) -> Receipt: ...
@overload
def either(thing: str) -> str: ...
def either(thing: Order | str) -> Receipt | str:
    return thing if isinstance(thing, str) else Receipt(1)


@overload
def neither(thing: int) -> Receipt: ...
@overload
def neither(thing: str) -> str: ...
def neither(thing: int | str) -> Receipt | str:
    return thing if isinstance(thing, str) else Receipt(1)


class Clerk:
    def bill(self, order: Order, /) -> Receipt:
        return Receipt(1)

    def bill_text(self, text: str, /) -> Receipt:
        return Receipt(1)

    def refill(self, sku: str, /, *, left: int = 0) -> None: ...

    def refill_dropping(self, sku: str, /) -> None: ...

    @classmethod
    def bill_for_all(cls, order: Order, /) -> Receipt:
        return Receipt(1)

    @staticmethod
    def bill_for_nobody(order: Order, /) -> Receipt:
        return Receipt(1)

    @classmethod
    def count(cls, number: int, /) -> Receipt:
        return Receipt(number)

    @staticmethod
    def weigh(grams: float, /) -> Receipt:
        return Receipt(1)

    @property
    def billing(self) -> Callable[[Order], Receipt]:
        return self.bill

    @property
    def name(self) -> str:
        return ""


class Apprentice(Clerk):
    """Inherits every method."""


class Biller:
    def __call__(self, order: Order, /) -> Receipt:
        return Receipt(1)


class Weigher:
    def __call__(self, grams: float, /) -> Receipt:
        return Receipt(1)


class Bills(Protocol):
    def __call__(self, order: Order, /) -> Receipt: ...


class Weighs(Protocol):
    def __call__(self, grams: float, /) -> Receipt: ...


class Bill(Receipt):
    def __init__(self, order: Order) -> None:
        super().__init__(1)


class Weight(Receipt):
    def __init__(self, grams: float) -> None:
        super().__init__(1)
