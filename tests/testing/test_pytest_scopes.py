"""Scopes in tests of applications: rolled back after the test, and reported if the test leaves one open."""

from __future__ import annotations

import importlib

import pytest
from tests.testing.plugin_runs import ANYIO, AUTO, Run, text_of

# Loaded here, because a run of pytest inside this process forgets the modules that it loads first.
for _name in ("_container.running", "_container.open_scopes", "pytest_plugin._tasks", "testing"):
    importlib.import_module(f"typedbus.{_name}")

pytest_plugins = ["pytester"]
# Old versions of pytest-asyncio do not close the event loop that they find, and it belongs to this process.
pytestmark = pytest.mark.filterwarnings("ignore:(?s).*unclosed:pytest.PytestUnraisableExceptionWarning")

SHOP = """
import asyncio
from typedbus import Bus, Component, Container, Given, NotInContainer, OverrideError, Scoped, State, running
from typedbus.pytest_plugin import EndOfTest

journal = []


class Engine:
    def stop(self):
        journal.append("stop")


def open_session(engine, name="session"):
    try:
        yield [name, engine]
    except Exception as error:
        journal.append(f"{name} rolled back: {type(error).__name__}")
        raise
    else:
        journal.append(f"{name} committed")


async def connect(engine):
    await asyncio.sleep(0)
    try:
        yield ["connection", engine]
    except Exception as error:
        await asyncio.sleep(0)
        journal.append(f"connection rolled back: {type(error).__name__}")
        raise
    else:
        journal.append("connection committed")


def broken():
    try:
        yield "broken"
    finally:
        raise OSError("the disk is full")


class Shop(Container):
    bus = Component(Bus)
    engine = Component(Engine)
    user = Given(str)
    session = Scoped(open_session, engine.provided)
    greeting = Scoped("{}, {}".format, "hello", user.provided)
    connection = Scoped(connect, engine.provided)
    broken = Scoped(broken)


class Other(Container):
    user = Given(str)
"""


def test_a_scope_is_rolled_back_after_the_test_and_before_its_container_stops(run: Run) -> None:
    result = run("""
def test_it_uses_a_scope(typedbus_running, typedbus_scope):
    shop = typedbus_running(Shop())
    scope = typedbus_scope(shop, Shop.user.given("Ada"))
    assert scope.is_open
    assert scope[Shop.session] == ["session", shop.engine()]
    assert scope[Shop.greeting] == "hello, Ada"


def test_it_was_rolled_back():
    assert journal == ["session rolled back: EndOfTest", "stop"]
""")

    result.assert_outcomes(passed=2)


def test_a_scope_of_a_failing_test_is_rolled_back_too(run: Run) -> None:
    """The teardown has no error of its own."""
    result = run("""
def test_it_fails(typedbus_running, typedbus_scope):
    typedbus_scope(typedbus_running(Shop()))[Shop.session]
    assert not "this"


def test_it_was_rolled_back():
    assert journal == ["session rolled back: EndOfTest", "stop"]
""")

    result.assert_outcomes(passed=1, failed=1)


def test_several_scopes_are_closed_in_reverse_order(run: Run) -> None:
    """A container need not run, and one container may have several scopes."""
    result = run("""
class Named(Shop):
    session = Scoped(open_session, Shop.engine.provided, "named")


def test_it_uses_scopes(typedbus_scope):
    shop = Shop()
    scopes = [typedbus_scope(shop), typedbus_scope(Named()), typedbus_scope(shop)]
    assert len({id(scope[Shop.session]) for scope in scopes}) == 3


def test_they_were_rolled_back():
    assert [line.split()[0] for line in journal] == ["session", "named", "session"]
""")

    result.assert_outcomes(passed=2)


def test_a_block_of_the_test_commits(run: Run) -> None:
    """Only scopes of the fixture roll back."""
    result = run("""
def test_it_commits(typedbus_running, typedbus_scope):
    shop = typedbus_running(Shop())
    with shop.scope() as scope:
        scope[Shop.session]
    typedbus_scope(shop)
    assert journal == ["session committed"]
""")

    result.assert_outcomes(passed=1)


def test_a_failing_roll_back_is_an_error_of_the_teardown(run: Run) -> None:
    """The other objects and scopes are rolled back all the same, and the container exits."""
    result = run("""
def test_it_cannot_roll_back(typedbus_running, typedbus_scope):
    shop = typedbus_running(Shop())
    typedbus_scope(shop)[Shop.session]
    scope = typedbus_scope(shop)
    scope[Shop.session]
    scope[Shop.broken]


def test_the_rest_was_rolled_back():
    assert journal == ["session rolled back: EndOfTest"] * 2 + ["stop"]
""")

    result.assert_outcomes(passed=2, errors=1)
    text = text_of(result)
    assert "EndOfTest: the test is over, and its scope is rolled back" in text
    assert "a scope of Shop failed to close an object: OSError: the disk is full" in text
    assert "_scopes.py" not in text


def test_a_value_that_the_container_does_not_declare_is_refused(run: Run) -> None:
    result = run("""
def test_it_is_refused(typedbus_scope):
    with pytest.raises(NotInContainer):
        typedbus_scope(Shop(), Other.user.given("Ada"))
""")

    result.assert_outcomes(passed=1)


def test_other_objects_are_refused(run: Run) -> None:
    """A class would make a second container, beside the one that runs."""
    result = run("""
from typedbus.pytest_plugin import NoContainer


def test_they_are_refused(typedbus_scope):
    with pytest.raises(NoContainer, match="Shop is a class; give the container itself"):
        typedbus_scope(Shop)
    with pytest.raises(NoContainer, match="None is not a container"):
        typedbus_scope(None)
""")

    result.assert_outcomes(passed=1)


def test_a_scope_of_a_container_for_the_module_sees_the_override_of_the_test(run: Run) -> None:
    """The scope ends before the override does."""
    result = run("""
@pytest.fixture(scope="module")
def shop():
    with running(Shop()) as shop:
        yield shop


def test_it_is_overridden(shop, typedbus_running, typedbus_scope):
    typedbus_running.enter(shop.override(Shop.session).by("fake"))
    assert typedbus_scope(shop)[Shop.session] == "fake"


def test_it_is_not(shop, typedbus_scope):
    assert typedbus_scope(shop)[Shop.session] == ["session", shop.engine()]


def test_one_engine_was_used(shop):
    assert journal == ["session rolled back: EndOfTest"]
""")

    result.assert_outcomes(passed=3)


def test_an_override_of_the_test_may_end_before_its_scope(run: Run) -> None:
    """The order of fixtures is that of the test's parameters."""
    result = run("""
@pytest.fixture
def shop():
    return Shop()


@pytest.fixture
def fake_session(shop):
    with shop.override(Shop.session).by("fake"):
        yield


def test_it_is_overridden(shop, typedbus_scope, fake_session):
    assert typedbus_scope(shop)[Shop.session] == "fake"
""")

    result.assert_outcomes(passed=1)


ASYNC_SCOPES = """
async def test_it_uses_a_scope(typedbus_running, typedbus_scope):
    async with typedbus_running.on_loop(Shop) as shop, typedbus_scope.on_loop(shop, Shop.user.given("Ada")) as scope:
        assert (await scope.get(Shop.connection))[0] == "connection"
        assert scope[Shop.greeting] == "hello, Ada"
    assert not scope.is_open
    assert journal == ["connection rolled back: EndOfTest", "stop"]


async def test_a_failure_of_the_block_is_passed_on(typedbus_running, typedbus_scope):
    journal.clear()
    with pytest.raises(ZeroDivisionError):
        async with typedbus_scope.on_loop(Shop()) as scope:
            await scope.get(Shop.connection)
            1 / 0
    assert journal == ["connection rolled back: ZeroDivisionError"]


async def test_a_scope_without_async_forms_needs_no_block(typedbus_scope):
    journal.clear()
    assert (await typedbus_scope(Shop()).get(Shop.session))[0] == "session"


async def test_it_was_rolled_back():
    assert journal == ["session rolled back: EndOfTest"]
    journal.clear()


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def scope(typedbus_scope, anyio_backend):
    async with typedbus_scope.on_loop(Shop()) as scope:
        yield scope


async def test_it_uses_a_fixture(scope):
    assert (await scope.get(Shop.connection))[0] == "connection"


def test_the_fixture_was_rolled_back():
    assert journal == ["connection rolled back: EndOfTest"]
"""


@pytest.mark.parametrize(
    ("mark", "options"), [("", AUTO), ("pytestmark = pytest.mark.anyio", ANYIO)], ids=["pytest-asyncio", "anyio"]
)
def test_an_async_scope_is_rolled_back_at_the_end_of_its_block(run: Run, mark: str, options: tuple[str, ...]) -> None:
    result = run(mark + ASYNC_SCOPES, *options)

    result.assert_outcomes(passed=6)


def test_a_failing_async_roll_back_is_raised(run: Run) -> None:
    result = run(
        """
async def test_it_cannot_roll_back(typedbus_scope):
    with pytest.raises(EndOfTest) as raised:
        async with typedbus_scope.on_loop(Shop()) as scope:
            await scope.get(Shop.broken)
    assert raised.value.__notes__[0].endswith("OSError: the disk is full")
""",
        *AUTO,
    )

    result.assert_outcomes(passed=1)


def test_a_scope_that_a_test_leaves_open_is_reported_with_its_open_objects(run: Run) -> None:
    """Also if the test has dropped the container."""
    result = run("""
def test_it_leaves_a_scope(typedbus_running):
    scope = typedbus_running(Shop()).scope()
    scope.__enter__()
    scope[Shop.session]


def test_it_leaves_nothing(typedbus_running):
    with typedbus_running(Shop()).scope() as scope:
        scope[Shop.session]
""")

    result.assert_outcomes(passed=2, errors=1)
    assert "ScopesLeft: the test left 1 scope(s) open; open each in a block" in text_of(result)
    result.stdout.re_match_lines([r".*a scope of Shop, opened \d+\.\d s ago(?: \(.+\))?, with Shop\.session"])


def test_a_scope_of_a_container_that_outlives_the_test_is_reported_for_the_test_that_opened_it(run: Run) -> None:
    result = run("""
@pytest.fixture(scope="module")
def shop():
    with running(Shop()) as shop:
        yield shop


@pytest.fixture(scope="module")
def wider(shop):
    with shop.scope() as scope:
        yield scope


def test_it_leaves_a_scope(shop, wider, typedbus_leaks):
    wider[Shop.session]
    shop.scope().__enter__()


def test_it_leaves_nothing(shop, wider, typedbus_leaks): ...
""")

    result.assert_outcomes(passed=2, errors=1)
    result.stdout.re_match_lines([r".*ERROR at teardown of test_it_leaves_a_scope.*"])
    assert "with Shop.session" not in text_of(result)
