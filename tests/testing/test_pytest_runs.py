"""The pytest plugin and the runs of containers: each test here runs pytest on a test file."""

from __future__ import annotations

import pickle

import pytest
from tests.testing.plugin_runs import AUTO, Run, text_of

# Imported here: modules that a nested run of pytest imports are removed from `sys.modules` at its end.
import typedbus._base.restart
import typedbus._bus.async_methods
import typedbus._bus.runs.supervisor
import typedbus._container.running
import typedbus.pytest_plugin

pytest_plugins = ["pytester"]

SHOP = """
import threading

from typedbus import RUN, RUNS, Bus, Component, Container, Limits, Restart, State, on
from typedbus.events import RunBroke, RunGaveUp

QUICK = Restart(first=0.001, jitter=0.0)
released = threading.Event()


class Consumer:
    may_break = threading.Event()

    def __init__(self, *errors):
        self.errors = list(errors)

    @on(RUN)
    def consume(self, stopping):
        self.may_break.wait()
        if self.errors:
            raise self.errors.pop(0)
        stopping.wait()


class Shop(Container):
    bus = Component(Bus)
    consumer = Component(Consumer, OSError("broker gone"), OSError("still gone")).supervised(QUICK)


class Loader(Container):
    bus = Component(Bus)
    loader = Component(Consumer, ValueError("no data"))


def is_published(bus, kind):
    published = threading.Event()
    bus[RUNS].subscribe(lambda event: published.set() if isinstance(event, kind) else None)
    return published


def run_until(typedbus_running, container, kind):
    published = is_published(container.attach(), kind)
    # An exit that is requested before the start has returned would cancel it.
    Consumer.may_break.clear()
    typedbus_running(container)
    Consumer.may_break.set()
    assert published.wait(10)
"""


def test_a_run_that_broke_is_an_error_of_the_teardown(run: Run) -> None:
    """The error has the path of the run, its errors and their tracebacks, although the run works again."""
    result = run("""
from typedbus.events import RunBegan


def test_it_runs(typedbus_running):
    shop, begun = Shop(), threading.Event()
    shop.attach()[RUNS].subscribe(lambda event: begun.set() if event == RunBegan("Shop.consumer", 3) else None)
    Consumer.may_break.set()
    typedbus_running(shop)
    assert begun.wait(10)
""")

    result.assert_outcomes(passed=1, errors=1)
    text = text_of(result)
    assert (
        "RunsBroke: runs broke 2 time(s) in the test; correct them, or mark the test "
        "@pytest.mark.typedbus_may_break('Shop.consumer')" in text
    )
    assert text.count("run 'Shop.consumer' raised:") == 2
    result.stdout.fnmatch_lines(["*in consume*", "*OSError: broker gone", "*OSError: still gone"])


def test_an_error_without_a_text_is_reported_as_well(run: Run) -> None:
    """The report has the class of the error."""
    result = run("""
class Mute(OSError):
    def __repr__(self):
        raise ValueError

    __str__ = __repr__


class Site(Container):
    bus = Component(Bus)
    consumer = Component(Consumer, Mute()).supervised(QUICK)


def test_it_breaks(typedbus_running):
    run_until(typedbus_running, Site(), RunBroke)
""")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*RunsBroke: runs broke 1 time(s)*", "*run 'Site.consumer' raised:", "*Mute: <exception str() failed>"]
    )


def test_the_mark_allows_runs_to_break(run: Run) -> None:
    """A mark without paths allows all runs, a mark with paths those of the named components and containers."""
    result = run("""
@pytest.mark.typedbus_may_break
def test_all(typedbus_running):
    run_until(typedbus_running, Shop(), RunBroke)


@pytest.mark.typedbus_may_break("Other.consumer", "Shop.consumer")
def test_component(typedbus_running):
    run_until(typedbus_running, Shop(), RunBroke)


@pytest.mark.typedbus_may_break("Shop")
@pytest.mark.typedbus_may_break("Other")
def test_container(typedbus_running):
    run_until(typedbus_running, Shop(), RunBroke)


@pytest.mark.typedbus_may_break("Shop.con")
def test_other(typedbus_running):
    run_until(typedbus_running, Shop(), RunBroke)
""")

    result.assert_outcomes(passed=4, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_other*"])


def test_runs_on_the_loop_of_the_test_may_not_break_either(run: Run) -> None:
    """The block of `on_loop` raises the error at its end, unless the mark allows it."""
    result = run(
        """
import asyncio


async def broken(typedbus_running):
    Consumer.may_break.set()
    shop = Shop()
    published = is_published(shop.attach(), RunBroke)
    async with typedbus_running.on_loop(shop):
        assert await asyncio.to_thread(published.wait, 10)


async def test_it(typedbus_running):
    await broken(typedbus_running)


@pytest.mark.typedbus_may_break("Shop.consumer")
async def test_it_may(typedbus_running):
    await broken(typedbus_running)
""",
        *AUTO,
    )

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*RunsBroke: runs broke *", "FAILED*::test_it - *"])


def test_a_run_that_gives_up_is_reported_once(run: Run) -> None:
    """The cause of the exit has the error of the run, so there is no `RunsBroke`."""
    result = run("""
def test_it_fails(typedbus_running):
    run_until(typedbus_running, Loader(), RunGaveUp)
""")

    result.assert_outcomes(passed=1, errors=1)
    text = text_of(result)
    assert "RunsBroke" not in text
    assert text.count("ValueError: no data") == 1
    result.stdout.fnmatch_lines(["*RunFailed: run Loader.loader failed with ValueError('no data')"])


def test_errors_before_a_run_gives_up_are_reported_with_the_last(run: Run) -> None:
    """The earlier errors of the window are in the report of the last error, without tracebacks."""
    result = run("""
class Shop(Container):
    bus = Component(Bus)
    consumer = Component(Consumer, OSError("1st"), OSError("2nd")).supervised(Restart(most=1, first=0.001, jitter=0.0))


def test_it_fails(typedbus_running):
    run_until(typedbus_running, Shop(), RunGaveUp)
""")

    result.assert_outcomes(passed=1, errors=1)
    assert "RunsBroke" not in text_of(result)
    result.stdout.fnmatch_lines(["*RunFailed: run Shop.consumer failed after 2 calls*"])


def test_a_run_without_which_the_bus_goes_on_is_reported(run: Run) -> None:
    """The only error is the `RunsBroke`."""
    result = run("""
class Site(Container):
    bus = Component(Bus)
    loader = Component(Consumer, ValueError("no data")).supervised(Restart("never", then="unready"))


def test_it_goes_on(typedbus_running):
    site = Site()
    run_until(typedbus_running, site, RunGaveUp)
    assert site.bus().state is State.STARTED
""")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*RunsBroke: runs broke 1 time(s)*", "*ValueError: no data"])


def test_the_mark_allows_a_run_to_end_the_bus(run: Run) -> None:
    """The teardown does not raise the cause of the exit, but raises another failure of the exit."""
    result = run("""
class Stubborn:
    def stop(self):
        raise LookupError("no way")


class Site(Loader):
    stubborn = Component(Stubborn)


@pytest.mark.typedbus_may_break("Loader.loader")
def test_it_fails(typedbus_running):
    run_until(typedbus_running, Loader(), RunGaveUp)


@pytest.mark.typedbus_may_break
def test_it_fails_to_stop(typedbus_running):
    run_until(typedbus_running, Site(), RunGaveUp)
""")

    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_it_fails_to_stop*", "*LookupError: no way*"])
    assert "ValueError" not in text_of(result)


def test_the_mark_allows_a_run_to_fail_when_it_must_end(run: Run) -> None:
    """The teardown raises the failures of other components in the same stop."""
    result = run("""
class Careless:
    @on(RUN, awaited=True)  # a run that a stop comes before does not begin
    def consume(self, stopping):
        stopping.ready()
        stopping.wait()
        raise ValueError("no end")


class Stubborn:
    def stop(self):
        raise LookupError("no way")


class Site(Container):
    bus = Component(Bus)
    careless = Component(Careless)


class Other(Site):
    stubborn = Component(Stubborn)


def test_it_fails(typedbus_running):
    typedbus_running(Site())


@pytest.mark.typedbus_may_break("Site.careless")
def test_it_may_fail(typedbus_running):
    typedbus_running(Site())


@pytest.mark.typedbus_may_break
def test_others_may_not(typedbus_running):
    typedbus_running(Other())
""")

    result.assert_outcomes(passed=3, errors=2)
    text = text_of(result)
    assert "RunsBroke" not in text
    first, second = text.split("ERROR at teardown of ")[1:]
    assert first.startswith("test_it_fails")
    assert "ValueError: no end" in first
    assert second.startswith("test_others_may_not")
    assert "LookupError: no way" in second
    assert "ValueError: no end" not in second


def test_a_run_that_fails_the_start_fails_the_test_in_spite_of_the_mark(run: Run) -> None:
    """The mark does not apply to a failed start, since the test cannot begin."""
    result = run("""
class Feed:
    @on(RUN, awaited=True)
    def follow(self, stopping):
        raise OSError("no line")


class Site(Container):
    bus = Component(Bus)
    feed = Component(Feed)


@pytest.mark.typedbus_may_break
def test_it_does_not_start(typedbus_running):
    typedbus_running(Site())
""")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*TransitionFailures: the start failed*"])


def test_a_failed_start_reports_its_run_once(run: Run) -> None:
    """The failure of an awaited run is the failure of the start, and no `RunsBroke`."""
    result = run("""
from typedbus import TransitionFailures


class Feed:
    @on(RUN, awaited=True)
    def follow(self, stopping):
        raise OSError("no line")


class Site(Container):
    bus = Component(Bus)
    feed = Component(Feed)


def test_it_does_not_start(typedbus_running):
    with pytest.raises(TransitionFailures):
        typedbus_running(Site())
""")

    result.assert_outcomes(passed=1)


def test_a_run_that_does_not_end_is_reported_by_its_path(run: Run) -> None:
    """The error has the stack of the run; its thread is not reported a second time."""
    result = run("""
from typedbus import TransitionFailures, running


class Hung:
    @on(RUN, limit=0.01)
    def first(self, stopping):
        begun.set()
        held()

    @on(RUN)
    def second(self, stopping):
        stopping.wait()


begun = threading.Event()  # a run that a stop comes before does not begin


def held():
    released.wait()


class Inn(Container):
    bus = Component(Bus)
    hung = Component(Hung)


before = set(threading.enumerate())


def test_it_hangs(typedbus_leaks):
    with pytest.raises(TransitionFailures), running(Inn()):
        begun.wait(60)


def test_it_goes_on():
    released.set()
    [thread.join() for thread in set(threading.enumerate()) - before]
""")

    result.assert_outcomes(passed=2, errors=1)
    text = text_of(result)
    assert "ThreadsLeft" not in text
    assert (
        "RunsLeft: the test left 1 run(s) running; make each return soon after its `stopping` argument is set, for "
        "example by waiting with stopping.wait(seconds)" in text
    )
    result.stdout.fnmatch_lines(["*run 'Inn.hung.first' is at:*", "*in held*"])


def test_a_task_of_a_run_that_does_not_end_is_reported_by_its_path(run: Run) -> None:
    """The task is reported although the event loop of its bus ends."""
    result = run("""
import asyncio

from typedbus import TransitionFailures, running


begun = threading.Event()


class Hung:
    @on(RUN, limit=0.01)
    async def follow(self, stopping):
        begun.set()
        while not released.is_set():
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass


class Inn(Container):
    bus = Component(Bus)
    hung = Component(Hung)


def test_it_hangs(typedbus_leaks):
    async def main():
        with pytest.raises(TransitionFailures):
            async with running(Inn()):
                await asyncio.to_thread(begun.wait, 60)
        released.set()

    asyncio.run(main())
""")

    result.assert_outcomes(passed=1, errors=1)
    text = text_of(result)
    assert "TasksLeft" not in text
    assert "RunsLeft: the test left 1 run(s) running; " in text
    result.stdout.fnmatch_lines(["*run 'Inn.hung' is at:*", "*in follow*"])


@pytest.mark.parametrize(
    ("arguments", "given"), [("5", "5"), ("'Shop.consumer', None", "None"), ("path='Shop'", "path='Shop'")]
)
def test_an_invalid_mark_is_refused(run: Run, arguments: str, given: str) -> None:
    """The collection fails, and the test does not run."""
    result = run(f"""
@pytest.mark.typedbus_may_break({arguments})
def test_it(typedbus_running): ...
""")

    result.assert_outcomes(errors=1)
    text = (
        f"MayBreakMarkError: test_shop.py::test_it is marked typedbus_may_break, but {given} is not the path of a run "
        "or a component; give texts such as 'Shop.consumer', or no argument for all runs"
    )
    assert text in text_of(result)


@pytest.mark.parametrize(
    "error",
    [
        typedbus.pytest_plugin.RunsBroke((("Shop.consumer", "OSError('gone')", "Traceback ..."),)),
        typedbus.pytest_plugin.RunsLeft((("Shop.consumer", "at work"),)),
        typedbus.pytest_plugin.MayBreakMarkError("test_shop.py::test_it", "5"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_can_be_pickled(error: Exception) -> None:
    """The copies have all attributes."""
    there = pickle.loads(pickle.dumps(error))

    assert type(there) is type(error)
    assert str(there) == str(error)
    assert vars(there) == vars(error)
