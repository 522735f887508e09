"""Valid uses of components in functions that frameworks call."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Protocol, assert_type

from openings import Engine, HasName, Orders, Session, User, begin, open_async_iterator, open_iterator

from typedbus import Bus, Component, Container, Given, Resource, Scope, Scoped
from typedbus.injection import ScopedASGI, ScopedWSGI, current_scope, injected


class Places(Protocol):
    def place(self, name: str) -> int: ...


class Shop(Container):
    bus = Component(Bus)
    engine = Resource(open_iterator, Component(Engine).provided)
    user = Given(User)
    session = Scoped(open_async_iterator, engine.provided.engine)
    orders = Scoped(Orders, session.provided, user.provided)
    transaction = Scoped(begin, session.provided)


shop = Shop()


@injected(Shop.orders)
def listed(orders: Orders, user: int) -> str:
    return f"{orders} of {user}"


@injected(Shop.orders, Shop.session)
def listed_with_default(orders: Orders, session: Session, user: int = 3, *, limit: int = 10) -> str:
    return ""


@injected(Shop.orders)
async def place(orders: Orders, user: int) -> list[str]:
    return [str(orders.place(str(user)))]


@injected(Shop.session, Shop.engine)
def rows(session: Session, engine: Session) -> Iterator[int]:
    yield 1


@injected(Shop.user)
async def events(user: User, *names: str) -> AsyncIterator[str]:
    yield user.name


@injected(Shop.orders, Shop.session, Shop.user, Shop.engine, Shop.bus, Shop.transaction)
def with_six(orders: Orders, session: Session, user: User, engine: Session, bus: Bus, nothing: None, /) -> None: ...


@injected(shop.orders)
def of_instance(orders: Orders) -> int:
    return orders.place("tea")


@injected(Shop.orders)
def of_object(orders: object, *, key: int = 0) -> None: ...


@injected(Shop.orders, Shop.user)
async def of_protocols(orders: Places, user: HasName, /, number: int) -> None: ...


@injected(Shop.orders)
def of_any(orders: Any, /, **rest: str) -> None: ...


def pages() -> Callable[[int], str]:
    @injected(Shop.session)
    def page(session: Session, number: int, /) -> str:
        return str(number)

    return page


assert_type(listed(3), str)
assert_type(listed(user=3), str)
assert_type(listed_with_default(), str)
assert_type(listed_with_default(limit=3), str)
assert_type(rows(), Iterator[int])
assert_type(events("a", "b"), AsyncIterator[str])
assert_type(with_six(), None)
assert_type(of_instance(), int)
assert_type(of_object(key=1), None)
assert_type(of_any(name=""), None)
assert_type(injected(Shop.orders)(lambda orders: 3)(), int)
assert_type(current_scope(), Scope)
assert_type(current_scope()[Shop.orders], Orders)


async def use() -> None:
    assert_type(await place(3), list[str])
    assert_type(await of_protocols(number=3), None)
    assert_type(await current_scope().get(Shop.session), Session)


async def site(scope: Any, receive: Any, send: Any) -> None: ...


def page(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    return []


asgi = ScopedASGI(site, shop)
asgi_of_class = ScopedASGI(site, Shop, lambda message: [Shop.user.given(User(message["path"]))])
wsgi = ScopedWSGI(page, shop)
wsgi_of_class = ScopedWSGI(page, Shop)
