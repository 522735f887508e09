"""Valid uses of recorders and fake clocks."""

from collections.abc import Iterator
from typing import ParamSpec, assert_type

from declared import Order, Receipt, Shop, audited, closed, order_cancelled, order_placed, quoted, stock_low

from listeners import ask, bill, bill_anything, either, note_and_bill
from typedbus import LOG, AsyncChannel, BoundChannel, Bus, State
from typedbus.events import LIFECYCLE, LifecycleEvent, Moved, RunBroke, RunEvent, RunReady
from typedbus.testing import Call, FakeClock, NoRunEvent, Recorder, RunRecorder, running

Args = ParamSpec("Args")


def a_recorder_has_the_types_of_its_channel(bus: Bus, bound: BoundChannel[[Order], Receipt]) -> None:
    assert_type(Recorder(bus[order_placed]), Recorder[[Order], Receipt])
    assert_type(Recorder(bound, priority=5), Recorder[[Order], Receipt])
    assert_type(Recorder(bus[order_cancelled]), Recorder[[Order], None])
    assert_type(Recorder(bus[closed]), Recorder[[], None])


def a_recorder_counts_publishes(bus: Bus, order: Order) -> None:
    asked = Recorder(bus[quoted])
    with Recorder(bus[stock_low]) as lows, Recorder(bus[order_cancelled]) as cancelled, asked.answering(ask):
        assert_type(lows.times("tea", left=2), int)
        assert_type(cancelled.times(order), int)
        lows.times("tea")
        asked.times(sku="tea", count=2)
        asked.times("tea", 2)
    with Recorder(bus[audited]) as audits:
        audits.times("tea", "sold", count=3)
        audits.times()


def a_recorder_answers(bus: Bus, order: Order) -> None:
    recorder = Recorder(bus[order_placed]).answering(bill)
    kept: Recorder[[Order], Receipt] = recorder
    assert_type(kept.times(order), int)
    recorder.answering(bill_anything).answering(either).answering(note_and_bill)
    recorder.answering(lambda order: Receipt(len(order.sku)))
    with recorder as placed:
        assert_type(placed.times(order), int)
        assert_type(placed.results, list[Receipt])
        assert_type(placed.calls, list[Call])
        assert_type(placed.calls[0].args, tuple[object, ...])


def a_recorder_without_results_can_have_an_answer(bus: Bus, order: Order) -> None:
    with Recorder(bus[order_cancelled]).answering(lambda order: print(order.sku)) as cancelled:
        assert_type(cancelled.times(order), int)
        assert_type(cancelled.results, list[None])
    with Recorder(bus[stock_low]) as lows, Recorder(bus[quoted]).answering(ask) as asked:
        assert_type(lows.times("tea", left=2), int)
        assert_type(asked.results, list[float])


def recorders_of_a_test(placed: BoundChannel[[Order], Receipt]) -> Iterator[Recorder[[Order], Receipt]]:
    with Recorder(placed).answering(bill) as placements:
        yield placements


class Cancellations(Recorder[[Order], None]):
    """A recorder of one channel."""


def a_recorder_can_be_subclassed(bus: Bus) -> None:
    with Cancellations(bus[order_cancelled]) as cancelled:
        assert_type(cancelled, Cancellations)


counted = AsyncChannel[[str], int]("counted")
saved = AsyncChannel[[str], None]("saved")


async def a_recorder_listens_to_an_async_channel(bus: Bus) -> None:
    with Recorder(bus[saved]) as saves, Recorder(bus[counted]).answering(len) as counts:
        assert_type(await bus[counted].publish("tea"), list[int])
        assert_type(counts.results, list[int])
        assert_type(saves.times("tea"), int)
    assert_type(Recorder(bus[counted]), Recorder[[str], int])


def any_recorder(bound: BoundChannel[Args, None]) -> Recorder[Args, None]:
    with Recorder(bound) as recorder:
        return recorder


def a_recorder_records_the_life_cycle(bus: Bus) -> None:
    with Recorder(bus[LIFECYCLE]) as told, Recorder(bus[LOG]) as said:
        assert_type(told, Recorder[[LifecycleEvent], None])
        assert_type(told.times(Moved(State.STOPPED, State.STARTING)), int)
        assert_type(said.times("open", 20), int)


def a_container_runs_for_a_block() -> None:
    with running(Shop()) as shop, Recorder(shop.bus()[order_placed]).answering(bill) as placed:
        assert_type(shop, Shop)
        assert_type(placed.times(Order("tea")), int)


def an_event_of_a_run_is_awaited(shop: Shop) -> None:
    with RunRecorder(shop.bus()) as runs:
        assert_type(runs, RunRecorder)
        assert_type(runs.wait(RunReady), RunReady)
        try:
            assert_type(runs.wait(RunBroke, "Shop.consumer", patience=5).delay, float)
        except NoRunEvent as error:
            assert_type((error.kind, error.events), tuple[str, tuple[str, ...]])
        assert_type(runs.events, list[RunEvent])


def a_clock_advances_on_request() -> None:
    clock = FakeClock(3)
    bus = Bus(clock=clock)
    clock.advance(1)
    clock.advance(0.5, sleepers=2, patience=1.0)
    assert_type(clock.now(), float)
    assert_type(bus.state, State)
