"""Invalid uses of recorders and fake clocks; a marked line is an error for both checkers."""

from declared import Order, Receipt, Shop, closed, order_cancelled, order_placed, quoted, stock_low

from listeners import (
    ask_demanding,
    bill,
    bill_later,
    bill_rush,
    bill_text,
    bill_twice,
    bill_with_nothing,
    bill_with_text,
    bill_without_order,
    refill_demanding,
    refill_dropping,
    refill_further,
)
from typedbus import AsyncChannel, BoundChannel, Bus, State
from typedbus.events import LIFECYCLE, Moved, RunBroke
from typedbus.testing import FakeClock, Recorder, RunRecorder, running


def other_objects_cannot_be_recorded(bus: Bus) -> None:
    Recorder()  # E
    Recorder(bus)  # E
    Recorder(order_placed)  # E
    Recorder(bus, order_placed)  # E
    Recorder(bus[order_placed], 5)  # E
    Recorder(bus[order_placed], priority="first")  # E
    Recorder("order_placed")  # E


def only_events_of_runs_are_awaited(bus: Bus) -> None:
    RunRecorder(bus[LIFECYCLE])  # E
    RunRecorder(bus).wait(Moved)  # E
    RunRecorder(bus).wait(RunBroke, 5)  # E
    RunRecorder(bus).wait(RunBroke, "Shop.consumer", 5.0)  # E
    RunRecorder(bus).wait(RunBroke).state  # E


def recorded_arguments_have_the_types_of_the_channel(bus: Bus, order: Order) -> None:
    Recorder(bus[order_placed]).times()  # E
    Recorder(bus[order_placed]).times("tea")  # E
    Recorder(bus[order_placed]).times(order, order)  # E
    Recorder(bus[order_placed]).times(order=order)  # E
    Recorder(bus[closed]).times(order)  # E
    Recorder(bus[stock_low]).times("tea", 2)  # E
    Recorder(bus[stock_low]).times("tea", left="two")  # E
    Recorder(bus[stock_low]).times("tea", remaining=2)  # E
    Recorder(bus[quoted]).times(name="tea")  # E
    Recorder(bus[LIFECYCLE]).times(State.STARTED)  # E


def an_answer_must_have_the_result_type(bus: Bus, order: Order) -> None:
    Recorder(bus[order_placed]).answering()  # E
    Recorder(bus[order_placed]).answering(Receipt(1))  # E
    Recorder(bus[order_placed]).answering(bill_without_order)  # E
    Recorder(bus[order_placed]).answering(bill_twice)  # E
    Recorder(bus[order_placed]).answering(bill_text)  # E
    Recorder(bus[order_placed]).answering(bill_rush)  # E
    Recorder(bus[order_placed]).answering(bill_with_text)  # E
    Recorder(bus[order_placed]).answering(bill_with_nothing)  # E
    Recorder(bus[order_placed]).answering(bill_later)  # E
    Recorder(bus[order_placed]).answering(lambda: Receipt(1))  # E
    Recorder(bus[order_placed]).answering(lambda order: order.sku)  # E
    Recorder(bus[order_cancelled]).answering(bill)  # E
    Recorder(bus[stock_low]).answering(refill_dropping)  # E
    Recorder(bus[stock_low]).answering(refill_further)  # E
    Recorder(bus[stock_low]).answering(refill_demanding)  # E


def a_recorder_has_only_its_own_attributes(bus: Bus, order: Order) -> None:
    _names: list[str] = Recorder(bus[order_placed]).results  # E
    _other: Recorder[[Order], None] = Recorder(bus[order_placed])  # E
    Recorder(bus[order_placed]).calls[0].order  # E
    Recorder(bus[order_placed]).publish(order)  # E
    with Recorder(bus[order_placed]).answering(bill) as placed:
        placed.times("tea")  # E
        placed.order  # E


def a_recorder_with_results_needs_an_answer(bus: Bus, bound: BoundChannel[[Order], Receipt], ready: bool) -> None:
    with Recorder(bus[order_placed]):  # E
        pass
    with Recorder(bound) as _placed:  # E
        pass
    with Recorder(bus[order_cancelled]), Recorder(bus[quoted], priority=5):  # E
        pass
    recorder = Recorder(bus[quoted])
    recorder.times("tea")
    with recorder:  # E
        pass
    if ready:
        with recorder.answering(ask_demanding):  # E
            pass


counted = AsyncChannel[[str], int]("counted")


async def count(text: str) -> int:
    return len(text)


async def a_recorder_of_an_async_channel_has_its_types(bus: Bus) -> None:
    with Recorder(bus[counted]):  # E
        pass
    Recorder(bus[counted]).answering(str)  # E
    Recorder(bus[counted]).answering(count)  # E
    Recorder(bus[counted]).times(3)  # E


def other_objects_are_not_containers(shop: Shop) -> None:
    running(Bus)  # E
    with running(shop) as same:
        same.typo  # E


def a_clock_rejects_other_arguments(clock: FakeClock) -> None:
    FakeClock("now")  # E
    Bus(clock=FakeClock)  # E
    Bus(FakeClock())  # E
    clock.advance()  # E
    clock.advance("1")  # E
    clock.advance(1, 2)  # E
    clock.advance(1, sleepers=1.5)  # E
    clock.now = 3.0  # E
