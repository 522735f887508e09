"""Wrong calls of `first`, `fold` and `attempt`: each marked line is refused."""

from collections.abc import Sequence

from declared import Order, order_placed, stock_low
from verbs_good import ReadsPage, navigated, page_read, page_sent, priced, themed, titled

from typedbus import AsyncChannel, Bus, Channel, ChannelFailures, Publishes

counted = Channel[[str], int]("counted")
described = Channel[[str], object]("described")
maybe_counted = Channel[[str], int | None]("maybe_counted")
closed_with = Channel[[], str]("closed_with")
measured = AsyncChannel[[str], float]("measured")


@Channel.declare
def labelled(*, text: str) -> str:
    """A channel whose listeners receive the text by name."""
    return text


def first_takes_the_arguments_of_publish(bus: Bus, order: Order) -> None:
    bus[order_placed].first()  # E
    bus[order_placed].first("tea")  # E
    bus[page_read].first("text", 1)  # E
    bus[page_read].first("text", "index", strikt=True)  # E


def first_may_return_none(bus: Bus, order: Order) -> None:
    print(bus[order_placed].first(order).number)  # E
    _text: str = bus[page_read].first("text", "index")  # E


def fold_needs_a_result_that_fits_the_first_parameter(bus: Bus) -> None:
    bus[counted].fold("tea")  # E


def any_object_does_not_fit(bus: Bus) -> None:
    bus[described].fold("tea")  # E


def nor_does_a_result_or_none(bus: Bus) -> None:
    bus[maybe_counted].fold("tea")  # E


def nor_does_a_receipt_for_an_order(bus: Bus, order: Order) -> None:
    bus[order_placed].fold(order)  # E


async def nor_does_an_awaited_number(bus: Bus) -> None:
    await bus[measured].fold("tea")  # E


def fold_needs_a_positional_parameter(bus: Bus) -> None:
    bus[closed_with].fold("tea")  # E
    bus[closed_with].fold()  # E
    bus[labelled].fold("tea")  # E
    bus[labelled].fold(text="tea")  # E


def fold_takes_the_arguments_of_publish(bus: Bus, pages: Sequence[str]) -> None:
    bus[titled].fold(1, 1)  # E
    bus[titled].fold("tea")  # E
    bus[titled].fold("tea", "one")  # E
    bus[page_read].fold("text", "index", strikt=True)  # E
    bus[page_read].fold("text")  # E
    _pages: list[str] = bus[navigated].fold(pages)  # E


def fold_returns_the_value(bus: Bus) -> None:
    _number: int = bus[titled].fold("tea", 1)  # E


def attempt_takes_the_arguments_of_publish(bus: Bus) -> None:
    bus[order_placed].attempt()  # E
    bus[stock_low].attempt("tea", right=1)  # E
    bus[titled].attempt("tea", "one")  # E


def a_failure_has_no_result(bus: Bus) -> None:
    for answer in bus[titled].attempt("tea", 1):
        print(answer.result)  # E
        if answer.error is not None:
            print(answer.result)  # E


def the_results_have_the_type_of_the_channel(bus: Bus) -> None:
    _numbers: tuple[int, ...] = bus[titled].attempt("tea", 1).results  # E


async def verbs_of_an_async_channel_are_awaited(bus: Bus, order: Order) -> None:
    _price: float | None = bus[priced].first(order)  # E
    _text: str = bus[themed].fold("blue", 1)  # E
    for answer in bus[priced].attempt(order):  # E
        assert answer


async def verbs_of_an_async_channel_take_the_arguments_of_publish(bus: Bus) -> None:
    await bus[priced].first("tea")  # E
    await bus[themed].fold("blue", "one")  # E
    await bus[page_sent].fold("text")  # E
    await bus[themed].attempt("blue")  # E


def a_component_that_only_publishes_is_checked_as_well(read: Publishes[ReadsPage], low: Publishes[ReadsPage]) -> None:
    read.first("text")  # E
    read.fold(1, "index")  # E
    low.attempt("text", strikt=True)  # E


def failures_of_other_results(failed: ChannelFailures[str]) -> None:
    _numbers: ChannelFailures[int] = failed  # E
    _first: int = failed.results[0]  # E
    _error: ValueError | None = failed.find(OSError)  # E
    failed.find("OSError")  # E
