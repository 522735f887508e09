"""Questions to the listeners in other processes, and each of their outcomes."""

from typing import assert_never, assert_type

from typedbus import AsyncChannel, Bus, Channel, Component, Container
from typedbus.nats import (
    Answer,
    Asked,
    AskPort,
    Busy,
    Denied,
    Disconnected,
    Gathered,
    Gathering,
    GatherPort,
    Link,
    NoListener,
    RemoteError,
    RemoteTimeout,
    Responder,
    Unreadable,
    ask,
    gather,
)

quote_wanted = Channel[[str], int]("quote_wanted")
price_wanted = AsyncChannel[[str], int]("price_wanted")


@Channel.declare
def stock_wanted(item: str, *, least: int = 1) -> int | None:
    """How many there are."""
    raise NotImplementedError


class Desk:
    def __init__(self, quotes: AskPort[[str], int], stock: GatherPort[[str], int]) -> None:
        self.quotes = quotes
        self.stock = stock


class Site(Container):
    bus = Component(Bus)
    link = Component(Link, bus.provided, ["nats://127.0.0.1:4222"])
    quotes = Component(ask, link.provided, quote_wanted, timeout=2.0)
    prices = Component(ask, link.provided, price_wanted, timeout=2.0)
    stock = Component(gather, link.provided, quote_wanted, timeout=2.0, expect=3, stall=0.5)
    desk = Component(Desk, quotes.provided, stock.provided)
    answering = Component(Responder, link.provided, bus.provided[quote_wanted], group="pricing")
    answering_async = Component(
        Responder, link.provided, bus.provided[price_wanted], group=None, concurrency=8, most=64
    )


async def use(site: Site, link: Link) -> None:
    port = ask(link, quote_wanted, timeout=2.0)
    assert_type(port, AskPort[[str], int])
    assert_type(site.prices(), AskPort[[str], int])
    assert_type(await port.ask("mug"), Asked[int])
    assert_type((await port.ask("mug")).value, int)
    assert_type(port.ask_from_thread("mug").value, int)
    named = ask(link, stock_wanted, timeout=1)
    assert_type((await named.ask("mug", least=3)).value, int | None)

    all_of_them = gather(link, price_wanted, timeout=2.0)
    assert_type(all_of_them, GatherPort[[str], int])
    assert_type(await all_of_them.gather("mug"), Gathering[int])
    gathered = (await all_of_them.gather("mug")).value
    assert_type(gathered, Gathered[int])
    assert_type(gathered.replies[0].value, int)
    assert_type(gathered.failures, tuple[RemoteError | Busy | Unreadable, ...])
    assert_type(all_of_them.gather_from_thread("mug").value.complete, bool)


def each(asked: Asked[int]) -> int:
    match asked:
        case Answer(value, origin):
            assert_type(value, int)
            assert_type(origin, str)
            return value
        case Disconnected(was_sent=was_sent):
            assert_type(was_sent, bool)
            return 0
        case RemoteError(kind=kind, message=message):
            return len(kind + message)
        case NoListener() | RemoteTimeout() | Busy() | Unreadable() | Denied():
            return 1
    assert_never(asked)


def each_of_all(gathering: Gathering[str]) -> str:
    match gathering:
        case Gathered(replies, _, True):
            return replies[0].value
        case Gathered():
            return ""
        case NoListener() | Disconnected() | Denied():
            return "no answer"
    assert_never(gathering)
