"""Valid calls of `first`, `fold` and `attempt`, and the types of their results."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, assert_type

from declared import Order, RushOrder, closed, order_placed, stock_low

from typedbus import (
    Answer,
    AsyncChannel,
    AsyncPublishes,
    Attempt,
    Bus,
    Channel,
    ChannelFailures,
    Failure,
    Publishes,
)

user_wanted = Channel[[str], str | None]("user_wanted")
priced = AsyncChannel[[Order], float]("priced")
titled = Channel[[str, int], str]("titled")
navigated = Channel[[Sequence[str]], list[str]]("navigated")
themed = AsyncChannel[[str, int], str | None]("themed")


@Channel.declare
def page_read(markdown: str, /, path: str, *, strict: bool = False) -> str | None:
    """The text of a page was read; a listener returns another text, or None."""
    return None


@AsyncChannel.declare
async def page_sent(html: str, /, path: str, *, strict: bool = False) -> str:
    """A page is sent."""
    return html


def first_returns_a_result_or_none(bus: Bus, order: RushOrder) -> None:
    receipt = bus[order_placed].first(order)
    if receipt is not None:
        assert_type(receipt.number, int)
    assert_type(bus[user_wanted].first("ann"), str | None)
    assert_type(bus[page_read].first("text", path="index", strict=True), str | None)
    assert_type(bus[page_read].first("text", "index"), str | None)


def fold_returns_a_value_of_the_type_of_the_first_parameter(bus: Bus) -> None:
    assert_type(bus[titled].fold("tea", 1), str)
    assert_type(bus[page_read].fold("text", "index"), str)
    assert_type(bus[page_read].fold("text", path="index", strict=True), str)
    assert_type(bus[user_wanted].fold("ann"), str)


def the_results_of_a_fold_may_be_narrower_than_the_first_parameter(bus: Bus) -> None:
    assert_type(bus[navigated].fold(["index"]), list[str])


def attempt_returns_answers_and_failures(bus: Bus, order: Order) -> None:
    attempt = bus[order_placed].attempt(order)
    for answer in attempt:
        assert_type(answer.name, str)
        assert_type(answer.listener, Callable[..., object])
        if answer.error is None:
            assert_type(answer.result.number, int)
        else:
            assert_type(answer, Failure)
            assert_type(answer.error, Exception)
        if isinstance(answer, Failure):
            assert_type(answer, Failure)
        else:
            assert_type(answer.result.number, int)
        match answer:
            case Answer(result=receipt):
                assert_type(receipt.number, int)
            case Failure(error=error):
                assert_type(error, Exception)
    assert_type(attempt.failures, tuple[Failure, ...])
    assert_type([receipt.number for receipt in attempt.results], list[int])
    assert_type(len(attempt), int)
    assert_type(bus[stock_low].attempt("tea", left=3).results, tuple[None, ...])
    assert_type(bus[closed].attempt(), Attempt[None])


async def verbs_of_an_async_channel_are_awaited(bus: Bus, order: Order) -> None:
    assert_type(await bus[priced].first(order), float | None)
    assert_type(await bus[themed].first("blue", 1), str | None)
    assert_type(await bus[themed].fold("blue", 1), str)
    assert_type(await bus[page_sent].fold("text", "index", strict=True), str)
    attempt = await bus[priced].attempt(order)
    assert_type(attempt.results, tuple[float, ...])
    for answer in attempt:
        if answer.error is None:
            assert_type(answer.result, float)


class ReadsPage(Protocol):
    def __call__(self, markdown: str, /, path: str, *, strict: bool = ...) -> str | None: ...


class SendsPage(Protocol):
    async def __call__(self, html: str, /, path: str, *, strict: bool = ...) -> str: ...


def a_component_that_only_publishes_has_the_verbs(read: Publishes[ReadsPage]) -> None:
    assert_type(read.first("text", "index"), str | None)
    assert_type(read.fold("text", path="index", strict=True), str)
    assert_type(read.attempt("text", "index").results, tuple[str | None, ...])


async def also_on_an_async_channel(sent: AsyncPublishes[SendsPage]) -> None:
    assert_type(await sent.first("text", "index"), str | None)
    assert_type(await sent.fold("text", path="index", strict=True), str)
    assert_type((await sent.attempt("text", "index")).results, tuple[str, ...])


def a_bound_channel_is_passed_to_it(bus: Bus) -> None:
    a_component_that_only_publishes_has_the_verbs(bus[page_read])
    _: Awaitable[None] = also_on_an_async_channel(bus[page_sent])


def channel_failures_have_the_type_of_the_results(failed: ChannelFailures[str]) -> None:
    assert_type(failed.results, tuple[str, ...])
    assert_type(failed.find(OSError), OSError | None)
    _wider: ChannelFailures[object] = failed


def channel_failures_without_a_parameter_have_any_results(failed: ChannelFailures) -> None:
    assert_type(failed.results, tuple[Any, ...])
    _numbers: tuple[int, ...] = failed.results


def results_of_caught_failures_are_annotated(bus: Bus) -> Sequence[str]:
    try:
        return bus[titled].publish("tea", 1)
    except ChannelFailures as failed:
        results: tuple[str, ...] = failed.results
        return results


def a_caught_group_is_passed_on(bus: Bus) -> str:
    try:
        return bus[titled].fold("tea", 1)
    except ChannelFailures as failed:
        raise failed.find(ValueError) or failed
