"""Functions that receive components, outside of any framework."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import threading
import typing
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from tests.injection.shop import Catalogue, Orders, Session, Shop

from typedbus import Component, Container, running
from typedbus.injection import InjectionError, NoRunningContainer, NoScope, current_scope, injected

if TYPE_CHECKING:
    from tests.injection.shop import Orders as OnlyForCheckers

# The calls


@injected(Shop.orders)
def place(orders: Orders, name: str, count: int = 1) -> int:
    """Place an order."""
    return orders.place(name) * count


@injected(Shop.orders, Shop.session, Shop.catalogue)
def place_first(orders: Orders, session: Session, catalogue: Catalogue) -> str:
    assert orders.session is session
    orders.place(catalogue.names[0])
    return catalogue.names[0]


@injected(Shop.async_orders)
async def place_async(orders: Orders, name: str) -> int:
    await asyncio.sleep(0)
    return orders.place(name)


@injected(Shop.session)
def numbers(session: Session, name: str) -> Iterator[str]:
    session.add(name)
    received = yield "first"
    yield f"second after {received}"


@injected(Shop.async_session)
async def async_numbers(session: Session, name: str) -> AsyncIterator[str]:
    session.add(name)
    received = yield "first"
    yield f"second after {received}"


def test_a_function_receives_components_of_a_scope_around_its_call(shop: Shop, notes: list[str]) -> None:
    """The scope is opened for the call, and closed when it has returned."""
    assert place("tea", count=2) == 6
    assert notes == ["begin", "add tea", "commit"]


def test_several_components_belong_to_one_scope(shop: Shop, notes: list[str]) -> None:
    """A component that belongs to no scope is that of the container."""
    assert place_first() == "tea"
    assert notes == ["begin", "add tea", "commit"]


def test_an_exception_of_the_function_rolls_back_and_leaves_as_it_is(shop: Shop, notes: list[str]) -> None:
    """The caller gets the same object."""
    error = ValueError("sold out")

    @injected(Shop.session)
    def fail(session: Session) -> None:
        raise error

    with pytest.raises(ValueError) as raised:
        fail()
    assert raised.value is error
    assert notes == ["begin", "rollback ValueError"]


def test_a_commit_that_fails_is_the_failure_of_the_call(shop: Shop, notes: list[str]) -> None:
    """The function has returned by then."""
    with pytest.raises(OSError, match="rejected"):
        place("rejected")
    assert notes == ["begin", "add rejected", "no commit"]


def test_an_async_function_receives_async_components(shop: Shop, notes: list[str]) -> None:
    """The scope is opened and closed on the loop of the caller."""
    assert inspect.iscoroutinefunction(place_async)
    assert asyncio.run(place_async("tea")) == 3
    assert notes == ["begin async", "add tea", "commit"]


def test_an_async_function_that_is_cancelled_rolls_back(shop: Shop, notes: list[str]) -> None:
    """The cancellation goes on."""

    @injected(Shop.async_session)
    async def wait(session: Session, entered: asyncio.Event) -> None:
        entered.set()
        await asyncio.Event().wait()

    async def main() -> None:
        entered = asyncio.Event()
        task = asyncio.create_task(wait(entered))
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert notes == ["begin async", "rollback async CancelledError"]


def test_the_scope_of_a_generator_ends_with_it(shop: Shop, notes: list[str]) -> None:
    """Sent values and exceptions reach the generator."""
    assert inspect.isgeneratorfunction(numbers)
    generator: Any = numbers("tea")

    assert notes == []
    assert next(generator) == "first"
    assert notes == ["begin", "add tea"]
    assert generator.send(3) == "second after 3"
    assert list(generator) == []
    assert notes == ["begin", "add tea", "commit"]


def test_a_generator_that_is_closed_or_fails_rolls_back(shop: Shop, notes: list[str]) -> None:
    """An iteration that ends early has not done its work."""
    generator: Any = numbers("tea")
    next(generator)
    generator.close()

    failing: Any = numbers("tea")
    next(failing)
    with pytest.raises(ValueError):
        failing.throw(ValueError())
    assert notes == ["begin", "add tea", "rollback GeneratorExit", "begin", "add tea", "rollback ValueError"]


def test_the_scope_of_an_async_generator_ends_with_it(shop: Shop, notes: list[str]) -> None:
    """Sent values, exceptions and a close reach the generator."""
    assert inspect.isasyncgenfunction(async_numbers)

    async def main() -> None:
        generator: Any = async_numbers("tea")
        assert await anext(generator) == "first"
        assert await generator.asend(3) == "second after 3"
        assert [value async for value in generator] == []

        closed: Any = async_numbers("mug")
        await anext(closed)
        await closed.aclose()

        failing: Any = async_numbers("pot")
        await anext(failing)
        with pytest.raises(ValueError):
            await failing.athrow(ValueError())

    asyncio.run(main())
    assert notes == [
        *("begin async", "add tea", "commit"),
        *("begin async", "add mug", "rollback async GeneratorExit"),
        *("begin async", "add pot", "rollback async ValueError"),
    ]


def test_an_async_generator_may_catch_what_is_thrown_in(shop: Shop, notes: list[str]) -> None:
    """It goes on, and commits."""

    @injected(Shop.async_session)
    async def patient(session: Session) -> AsyncIterator[str]:
        try:
            yield "first"
        except ValueError:
            yield "after the error"

    async def main() -> None:
        generator: Any = patient()
        await anext(generator)
        assert await generator.athrow(ValueError()) == "after the error"
        assert [value async for value in generator] == []

    asyncio.run(main())
    assert notes == ["begin async", "commit"]


def test_an_async_generator_that_is_closed_ends_before_its_scope(shop: Shop, notes: list[str]) -> None:
    """It may still use and await what it has received."""

    @injected(Shop.async_session)
    async def tidy(session: Session) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await asyncio.sleep(0)
            session.add("tidied")

    async def main() -> None:
        generator: Any = tidy()
        await anext(generator)
        await generator.aclose()

    asyncio.run(main())
    assert notes == ["begin async", "add tidied", "rollback async GeneratorExit"]


def test_an_injected_function_may_be_a_context_manager(shop: Shop, notes: list[str]) -> None:
    """The decorator of contextlib goes above."""

    @contextlib.contextmanager
    @injected(Shop.session)
    def ordering(session: Session) -> Iterator[Session]:
        yield session

    with ordering() as session:
        session.add("tea")
    with pytest.raises(ValueError), ordering():
        raise ValueError
    assert notes == ["begin", "add tea", "commit", "begin", "rollback ValueError"]


def test_injected_functions_that_call_each_other_share_a_scope(shop: Shop, notes: list[str]) -> None:
    """The first of them closes it."""

    @injected(Shop.session)
    def place_two(session: Session) -> None:
        place("tea")
        session.add("mug")
        assert current_scope()[Shop.session] is session

    place_two()
    assert notes == ["begin", "add tea", "add mug", "commit"]


def test_an_exception_that_an_injected_function_handles_is_no_failure(shop: Shop, notes: list[str]) -> None:
    """Even if it comes from another injected function, with the same scope."""

    @injected(Shop.session)
    def fail(session: Session) -> None:
        raise ValueError

    @injected(Shop.session)
    def place_anyway(session: Session) -> None:
        with contextlib.suppress(ValueError):
            fail()
        session.add("tea")

    place_anyway()
    assert notes == ["begin", "add tea", "commit"]


def test_a_thread_has_a_scope_of_its_own(shop: Shop, notes: list[str]) -> None:
    """Threads inherit no context variables."""

    @injected(Shop.session)
    def place_elsewhere(session: Session) -> None:
        thread = threading.Thread(target=place, args=["tea"])
        thread.start()
        thread.join()
        session.add("mug")

    place_elsewhere()
    assert notes == ["begin", "begin", "add tea", "commit", "add mug", "commit"]


def test_a_generator_does_not_change_the_current_scope_of_its_caller(shop: Shop) -> None:
    """The caller runs while the generator is suspended, and has its context variables."""
    generator: Any = numbers("tea")
    next(generator)

    with pytest.raises(NoScope):
        current_scope()
    generator.close()


def test_there_is_no_current_scope_after_a_call(shop: Shop) -> None:
    """The error names the ways to have one."""
    place("tea")

    with pytest.raises(NoScope, match=r"Hosted\(\.\.\., scopes=True\)"):
        current_scope()


def test_a_bound_method_and_a_partial_are_functions(shop: Shop, notes: list[str]) -> None:
    """Their parameters are those that a call may still pass."""

    class Views:
        def view(self, orders: Orders, name: str) -> int:
            return orders.place(name)

    def sell(orders: Orders, name: str, count: int) -> int:
        return orders.place(name) * count

    async def sell_async(orders: Orders, name: str, count: int) -> int:
        return orders.place(name) * count

    assert injected(Shop.orders)(Views().view)("tea") == 3
    assert injected(Shop.orders)(functools.partial(sell, count=2))("tea") == 6
    selling = functools.partial(sell_async, count=2)
    partial: Any = injected(Shop.orders)(selling)
    assert partial.__name__ == "sell_async"
    assert partial.__wrapped__ is selling
    assert inspect.iscoroutinefunction(partial)
    assert asyncio.run(partial("tea")) == 6
    assert functools.partial(place, count=2)("tea") == 6


def test_the_decorator_may_be_applied_twice(shop: Shop, notes: list[str]) -> None:
    """The lower one passes its components first."""

    @injected(Shop.catalogue)
    @injected(Shop.orders)
    def view(orders: Orders, catalogue: Catalogue, count: int) -> int:
        return orders.place(catalogue.names[0]) * count

    assert str(inspect.signature(view)) == "(count: int) -> int"
    assert view(2) == 6
    assert notes == ["begin", "add tea", "commit"]


# What frameworks read


def test_the_signature_has_no_components() -> None:
    """Names, defaults and annotations of the other parameters are those of the function."""
    assert str(inspect.signature(place)) == "(name: str, count: int = 1) -> int"
    assert typing.get_type_hints(place) == {"name": str, "count": int, "return": int}
    assert inspect.getfullargspec(place).args == ["name", "count"]
    assert inspect.unwrap(place) is place.__wrapped__  # type: ignore[attr-defined]
    assert place.__name__ == "place"
    assert place.__doc__ == "Place an order."
    assert place.__module__ == __name__


def test_annotations_that_cannot_be_evaluated_stay_texts() -> None:
    """A class that is imported for type checkers alone does not hinder the declaration."""

    @injected(Shop.orders)
    def view(orders: OnlyForCheckers, /, *, name: str = "tea", **rest: OnlyForCheckers) -> None: ...

    parameters = inspect.signature(view).parameters
    assert list(parameters) == ["name", "rest"]
    assert parameters["rest"].annotation == "OnlyForCheckers"
    assert view.__annotations__ == {"name": "str", "rest": "OnlyForCheckers", "return": "None"}


def test_a_function_with_any_number_of_arguments_is_accepted(shop: Shop) -> None:
    """The components are the first of them."""

    @injected(Shop.orders, Shop.catalogue)
    def view(orders: Orders, *rest: object) -> tuple[object, ...]:
        return rest

    assert str(inspect.signature(view)) == "(*rest: object) -> tuple[object, ...]"
    assert view(3) == (shop.catalogue(), 3)


# Which container


def test_the_component_of_a_class_is_that_of_the_container_that_runs() -> None:
    """A container of a subclass counts, with its own declaration."""

    class Quiet(Shop):
        catalogue = Component(Catalogue)

    @injected(Shop.catalogue)
    def view(catalogue: Catalogue) -> Catalogue:
        return catalogue

    with running(Quiet) as quiet:
        assert view() is quiet.catalogue()
    with running(Shop) as shop:
        assert view() is shop.catalogue()


def test_the_component_of_a_nested_container_is_found() -> None:
    """By its own class as well as by the class around it."""

    class Outer(Container):
        shop = Shop()

    @injected(Shop.catalogue)
    def view(catalogue: Catalogue) -> Catalogue:
        return catalogue

    @injected(Outer.shop.catalogue)
    def outer_view(catalogue: Catalogue) -> Catalogue:
        return catalogue

    with running(Outer) as outer:
        assert view() is outer_view() is outer.shop.catalogue()


def test_the_error_of_a_call_without_a_container_that_runs_names_the_remedy() -> None:
    """And the function and the component."""
    with pytest.raises(NoRunningContainer) as raised:
        place("tea")
    assert raised.value.path == "Shop.orders"
    assert raised.value.running == ()
    assert str(raised.value).startswith(f"{__name__}.place needs Shop.orders (")
    assert "start one with running(Shop), run or Hosted, or give the component of one instance" in str(raised.value)


def test_of_two_containers_that_run_the_component_of_an_instance_chooses(shop: Shop, notes: list[str]) -> None:
    """With that of the class the call is an error that says so."""
    with running(Shop) as other:

        @injected(other.orders)
        def place_other(orders: Orders, name: str) -> int:
            return orders.place(name)

        with pytest.raises(
            NoRunningContainer, match=r"more than one container that declares it runs: Shop, Shop; .*shop\.orders"
        ):
            place("tea")
        assert place_other("tea") == 3
        assert other.notes() == ["begin", "add tea", "commit"]
    assert notes == []


def test_the_component_of_an_instance_is_found_before_its_container_runs() -> None:
    """As in a test of one function."""
    shop = Shop()

    @injected(shop.orders)
    def place_there(orders: Orders, name: str) -> int:
        return orders.place(name)

    assert place_there("tea") == 3
    assert shop.notes() == ["begin", "add tea", "commit"]


# Mistakes


def test_a_function_without_enough_positional_parameters_is_refused() -> None:
    """At its declaration, with the place."""
    with pytest.raises(InjectionError, match="takes 1 positional argument.s. for 2 component.s.") as raised:

        @injected(Shop.orders, Shop.session)  # type: ignore[arg-type]
        def view(orders: Orders) -> None: ...

    assert raised.value.place.rpartition(":")[0] == __file__

    with pytest.raises(InjectionError, match="orders can be passed by name alone"):

        @injected(Shop.orders)  # type: ignore[arg-type]
        def by_name(*, orders: Orders) -> None: ...


def test_a_method_is_refused() -> None:
    """Its first argument is the object; a static method has no such argument."""
    with pytest.raises(InjectionError, match="is a method"):

        class Views:
            @injected(Shop.orders)  # type: ignore[arg-type]
            def view(self, orders: Orders) -> None: ...  # type: ignore[misc]

    class Static:
        @staticmethod
        @injected(Shop.catalogue)
        def view(catalogue: Catalogue, name: str) -> str:
            return name

    assert str(inspect.signature(Static.view)) == "(name: str) -> str"


class Route:
    """What the decorator of a framework may return."""

    def __init__(self, function: Callable[..., object]) -> None:
        self.function = function

    def __call__(self, *args: object) -> object:
        return self.function(*args)


def view(orders: Orders) -> None: ...


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (Route(view), "is not a function but a .*Route; apply @injected directly to the function, below"),
        (staticmethod(view), "is a staticmethod; apply @injected below @staticmethod"),
        (
            classmethod(view),  # type: ignore[arg-type]
            "is a classmethod; apply @injected below @classmethod",
        ),
        (Route, "is a class; pass components to its constructor"),
        (contextlib.contextmanager(numbers), "is a generator function under another decorator"),
        (contextlib.asynccontextmanager(async_numbers), "is a generator function under another decorator"),
    ],
)
def test_what_is_not_a_function_is_refused(target: Any, text: str) -> None:
    """The usual cause is that decorators are in the wrong order."""
    with pytest.raises(InjectionError, match=text):
        injected(Shop.orders)(target)


@pytest.mark.parametrize(
    ("argument", "text"),
    [
        (view, r"is a function, not a component; write the components in parentheses: @injected\(Shop\.orders\)"),
        (Shop, r"Shop is not a component; write @injected\(Shop\.orders\)"),
        (Shop.orders.provided, r"<Shop\.orders\.provided> is an argument of declarations"),
        (Component(Catalogue), "is not declared in the body of a container class"),
    ],
)
def test_an_argument_that_is_not_a_component_is_refused(argument: Any, text: str) -> None:
    """At the declaration."""
    with pytest.raises(InjectionError, match=text):
        injected(argument)

    with pytest.raises(InjectionError, match="names no component"):
        injected()  # type: ignore[call-overload]


def test_a_plain_function_that_returns_a_coroutine_is_refused(shop: Shop, notes: list[str]) -> None:
    """The coroutine would run after the commit, and its failure would undo nothing."""

    async def place_late(orders: Orders) -> None: ...

    def place(orders: Orders) -> Any:
        return place_late(orders)

    with pytest.raises(InjectionError, match="is a plain function and returned a coroutine"):
        injected(Shop.orders)(place)()
    assert notes == ["begin", "rollback InjectionError"]
