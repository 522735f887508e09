"""
The pytest plugin: every test here runs pytest with tests of its own.

They run in this process, except for tests of imports and of several processes.
"""

from __future__ import annotations

import importlib
import pickle
import re
import subprocess
import sys

import pytest
from tests.testing.plugin_runs import OPTIONS, Run, text_of

# Loaded here, since what is loaded first in a run of pytest inside this process is forgotten with it.
import typedbus._container.running
import typedbus.pytest_plugin
from typedbus.pytest_plugin import LimitsMarkError, ListenersLeft, NoContainer, SignalsLeft, ThreadsLeft

pytest_plugins = ["pytester"]

SHOP = """
import threading

from typedbus import Bus, Channel, Component, Container, Limits, State, running

journal = []
ending = threading.Event()
order_placed = Channel[[str], None]("order_placed")


def note(sku):
    journal.append(sku)


class Noted:
    def __init__(self, name, fails=None):
        self.name, self.fails = name, fails

    def start(self):
        journal.append(f"start {self.name}")
        if self.fails == "start":
            raise OSError(f"no start of {self.name}")

    def stop(self):
        journal.append(f"stop {self.name}")
        if self.fails == "stop":
            raise OSError(f"no stop of {self.name}")


class Shop(Container):
    bus = Component(Bus)
    noted = Component(Noted, "shop")


class Other(Container):
    bus = Component(Bus)
    noted = Component(Noted, "other")


class Metrics(Container):
    noted = Component(Noted, "metrics")


class Stubborn(Container):
    bus = Component(Bus)
    noted = Component(Noted, "stubborn", fails="stop")


class Mulish(Container):
    bus = Component(Bus)
    noted = Component(Noted, "mulish", fails="stop")


class Broken(Container):
    bus = Component(Bus)
    noted = Component(Noted, "first")
    broken = Component(Noted, "broken", fails="start")


class Worker:
    def __init__(self, bus, *, ends=ending):
        self.bus, self.ends, self.stopping = bus, ends, threading.Event()

    def start(self):
        self.begin(self.stopping)

    def begin(self, until):
        self.thread = threading.Thread(target=until.wait, name="worker", daemon=True)
        self.bus.own(self.thread)
        self.thread.start()

    def stop(self):
        self.stopping.set()


class Site(Container):
    bus = Component(Bus)
    worker = Component(Worker, bus.provided)
"""


def own_frames(result: pytest.RunResult) -> list[str]:
    """Return the lines of *result* that name a place in the plugin, which are of no use to the reader."""
    if pytest.version_tuple < (9,) and "Exception Group" in text_of(result):
        return []  # it shows every frame of a group
    return re.findall(r".*pytest_plugin[/\\].*", text_of(result))


def test_a_container_runs_for_the_length_of_a_test(run: Run) -> None:
    """The fixture returns the same instance, started; it has exited before the next test."""
    result = run("""
shops = []


def test_it_runs(typedbus_running):
    shops.append(Shop())
    shop = typedbus_running(shops[0])
    assert shop is shops[0]
    assert shop.bus().state is State.STARTED


def test_it_ran():
    assert shops[0].bus().state is State.EXITED
    assert journal == ["start shop", "stop shop"]
""")

    result.assert_outcomes(passed=2)


def test_containers_exit_in_reverse_order(run: Run) -> None:
    """Several containers of a test."""
    result = run("""
def test_they_run(typedbus_running):
    typedbus_running(Shop())
    typedbus_running(Other())


def test_they_ran():
    assert journal == ["start shop", "start other", "stop other", "stop shop"]
""")

    result.assert_outcomes(passed=2)


def test_a_failing_test_exits_its_containers_too(run: Run) -> None:
    """The failure is the only error, also if pytest-timeout raises it from a signal."""
    result = run(
        """
def test_it_fails(typedbus_running):
    typedbus_running(Shop())
    raise LookupError("no such order")


def test_it_ran():
    assert journal == ["start shop", "stop shop"]
""",
        "-p",
        "pytest_timeout",
        "--timeout",
        "60",
    )

    result.assert_outcomes(passed=1, failed=1)


def test_an_interrupted_run_exits_its_containers_too(pytester: pytest.Pytester) -> None:
    """Ctrl-C ends the run of pytest after all containers have exited."""
    pytester.makepyfile(
        shop=SHOP,
        test_shop="""
from shop import *


def test_it_is_interrupted(typedbus_running):
    typedbus_running(Shop())
    typedbus_running(Other())
    raise KeyboardInterrupt


def test_it_goes_on(): ...
""",
        conftest="""
def pytest_unconfigure():
    from shop import journal

    print(journal)
""",
    )

    result = pytester.runpytest_inprocess(*OPTIONS, no_reraise_ctrlc=True)

    assert result.ret is pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*['start shop', 'start other', 'stop other', 'stop shop']*"])


def test_containers_share_a_bus_and_have_workers_and_limits(run: Run) -> None:
    """Further arguments are passed to `running`."""
    result = run("""
def test_they_run(typedbus_running):
    metrics, limits = Metrics(), Limits(stop=60)
    shop = typedbus_running(Shop(), metrics, workers=2, limits=limits)
    assert metrics.attach() is shop.bus()
    assert shop.bus().workers == 2
    assert shop.bus().limits is limits
""")

    result.assert_outcomes(passed=1)


def test_an_override_lasts_until_its_container_has_exited(run: Run) -> None:
    """Entered contexts and started containers end in reverse order, so that the replacement is stopped."""
    result = run("""
shop = Shop()


def test_it_runs_with_another(typedbus_running):
    fake = Noted("fake")
    assert typedbus_running.enter(shop.override(Shop.noted).by(fake)) is None
    assert typedbus_running(shop).noted() is fake


def test_it_ran():
    assert journal == ["start fake", "stop fake"]
    assert shop.noted().name == "shop"
""")

    result.assert_outcomes(passed=2)


def test_enter_returns_the_value_of_the_context(run: Run) -> None:
    """For example, a recorder; an exception of the context is raised in the test."""
    result = run("""
import contextlib


def test_it_enters(typedbus_running):
    assert typedbus_running.enter(contextlib.nullcontext(5)) == 5
    with pytest.raises(OSError, match="none"):
        typedbus_running.enter(open("none"))
    typedbus_running.enter(contextlib.closing(None))
""")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*AttributeError: 'NoneType' object has no attribute 'close'"])


def test_a_start_that_fails_is_raised_in_the_test(run: Run) -> None:
    """Started components have been stopped, and the teardown has no error."""
    result = run("""
def test_it_does_not_start(typedbus_running):
    broken = Broken()
    with pytest.raises(Exception) as raised:
        typedbus_running(broken)
    assert [str(failure.error) for failure in raised.value.failures] == ["no start of broken"]
    assert journal == ["start first", "start broken", "stop first"]
    assert broken.bus().state is State.EXITED
""")

    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("given", ["object", "5", "Shop(), None", "Shop, 2"])
def test_other_objects_are_refused(run: Run, given: str) -> None:
    """Before a component is started."""
    result = run(f"""
from typedbus.pytest_plugin import NoContainer


def test_it_is_refused(typedbus_running):
    with pytest.raises(NoContainer) as raised:
        typedbus_running({given})
    assert raised.value.given is ({given},)[-1]
    assert isinstance(raised.value, TypeError)


def test_nothing_was_started():
    assert journal == []
""")

    result.assert_outcomes(passed=2)


def test_classes_are_accepted_as_by_running(run: Run) -> None:
    """The test gets an instance of the first class."""
    result = run("""
def test_it_runs(typedbus_running):
    shop = typedbus_running(Shop, Metrics)
    assert type(shop) is Shop
    assert shop.bus().state is State.STARTED
""")

    result.assert_outcomes(passed=1)


@pytest.mark.parametrize("ended", ["stop", "exit"])
def test_a_test_may_end_its_bus(run: Run, ended: str) -> None:
    """After the test it has exited in each case, and no component is stopped twice."""
    result = run(f"""
shop = Shop()


def test_it_ends(typedbus_running):
    typedbus_running(shop).bus().{ended}()


def test_it_has_exited():
    assert shop.bus().state is State.EXITED
    assert journal == ["start shop", "stop shop"]
""")

    result.assert_outcomes(passed=2)


def test_a_container_can_be_started_again_in_a_test(run: Run) -> None:
    """After its exit it starts like any other, and exits once."""
    result = run("""
def test_it_runs_twice(typedbus_running):
    shop = typedbus_running(Shop())
    shop.bus().exit()
    typedbus_running(shop)


def test_it_ran_twice():
    assert journal == ["start shop", "stop shop"] * 2
""")

    result.assert_outcomes(passed=2)


def test_an_exit_that_fails_is_an_error_of_the_teardown(run: Run) -> None:
    """The test has passed, and the error has its parts."""
    result = run("""
def test_it_does_not_stop(typedbus_running):
    typedbus_running(Stubborn())
""")

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_it_does_not_stop*",
            "*TransitionFailures: listeners failed during the exit*Stubborn.noted.stop (stop)*",
            "*OSError: no stop of stubborn",
        ]
    )
    assert not own_frames(result)


@pytest.mark.parametrize("when", ["runs", "is to end"])
def test_a_failed_background_task_is_an_error_of_the_teardown(run: Run, when: str) -> None:
    """Also if the task raises during the stop."""
    result = run(f"""
from typedbus.plugins.monitor import BackgroundTask

begun, may_fail, failed = threading.Event(), threading.Event(), threading.Event()

def consume(stopping):
    begun.set()
    (stopping if "{when}" == "is to end" else may_fail).wait()
    failed.set()
    raise OSError("broker gone")

class Consuming(Container):
    bus = Component(Bus)
    consumer = Component(BackgroundTask, bus.provided, consume)

def test_it_runs(typedbus_running):
    typedbus_running(Consuming())
    assert begun.wait(10)
    if "{when}" == "runs":
        may_fail.set()
        assert failed.wait(10)
""")

    result.assert_outcomes(passed=1, errors=1)
    assert "OSError: broker gone" in text_of(result)


def test_all_failed_exits_are_reported(run: Run) -> None:
    """In a group, in the order in which they failed; the others exit as well."""
    result = run("""
def test_they_do_not_stop(typedbus_running):
    typedbus_running(Stubborn())
    typedbus_running(Shop())
    typedbus_running(Mulish())


def test_all_were_stopped():
    assert journal[3:] == ["stop mulish", "stop shop", "stop stubborn"]
""")

    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ExceptionGroup: the containers and contexts of the test failed at their end (2 sub-exceptions)",
            "*OSError: no stop of mulish",
            "*OSError: no stop of stubborn",
        ]
    )


def test_system_exit_in_a_stop_is_an_error_of_the_teardown(run: Run) -> None:
    """All components exit, and the run of pytest continues."""
    result = run("""
class Rude(Noted):
    def stop(self):
        raise SystemExit("enough")


class Inn(Container):
    bus = Component(Bus)
    rude = Component(Rude, "rude")


def test_they_run(typedbus_running):
    typedbus_running(Shop())
    typedbus_running(Inn())


def test_both_were_stopped():
    assert journal == ["start shop", "start rude", "stop shop"]
""")

    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*SystemExit: enough"])


def test_an_existing_bus_gets_its_own_limits_back(run: Run) -> None:
    """Neither a mark nor workers of a test apply to the next test."""
    result = run("""
shop = Shop()
own = shop.bus().limits


@pytest.mark.typedbus_limits(stop=60)
def test_it_has_other_limits(typedbus_running):
    typedbus_running(shop, workers=3)
    assert (shop.bus().limits.stop, shop.bus().workers) == (60, 3)


def test_it_has_its_own(typedbus_running):
    typedbus_running(shop)
    assert shop.bus().limits is own
    assert shop.bus().workers == 1
""")

    result.assert_outcomes(passed=2)


def test_a_thread_that_still_runs_is_reported_with_its_stack(run: Run) -> None:
    """The error of the test has the remedy; threads that ended or existed before are not reported."""
    result = run("""
def held():
    ending.wait()


before = threading.Thread(target=held, name="before")
before.start()


def test_it_leaves_a_thread(typedbus_running):
    threading.Thread(target=held, name="left").start()
    ended = threading.Thread(target=str, name="ended")
    ended.start()
    ended.join()


def test_it_goes_on(typedbus_running):
    ending.set()
    [thread.join() for thread in threading.enumerate() if thread.name in ("before", "left")]
""")

    result.assert_outcomes(passed=2, errors=1)
    assert "ThreadsLeft: the test left 1 thread(s) running; join each in the test, or" in text_of(result)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_it_leaves_a_thread*", "*thread 'left' is at:", "*in held"])
    assert not own_frames(result)


def test_an_abandoned_hook_is_reported_twice(run: Run) -> None:
    """As the failure of the exit, and as a thread that still runs."""
    result = run("""
class Hung:
    def stop(self):
        ending.wait()


class Inn(Container):
    bus = Component(Bus)
    hung = Component(Hung)


before = set(threading.enumerate())


@pytest.mark.typedbus_limits(hook=0.2)
def test_it_hangs(typedbus_running):
    typedbus_running(Inn())


def test_it_goes_on():
    ending.set()
    [thread.join() for thread in set(threading.enumerate()) - before]
""")

    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*(2 sub-exceptions)", "*ThreadsLeft: the test left 1 thread(s)*", "*HookTimeout: *"])


def test_a_thread_that_ends_shortly_after_the_test_is_no_leak(run: Run) -> None:
    """Closing a connection of aiosqlite, for example, ends a thread that cannot be joined."""
    result = run("""
def test_it_leaves_a_thread_that_ends(typedbus_leaks):
    threading.Timer(0.1, str).start()
""")

    result.assert_outcomes(passed=1)


def test_threads_of_the_bus_are_waited_for(run: Run) -> None:
    """As in `block`: such a thread is notified of the stop, and ends later."""
    result = run("""
class Slow(Worker):
    def start(self):
        self.begin_late()

    def begin_late(self):
        self.thread = threading.Thread(target=self.work, name="worker")
        self.bus.own(self.thread)
        self.thread.start()

    def work(self):
        self.bus.wait(State.EXITED)
        for turn in range(10_000):
            journal.append(turn)


class Inn(Container):
    bus = Component(Bus)
    slow = Component(Slow, bus.provided)


@pytest.mark.parametrize("turn", range(20))
def test_it_works(typedbus_running, turn):
    typedbus_running(Inn())
""")

    result.assert_outcomes(passed=20)


def test_the_thread_that_blocks_on_the_bus_is_waited_for(run: Run) -> None:
    """It continues when the bus exits, which is after the test."""
    result = run("""
def work(bus):
    bus.block()
    for turn in range(10_000):
        journal.append(turn)


@pytest.mark.parametrize("turn", range(20))
def test_it_blocks(typedbus_running, turn):
    shop = typedbus_running(Shop())
    requested = threading.Event()
    shop.bus().request(requested.set)
    threading.Thread(target=work, args=[shop.bus()]).start()
    assert requested.wait(10)
""")

    result.assert_outcomes(passed=20)


@pytest.mark.exhaustive
def test_a_thread_of_the_bus_that_does_not_end_is_reported(run: Run) -> None:
    """After the same time as in `block`."""
    result = run("""
class Deaf(Worker):
    def start(self):
        self.begin(ending)


class Inn(Container):
    bus = Component(Bus)
    deaf = Component(Deaf, bus.provided)


def test_it_works(typedbus_running):
    typedbus_running(Inn())


def test_it_goes_on():
    ending.set()
    [thread.join() for thread in threading.enumerate() if thread.name == "worker"]
""")

    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*thread 'worker' is at:"])


def test_threads_and_handlers_of_wider_fixtures_are_not_leaks(run: Run) -> None:
    """Wider fixtures are set up before the check and torn down after it, as are other fixtures of the test."""
    result = run("""
def held(name):
    ending = threading.Event()
    thread = threading.Thread(target=ending.wait)
    thread.start()
    yield
    ending.set()
    thread.join()


@pytest.fixture(scope="module")
def module():
    yield from held("module")


@pytest.fixture
def own():
    yield from held("own")


@pytest.fixture
def site(typedbus_running):
    yield from held("site")


def test_it_uses_them(own, site, typedbus_running, module):
    pass


def test_it_uses_them_in_another_order(typedbus_running, own, module):
    pass
""")

    result.assert_outcomes(passed=2)


def test_threads_of_a_bus_that_outlives_the_test_are_not_leaks(run: Run) -> None:
    """A container of a wider fixture may start threads in a test if its bus owns them."""
    result = run("""
@pytest.fixture(scope="module")
def site():
    with running(Site()) as site:
        yield site
        ending.set()


def test_it_works(typedbus_running, site):
    site.worker().begin(ending)


def test_it_runs(site):
    assert [thread for thread in threading.enumerate() if thread.name == "worker"]
""")

    result.assert_outcomes(passed=2)


WIDER = """
@pytest.fixture(scope="{scope}")
def shop():
    with running(Shop()) as shop:
        yield shop{given}


class TestShop:
    def test_it_leaves_a_listener(self, typedbus_running, shop):
        bus = shop if isinstance(shop, Bus) else shop.bus()
        bus[order_placed].subscribe(note)
        with bus[order_placed].subscribe(journal.append):
            pass
"""


@pytest.mark.parametrize("given", ["", ".bus()"], ids=["container", "bus"])
@pytest.mark.parametrize("scope", ["class", "module", "session"])
def test_a_listener_on_a_bus_that_outlives_the_test_is_reported(run: Run, scope: str, given: str) -> None:
    """With its channel and place, if a wider fixture returns the container or the bus."""
    result = run(WIDER.format(scope=scope, given=given))

    result.assert_outcomes(passed=1, errors=1)
    assert (
        "ListenersLeft: the test left 1 listener(s) or watcher(s) on a bus that outlives it; end each with a block, "
        in text_of(result)
    )
    result.stdout.re_match_lines([r".*shop\.note on 'order_placed' \(.*shop\.py:\d+\)"])
    assert "append" not in text_of(result)


def test_a_watcher_on_a_bus_that_outlives_the_test_is_reported(run: Run) -> None:
    """Watchers of one channel and of all channels are reported, unless they watched before the test."""
    result = run("""
@pytest.fixture(scope="module")
def bus():
    bus = Bus()
    bus.watch(journal.append)
    return bus


def test_it_leaves_watchers(typedbus_leaks, bus):
    bus[order_placed].watch(note)
    bus.watch(note)
    with bus.watch(note):
        pass
""")

    result.assert_outcomes(passed=1, errors=1)
    assert "ListenersLeft: the test left 2 listener(s) or watcher(s) on a bus that outlives it" in text_of(result)
    result.stdout.re_match_lines(
        [
            r".*shop\.note on 'all channels' \(.*shop\.py:\d+\)",
            r".*shop\.note on 'order_placed' \(.*shop\.py:\d+\)",
        ]
    )
    assert "append" not in text_of(result)


def test_listeners_on_the_bus_of_the_test_end_with_it(run: Run) -> None:
    """They are not leaks."""
    result = run(
        WIDER.format(scope="function", given="")
        + """

def test_it_leaves_a_listener_as_well(typedbus_running):
    typedbus_running(Shop()).bus()[order_placed].subscribe(note)
"""
    )

    result.assert_outcomes(passed=2)


def test_a_container_of_an_earlier_test_outlives_the_next_test(run: Run) -> None:
    """Listeners that are added to it later are reported."""
    result = run("""
shop = Shop()


def test_it_runs(typedbus_running):
    typedbus_running(shop)


def test_it_leaves_a_listener(typedbus_running):
    typedbus_running(shop).bus()[order_placed].subscribe(note)


def test_another_container_leaves_its_bus(typedbus_running):
    typedbus_running(shop, Metrics())


def test_it_leaves_nothing(typedbus_running):
    typedbus_running(shop)
""")

    result.assert_outcomes(passed=4, errors=1)
    result.stdout.fnmatch_lines(["*shop.note on 'order_placed'*"])


def test_components_of_a_restarted_container_are_not_leaks(run: Run) -> None:
    """On a bus of a wider fixture as well, they are subscribed and unsubscribed with each run."""
    result = run("""
@pytest.fixture(scope="module")
def shop():
    return Shop()


@pytest.fixture(scope="module")
def bus():
    return Bus()


@pytest.fixture(scope="module")
def other(bus):
    return Other()


@pytest.mark.parametrize("turn", [1, 2])
def test_it_is_started(typedbus_running, shop, turn):
    typedbus_running(shop)


@pytest.mark.parametrize("turn", [1, 2])
def test_it_is_started_on_a_wider_bus(typedbus_running, bus, other, turn):
    other.attach(bus)
    typedbus_running(other)
""")

    result.assert_outcomes(passed=4)


def test_values_of_wider_fixtures_are_checked_without_isinstance(run: Run) -> None:
    """A proxy may have no object yet, and a mock claims to be a bus."""
    result = run("""
from unittest import mock


class Proxy:
    @property
    def __class__(self):
        raise RuntimeError("outside of a request")


@pytest.fixture(scope="module", params=[Proxy, lambda: mock.Mock(spec=Bus), lambda: mock.Mock(spec=Shop)])
def wider(request):
    return request.param()


def test_it_uses_them(wider, typedbus_running):
    pass


def test_it_uses_them_again(wider, typedbus_running):
    typedbus_running(Shop())
""")

    result.assert_outcomes(passed=6)


def test_other_plugins_receive_the_value_of_a_fixture(run: Run, pytester: pytest.Pytester) -> None:
    """A hook wrapper around that of the plugin gets the value."""
    pytester.makeconftest("""
import pytest
from shop import journal


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_fixture_setup():
    value = yield
    journal.append(value)
    return value
""")

    result = run("""
@pytest.fixture
def five():
    return 5


def test_it(five):
    assert journal == [5]
""")

    result.assert_outcomes(passed=1)


def test_a_changed_signal_handler_is_reported(run: Run) -> None:
    """With the old and the new handler; a test that restores it has no error."""
    result = run("""
import signal


def handle(number, frame): ...


def test_it_takes_a_signal(typedbus_running):
    signal.signal(signal.SIGTERM, handle)


def test_it_takes_and_puts_back(typedbus_running):
    before = signal.signal(signal.SIGINT, handle)
    signal.signal(signal.SIGINT, before)


def test_it_puts_back():
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
""")

    result.assert_outcomes(passed=3, errors=1)
    assert "SignalsLeft: the test left 1 signal handler(s) changed; " in text_of(result)
    result.stdout.fnmatch_lines(["*SIGTERM was SIG_DFL, and is <function handle at *>"])


def test_all_leaks_of_a_test_are_reported(run: Run) -> None:
    """Threads, signal handlers and listeners."""
    result = run("""
import signal


@pytest.fixture(scope="module")
def shop():
    with running(Shop()) as shop:
        yield shop


def test_it_leaves_everything(typedbus_running, shop):
    shop.bus()[order_placed].subscribe(note)
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    threading.Thread(target=ending.wait, name="left").start()


def test_it_cleans_up():
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ending.set()
    [thread.join() for thread in threading.enumerate() if thread.name == "left"]
""")

    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ExceptionGroup: the test left several leaks (3 sub-exceptions)",
            "*ThreadsLeft: *",
            "*ListenersLeft: *",
            "*SignalsLeft: *",
        ]
    )
    assert not own_frames(result)


LEAKING = """
import unittest


def leave():
    threading.Thread(target=ending.wait, name="left").start()


def test_it_leaves_a_thread():
    leave()


class OldTest(unittest.TestCase):
    def test_it_leaves_a_thread(self):
        leave()


def test_it_goes_on():
    ending.set()
    [thread.join() for thread in threading.enumerate() if thread.name == "left"]
"""


def test_leaks_are_checked_only_on_request(run: Run) -> None:
    """A test that does not use the fixture is not checked."""
    run(LEAKING).assert_outcomes(passed=3)


def test_the_option_checks_every_test(run: Run, pytester: pytest.Pytester) -> None:
    """Also those of unittest."""
    pytester.makeini("[pytest]\ntypedbus_leaks = true")

    run(LEAKING).assert_outcomes(passed=3, errors=2)


def test_the_leak_fixture_checks_one_test(run: Run) -> None:
    """For tests that start no container, or start it without the fixture."""
    result = run("""
@pytest.mark.usefixtures("typedbus_leaks")
def test_it_leaves_a_thread():
    threading.Thread(target=ending.wait, name="left").start()


def test_it_goes_on():
    ending.set()
    [thread.join() for thread in threading.enumerate() if thread.name == "left"]
""")

    result.assert_outcomes(passed=2, errors=1)


def test_the_nearest_mark_defines_the_limits(run: Run) -> None:
    """All of them; a limit that is passed in the call has precedence."""
    result = run(
        """
pytestmark = pytest.mark.typedbus_limits(start=60, stop=60)


def limits_of(shop):
    limits = shop.bus().limits
    return limits.hook, limits.start, limits.stop, limits.rollback, limits.exit


def test_that_of_the_module(typedbus_running):
    assert limits_of(typedbus_running(Shop())) == (None, 60, 60, None, None)


@pytest.mark.typedbus_limits(hook=1, rollback=30, exit=20.5)
def test_its_own(typedbus_running):
    assert limits_of(typedbus_running(Shop())) == (1, None, None, 30, 20.5)


@pytest.mark.typedbus_limits()
def test_none(typedbus_running):
    assert limits_of(typedbus_running(Shop())) == (None,) * 5


def test_that_of_the_call(typedbus_running):
    assert limits_of(typedbus_running(Shop(), limits=Limits(hook=5))) == (5, None, None, None, None)
    assert limits_of(typedbus_running(Shop())) == (None, 60, 60, None, None)
""",
        "--strict-markers",
        "--strict-config",
    )

    result.assert_outcomes(passed=4)


@pytest.mark.parametrize(
    ("mark", "reason"),
    [
        ("1.0", "1.0 has no name: give seconds for hook, start, stop, rollback, exit, by name"),
        ("strat=1", "there is no limit 'strat': give seconds for hook, start, stop, rollback, exit, by name"),
        ("stop=0", "0 is not a time limit for stop: give a number of seconds above 0, or None for no limit"),
    ],
)
def test_an_invalid_mark_is_an_error_of_the_collection(run: Run, mark: str, reason: str) -> None:
    """It names the test, which does not run."""
    result = run(f"""
@pytest.mark.parametrize("turn", [1, pytest.param(2, marks=pytest.mark.typedbus_limits({mark}))])
def test_it(turn):
    pass
""")

    result.assert_outcomes(errors=1)
    assert result.ret is pytest.ExitCode.INTERRUPTED
    assert f"LimitsMarkError: test_shop.py::test_it[2] is marked typedbus_limits, but {reason}" in text_of(result)
    assert not own_frames(result)


def test_mark_option_and_fixtures_are_listed(run: Run) -> None:
    """In the output of --markers, --fixtures and --help."""
    listed = text_of(run("", "--markers")) + text_of(run("", "--fixtures")) + text_of(run("", "--help"))

    assert "@pytest.mark.typedbus_limits(hook=None, start=None, stop=None, rollback=None, exit=None): " in listed
    assert "typedbus_running -- " in listed
    assert "typedbus_leaks -- " in listed
    assert "typedbus_leaks (bool):" in listed


def test_async_tests_can_use_the_fixtures(run: Run, pytester: pytest.Pytester) -> None:
    """Threads and signal handlers of the plugin that runs them are not leaks."""
    try:
        importlib.import_module("anyio.pytest_plugin")
    except pytest.PytestWarning as deprecation:
        pytest.skip(f"this version of anyio does not load without warnings: {deprecation}")
    pytester.makeini("[pytest]\ntypedbus_leaks = true")

    result = run(
        """
import asyncio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.mark.anyio
async def test_it_runs(typedbus_running):
    shop = typedbus_running(Shop())
    assert shop.bus().state is State.STARTED
    assert await asyncio.to_thread(lambda: shop.bus().state) is State.STARTED
""",
        "-p",
        "anyio",
    )

    result.assert_outcomes(passed=1)


@pytest.mark.slow
def test_tests_can_run_in_several_processes(run: Run, pytester: pytest.Pytester) -> None:
    """With xdist, each process checks its own tests."""
    pytester.makeini("[pytest]\ntypedbus_leaks = true")
    pytester.makepyfile(
        test_shop="""
import threading

import pytest
from shop import *


@pytest.mark.parametrize("turn", range(4))
def test_it_runs(typedbus_running, turn):
    typedbus_running(Shop())


def test_it_leaves_a_thread():
    threading.Thread(target=threading.Event().wait, name="left", daemon=True).start()
"""
    )

    result = pytester.runpytest_subprocess(*OPTIONS, "-p", "xdist", "-n", "2")

    result.assert_outcomes(passed=5, errors=1)


def imported(*programs: str) -> list[set[str]]:
    """Return the modules that each of *programs* has imported at its end, each in its own process."""
    scripts = [f"import sys\n{program}\nprint(*sys.modules)" for program in programs]
    ended = [subprocess.run([sys.executable, "-c", script], capture_output=True, check=True) for script in scripts]
    return [set(one.stdout.decode().splitlines()[-1].split()) for one in ended]


@pytest.mark.slow
def test_the_plugin_imports_only_what_the_package_imports() -> None:
    """Every run of pytest loads it: it imports neither the container library nor `typedbus.testing`."""
    alone, plugin = imported("import pytest, typedbus", "import pytest, typedbus.pytest_plugin")

    own = {f"typedbus.pytest_plugin{module}" for module in ("", "._leaks", "._runs", "._scopes")}
    assert plugin - alone == own


@pytest.mark.slow
def test_a_run_without_containers_imports_no_container_library(pytester: pytest.Pytester) -> None:
    """Neither the check for leaks nor a wider fixture imports it."""
    pytester.makeini("[pytest]\ntypedbus_leaks = true")
    test = """
import sys

import pytest


@pytest.fixture(scope="module")
def wide():
    return 1


def test_it(wide):
    assert not [name for name in sys.modules if "dependency_injector" in name or name == "typedbus._container.container"]
"""
    pytester.makepyfile(test_it=test)

    result = pytester.runpytest_subprocess(*OPTIONS)

    result.assert_outcomes(passed=1)


@pytest.mark.slow
def test_typedbus_works_without_pytest() -> None:
    """No other module imports the plugin, whose error names the missing package."""
    program = "import typedbus, typedbus.testing, typedbus.process, typedbus.graph"
    (names,) = imported(program)

    assert "pytest" not in names
    with_none = [sys.executable, "-c", "import sys; sys.modules['pytest'] = None; import typedbus.pytest_plugin"]
    ended = subprocess.run(with_none, capture_output=True, text=True, check=False)
    assert "ModuleNotFoundError: import of pytest halted" in ended.stderr


@pytest.mark.parametrize(
    "error",
    [
        ThreadsLeft((("import", "at work"),)),
        ListenersLeft((("audit", "order_placed", "shop.py:5"),)),
        SignalsLeft((("SIGTERM", "SIG_DFL", "reload"),)),
        NoContainer(5, "an int is not a container"),
        LimitsMarkError("test_shop.py::test_it", "there is no limit 'begin'"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_can_be_pickled(error: Exception) -> None:
    """With all of their attributes."""
    there = pickle.loads(pickle.dumps(error))

    assert type(there) is type(error)
    assert str(there) == str(error)
    assert vars(there) == vars(error)


def test_every_public_name_exists() -> None:
    """With a docstring."""
    for name in typedbus.pytest_plugin.__all__:
        value = getattr(typedbus.pytest_plugin, name)
        assert vars(value)["__doc__"] if isinstance(value, type) else value.__doc__
