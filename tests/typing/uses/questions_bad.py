"""Wrong questions to the listeners in other processes."""

from typing import assert_never

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
    ask,
    gather,
)

quote_wanted = Channel[[str], int]("quote_wanted")
price_wanted = AsyncChannel[[str], int]("price_wanted")


@Channel.declare
def stock_wanted(item: str, *, least: int = 1) -> int:
    """How many there are."""
    raise NotImplementedError


class Desk:
    def __init__(self, quotes: AskPort[[int], int]) -> None:
        self.quotes = quotes


class Site(Container):
    bus = Component(Bus)
    link = Component(Link, bus.provided, ["nats://127.0.0.1:4222"])
    quotes = Component(ask, link.provided, quote_wanted, timeout=2.0)
    desk = Component(Desk, quotes.provided)  # E
    without_time = Component(ask, link.provided, quote_wanted)  # E
    by_name = Component(ask, link.provided, "quote_wanted", timeout=2.0)  # E
    text = Component(gather, link.provided, quote_wanted, timeout="2 s")  # E
    unbound = Component(Responder, link.provided, quote_wanted, group="pricing")  # E
    without_group = Component(Responder, link.provided, bus.provided[quote_wanted])  # E
    number = Component(Responder, link.provided, bus.provided[quote_wanted], group=3)  # E


async def use(link: Link, bus: Bus) -> None:
    port = ask(link, quote_wanted, timeout=2.0)
    await port.ask()  # E
    await port.ask(3)  # E
    await port.ask("mug", "pot")  # E
    await port.ask(item="mug")  # E
    port.ask_from_thread(3)  # E
    await port.ask_from_thread("mug")  # E
    text: str = (await port.ask("mug")).value  # E
    (await port.ask("mug")).origin  # E
    port.ask("mug").value  # E
    other: AskPort[[str], str] = port  # E
    named = ask(link, stock_wanted, timeout=2.0)
    await named.ask("mug", most=3)  # E
    await named.ask("mug", 3)  # E
    ask(link, quote_wanted, timeout=2.0, expect=3)  # E
    many = gather(link, price_wanted, timeout=2.0, expect="all")  # E
    (await gather(link, price_wanted, timeout=2.0).gather(3)).value  # E
    gathered = (await gather(link, price_wanted, timeout=2.0).gather("mug")).value
    first: str = gathered.replies[0].value  # E
    gathered.replies[0].value.unknown  # E
    gathered.failures[0].kind  # E
    wrong: GatherPort[[str], str] = gather(link, price_wanted, timeout=2.0)  # E
    Responder(link, bus[quote_wanted], group=None, most="many")  # E
    print(text, other, many, first, wrong)


def each(asked: Asked[int]) -> int:
    match asked:
        case Answer(value, _):
            return value
        case NoListener() | RemoteTimeout() | RemoteError() | Busy() | Disconnected() | Denied():
            return 0
        case never:
            assert_never(never)  # E


def each_of_all(gathering: Gathering[int]) -> int:
    match gathering:
        case Gathered(replies, _, True):
            return replies[0].value
        case NoListener() | Disconnected() | Denied():
            return 0
        case never:
            assert_never(never)  # E
