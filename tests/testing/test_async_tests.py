"""Async tests of applications, under pytest-asyncio and under anyio: the documented recipes, loop scopes, and leaked tasks."""

from __future__ import annotations

import importlib.util
import re
import sys

import pytest
from tests.testing.plugin_runs import ANYIO, ASYNCIO, AUTO, Run, text_of

from typedbus.pytest_plugin import BusesLeft, TasksLeft, ThreadsLeft

# Loaded here, because a run of pytest inside this process forgets the modules that it loads first.
for _name in ("_bus.async_methods", "_container.running", "pytest_plugin._tasks", "testing"):
    importlib.import_module(f"typedbus.{_name}")

pytest_plugins = ["pytester"]
# Old versions of pytest-asyncio do not close the event loop that they find, and it belongs to this process.
pytestmark = pytest.mark.filterwarnings("ignore:(?s).*unclosed:pytest.PytestUnraisableExceptionWarning")

# Policies are deprecated since Python 3.14, and older versions of pytest-asyncio choose a loop by nothing else.
NEEDS_UVLOOP = pytest.mark.skipif(
    importlib.util.find_spec("uvloop") is None or sys.version_info >= (3, 14), reason="needs uvloop and policies"
)
UVLOOP_POLICY = """
import uvloop


@pytest.fixture(scope="session")
def event_loop_policy():
    return uvloop.EventLoopPolicy()
"""

SHOP = """
import asyncio

from typedbus import AsyncChannel, Bus, Channel, Component, Container, Limits, LoopError, State, on, running

journal = []
order_placed = AsyncChannel[[str], int]("order_placed")


class Bank:
    async def start(self):
        self.lock = asyncio.Lock()
        async with self.lock:
            journal.append("start")

    async def stop(self):
        async with self.lock:
            journal.append("stop")

    @on(order_placed)
    async def charge(self, sku):
        async with self.lock:
            await asyncio.sleep(0)
        return len(sku)


class Shop(Container):
    bus = Component(Bus)
    bank = Component(Bank)


class Pump:
    stops = True

    async def start(self):
        self.pumping = asyncio.create_task(self.run())

    async def run(self):
        await self.drain()

    async def drain(self):
        await asyncio.Event().wait()

    async def stop(self):
        if self.stops:
            self.pumping.cancel()
            await asyncio.wait([self.pumping])


class LeakingPump(Pump):
    stops = False


class Pumps(Container):
    bus = Component(Bus)
    pump = Component(Pump)


class Leaking(Container):
    bus = Component(Bus)
    pump = Component(LeakingPump)
"""

RECIPE = """
import pytest_asyncio


@pytest_asyncio.fixture{fixture}
async def shop():
    async with running(Shop()) as shop:
        yield shop


{mark}
async def test_an_order_is_charged(shop):
    assert await shop.bus()[order_placed].publish("tea") == [3]
    assert shop.bus().state is State.STARTED


{mark}
async def test_another_order_is_charged(shop, typedbus_leaks):
    assert await shop.bus()[order_placed].publish("mugs") == [4]


def test_the_shop_has_exited():
    assert journal == {journal}
"""
EACH = ["start", "stop", "start", "stop"]


@pytest.mark.parametrize(
    ("fixture", "mark", "arguments", "journal"),
    [
        ("", "@pytest.mark.asyncio", ASYNCIO, EACH),
        ("", "", AUTO, EACH),
        ('(loop_scope="session", scope="session")', '@pytest.mark.asyncio(loop_scope="session")', ASYNCIO, ["start"]),
        ('(loop_scope="session", scope="session")', '@pytest.mark.asyncio(loop_scope="session")', AUTO, ["start"]),
        ('(loop_scope="session")', '@pytest.mark.asyncio(loop_scope="session")', ASYNCIO, EACH),
        ('(loop_scope="module", scope="module")', '@pytest.mark.asyncio(loop_scope="module")', ASYNCIO, ["start"]),
    ],
    ids=["strict", "auto", "strict, session", "auto, session", "function fixture on a session loop", "strict, module"],
)
def test_an_async_fixture_runs_a_container(
    run: Run, fixture: str, mark: str, arguments: tuple[str, ...], journal: list[str]
) -> None:
    """Under pytest-asyncio, on a loop of the same scope as that of the tests."""
    result = run(RECIPE.format(fixture=fixture, mark=mark, journal=journal), *arguments)

    result.assert_outcomes(passed=3)


def test_auto_mode_with_a_session_loop_for_all_tests_needs_no_marks(run: Run) -> None:
    """The options give fixtures and tests the same loop."""
    scopes = ("-o", "asyncio_default_fixture_loop_scope=session", "-o", "asyncio_default_test_loop_scope=session")
    text = RECIPE.format(fixture='(scope="session")', mark="", journal=["start"])

    run(text, *AUTO, *scopes).assert_outcomes(passed=3)


ANYIO_RECIPE = """
@pytest.fixture{scope}
def anyio_backend():
    return "asyncio"


@pytest.fixture{scope}
async def shop(anyio_backend):
    async with running(Shop()) as shop:
        yield shop


@pytest.mark.anyio
async def test_an_order_is_charged(shop):
    assert await shop.bus()[order_placed].publish("tea") == [3]


@pytest.mark.anyio
async def test_another_order_is_charged(shop, typedbus_leaks):
    assert await shop.bus()[order_placed].publish("mugs") == [4]


def test_the_shop_has_exited():
    assert journal == {journal}
"""


@pytest.mark.parametrize(
    ("scope", "journal"), [("", EACH), ('(scope="session")', ["start"])], ids=["function", "session"]
)
def test_an_async_fixture_of_anyio_runs_a_container(run: Run, scope: str, journal: list[str]) -> None:
    """Under anyio's plugin, whose loop lasts as long as the widest async fixture."""
    run(ANYIO_RECIPE.format(scope=scope, journal=journal), *ANYIO).assert_outcomes(passed=3)


@pytest.mark.parametrize("verb", ["stop", "exit"])
def test_a_fixture_and_a_test_on_two_loops_get_an_error_that_names_both(run: Run, verb: str) -> None:
    """It names the scope of loops in pytest-asyncio, and the fixture exits its container in order."""
    result = run(
        f"""
import pytest_asyncio


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shop():
    async with running(Shop()) as shop:
        yield shop


@pytest.mark.asyncio
async def test_it_restarts_the_shop(shop):
    await shop.bus().{verb}_async()
""",
        *ASYNCIO,
    )

    result.assert_outcomes(failed=1)
    # An earlier test in this process may have installed the policy of uvloop.
    loops = re.findall(r"<\w*Loop at \w+ in thread 'MainThread'>", text_of(result))
    assert len(set(loops)) == 2
    assert f"LoopError: await bus.{verb}_async(): the components of the bus were built for <" in text_of(result)
    assert "(loop_scope in pytest-asyncio)" in text_of(result)


@pytest.mark.parametrize(
    ("mark", "arguments"), [("@pytest.mark.asyncio", ASYNCIO), ("@pytest.mark.anyio", ANYIO)], ids=["asyncio", "anyio"]
)
@pytest.mark.parametrize("enters", ["typedbus_running.on_loop(Leaking)", "running(Leaking)"])
def test_a_task_that_a_component_leaves_is_reported_with_its_stack(
    run: Run, mark: str, arguments: tuple[str, ...], enters: str
) -> None:
    """On the loop of the test, which cancels it before the end of the test; its own tasks are not reported."""
    result = run(
        f"""
@pytest.fixture
def anyio_backend():
    return "asyncio"


{mark}
async def test_it_pumps(typedbus_running):
    own = asyncio.create_task(asyncio.sleep(60))
    async with {enters}:
        pass
""",
        *arguments,
    )

    result.assert_outcomes(passed=1, errors=1)
    assert (
        f"{TasksLeft.__name__}: the test left 1 task(s) running; cancel and await each in the stop() or exit() of"
        in text_of(result)
    )
    result.stdout.fnmatch_lines(["*task 'Pump.run' is at:", "*in run", "*in drain"])


def test_a_task_on_the_loop_of_the_bus_is_reported(run: Run) -> None:
    """A sync test has it as well: the bus cancels its tasks when it exits."""
    result = run("""
def test_it_pumps(typedbus_running):
    typedbus_running(Leaking)


def test_it_has_a_name(typedbus_leaks):
    async def wait():
        asyncio.current_task().set_name("poller")
        await asyncio.Event().wait()

    with running(Shop()) as shop:
        shop.bus().run_on_loop(wait())
""")

    result.assert_outcomes(passed=2, errors=2)
    result.stdout.fnmatch_lines(["*task 'Pump.run' is at:", "*in drain", "*task 'poller' is at:"])


def test_a_task_that_the_container_of_a_fixture_leaves_is_reported(run: Run) -> None:
    """The check follows the exit of the container, in whatever order the fixtures were set up."""
    result = run(
        """
import pytest_asyncio


@pytest_asyncio.fixture
async def checked(typedbus_running):
    async with typedbus_running.on_loop(Leaking) as leaking:
        yield leaking


@pytest_asyncio.fixture
async def plain():
    async with running(Leaking) as leaking:
        yield leaking


@pytest.mark.asyncio
async def test_one(checked): ...


@pytest.mark.asyncio
async def test_two(typedbus_leaks, plain): ...
""",
        *ASYNCIO,
    )

    result.assert_outcomes(passed=2, errors=2)
    assert text_of(result).count("task 'Pump.run' is at:") == 2


def test_a_task_of_a_factory_is_reported(run: Run) -> None:
    """A factory and a sync hook create tasks on the loop of the test by `run_on_loop`."""
    result = run(
        """
async def poll():
    await asyncio.Event().wait()


async def watch():
    await asyncio.Event().wait()


class Poller:
    def __init__(self, bus):
        self.bus = bus
        bus.run_on_loop(poll())

    def start(self):
        self.bus.run_on_loop(watch())


class Polling(Container):
    bus = Component(Bus)
    poller = Component(Poller, bus.provided)


@pytest.mark.asyncio
async def test_it_polls(typedbus_leaks):
    async with running(Polling):
        pass
""",
        *ASYNCIO,
    )

    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*the test left 2 task(s) running;*", "*task 'poll' is at:", "*task 'watch' is at:"])


@pytest.mark.parametrize("enters", ["typedbus_running.on_loop(Pumps)", "running(Pumps)"])
@pytest.mark.parametrize("policy", ["", pytest.param(UVLOOP_POLICY, marks=NEEDS_UVLOOP)], ids=["asyncio", "uvloop"])
def test_a_component_that_awaits_its_task_leaves_nothing(run: Run, enters: str, policy: str) -> None:
    """Nor do idle threads of its loop, and tasks of the test, of other fixtures and of containers that continue."""
    result = run(
        f"""
import pytest_asyncio

{policy}


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def others():
    async with running(Leaking) as leaking:
        yield leaking


@pytest_asyncio.fixture(loop_scope="session")
async def timer():
    timing = asyncio.create_task(asyncio.sleep(60))
    yield
    timing.cancel()


@pytest.mark.asyncio(loop_scope="session")
async def test_it_pumps(typedbus_running, others, timer):
    own = asyncio.create_task(asyncio.sleep(60))
    async with {enters}:
        await asyncio.to_thread(list)
    await others.bus().stop_async()
    await others.bus().start_async()
""",
        *ASYNCIO,
        # Newer versions of pytest-asyncio prefer a hook for the same.
        "-W",
        "ignore:Overriding the",
    )

    result.assert_outcomes(passed=1)


def test_a_bus_whose_own_loop_still_runs_is_reported(run: Run) -> None:
    """Its thread is not reported a second time; the bus of a wider fixture may create its loop in a test."""
    result = run("""
@pytest.fixture(scope="module")
def wide():
    with running(Shop) as shop:
        shop.bus().exit()
        yield shop


def test_it_does_not_exit(typedbus_leaks):
    shop = Shop()
    journal.append(shop)
    shop.attach().start()
    shop.bus().run_on_loop(asyncio.to_thread(list)).result()


def test_it_exits():
    journal.pop(0).bus().exit()


def test_it_continues(typedbus_leaks, wide):
    wide.bus().start()
    wide.bus().run_on_loop(asyncio.to_thread(list)).result()
""")

    result.assert_outcomes(passed=3, errors=1)
    assert (
        f"{BusesLeft.__name__}: the test left 1 event loop(s) running, in threads of buses that have not exited;"
        in text_of(result)
    )
    result.stdout.fnmatch_lines(["*bus 'Shop' is STARTED"])
    assert ThreadsLeft.__name__ not in text_of(result)


def test_a_loop_that_ended_before_the_exit_has_no_tasks(run: Run) -> None:
    """The check does not wait for it; the exit fails with the error of the bus."""
    result = run("""
def test_it_exits_too_late(typedbus_leaks):
    bus = Pumps().attach()
    asyncio.run(bus.start_async())
    with pytest.raises(Exception, match="Pumps.pump") as failed:
        bus.exit()
    assert isinstance(failed.value.failures[0].error, LoopError)
""")

    result.assert_outcomes(passed=1)


def test_the_limits_of_the_mark_apply_on_the_loop(run: Run) -> None:
    """As in a sync test; an existing bus gets its own back, and classes and guests are accepted."""
    result = run(
        """
class Metrics(Container):
    bank = Component(Bank)


@pytest.mark.typedbus_limits(stop=60)
@pytest.mark.asyncio
async def test_it_has_limits(typedbus_running):
    shop = Shop()
    own = shop.bus().limits
    async with typedbus_running.on_loop(shop, Metrics, workers=2) as entered:
        assert entered is shop
        assert (shop.bus().limits.stop, shop.bus().workers) == (60, 2)
    assert (shop.bus().limits, shop.bus().workers, shop.bus().state) == (own, 1, State.EXITED)
    async with typedbus_running.on_loop(Shop, limits=Limits(stop=5)) as shop:
        assert shop.bus().limits.stop == 5


@pytest.mark.asyncio
async def test_the_failure_of_its_block_is_raised(typedbus_running):
    with pytest.raises(LookupError):
        async with typedbus_running.on_loop(Shop):
            raise LookupError
""",
        *ASYNCIO,
    )

    result.assert_outcomes(passed=2)


@pytest.mark.slow
def test_the_thread_that_blocks_on_the_bus_is_waited_for_on_a_loop(run: Run) -> None:
    """It continues when the bus exits, at the end of the block, whether or not the block fails."""
    result = run(
        """
import threading


def work(bus):
    bus.block()
    for turn in range(500_000):
        journal.append(turn)


@pytest.mark.asyncio
@pytest.mark.parametrize("turn", range(3))
async def test_it_blocks(typedbus_running, turn):
    with pytest.raises(LookupError):
        async with typedbus_running.on_loop(Shop) as shop:
            requested = threading.Event()
            shop.bus().request(requested.set)
            threading.Thread(target=work, args=[shop.bus()]).start()
            assert await asyncio.to_thread(requested.wait, 10)
            raise LookupError
""",
        *ASYNCIO,
    )

    result.assert_outcomes(passed=3)


def test_a_sync_start_on_the_loop_of_a_test_is_refused(run: Run) -> None:
    """The error names the form to write."""
    result = run(
        """
@pytest.mark.asyncio
async def test_it_blocks(typedbus_running):
    with pytest.raises(LoopError, match="on_loop"):
        typedbus_running(Shop)
""",
        *ASYNCIO,
    )

    result.assert_outcomes(passed=1)
