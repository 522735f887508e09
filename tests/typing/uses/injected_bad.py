"""Invalid uses of components in functions that frameworks call; a marked line is an error for both checkers."""

from typing import Any

from openings import Engine, Orders, Session, User, open_async_iterator

from typedbus import Bus, Component, Container, Given, Scoped
from typedbus.injection import ScopedASGI, ScopedWSGI, current_scope, injected


class Shop(Container):
    bus = Component(Bus)
    engine = Component(Engine)
    user = Given(User)
    session = Scoped(open_async_iterator, engine.provided)
    orders = Scoped(Orders, session.provided, user.provided)


shop = Shop()


@injected(Shop.session)  # E
def mistyped(orders: Orders) -> None: ...


@injected(Shop.session, Shop.orders)  # E
def in_wrong_order(orders: Orders, session: Session) -> None: ...


@injected(Shop.orders)  # E
def by_keyword_alone(*, orders: Orders) -> None: ...


@injected(Shop.orders, Shop.session)  # E
def second_by_keyword_alone(orders: Orders, *, session: Session) -> None: ...


@injected(Shop.orders, Shop.session)  # E
def with_too_few_parameters(orders: Orders) -> None: ...


@injected(Shop.orders)  # E
def without_parameters() -> None: ...


@injected(Shop.orders)  # E
async def mistyped_coroutine(session: Session, user: int) -> None: ...


@injected(Shop.orders)  # E
def after_another(user: int, orders: Orders) -> None: ...


@injected(Shop.orders, Shop.orders)  # E
def twice(orders: Orders, session: Session) -> None: ...


class View:
    def get(self, orders: Orders) -> None: ...

    async def post(self, orders: Orders) -> None: ...


get = injected(Shop.orders)(View.get)  # E
post = injected(Shop.orders)(View.post)  # E


@injected()  # E
def of_nothing(orders: Orders) -> None: ...


@injected(Shop)  # E
def of_container(shop: Shop) -> None: ...


@injected(Orders)  # E
def of_class(orders: Orders) -> None: ...


@injected(Shop.orders.provided)  # E
def of_argument(orders: Orders) -> None: ...


@injected(Shop.session.opener)  # E
def of_opener(session: Session) -> None: ...


@injected("orders")  # E
def of_name(orders: Orders) -> None: ...


@injected(orders=Shop.orders)  # E
def of_keyword(orders: Orders) -> None: ...


@injected(Shop.missing)  # E
def of_missing(orders: Orders) -> None: ...


@injected  # E
def without_components(orders: Orders) -> None: ...


@injected(Shop.orders, Shop.orders, Shop.orders, Shop.orders, Shop.orders, Shop.orders, Shop.orders)  # E
def with_seven(a: Orders, b: Orders, c: Orders, d: Orders, e: Orders, f: Orders, g: Orders) -> None: ...


@injected(Shop.orders)
def listed(orders: Orders, user: int, *, limit: int = 10) -> str:
    return ""


@injected(Shop.orders)
async def place(orders: Orders, user: int) -> list[str]:
    return []


listed()  # E
listed("Ada")  # E
listed(1, 2)  # E
listed(user="Ada")  # E
listed(1, limits=3)  # E
listed(Orders(Session(Engine()), User("Ada")), 3)  # E
listed(1, orders=Orders(Session(Engine()), User("Ada")))  # E
number: int = listed(1)  # E
names: list[str] = place(1)  # E

engine: Engine = current_scope()[Shop.orders]  # E
current_scope(shop)  # E
current_scope().scope("Ada")  # E
current_scope(Shop.orders)  # E


async def use() -> None:
    place(1)  # E
    name: str = await place(1)  # E
    session: User = await current_scope().get(Shop.session)  # E
    print(name, session)


async def site(scope: str) -> None: ...


async def asgi_site(scope: Any, receive: Any, send: Any) -> None: ...


asgi = ScopedASGI(site, shop)  # E
asgi_of_component = ScopedASGI(asgi_site, Shop.bus)  # E
asgi_with_value = ScopedASGI(asgi_site, shop, Shop.user.given(User("Ada")))  # E
asgi_with_function = ScopedASGI(asgi_site, shop, lambda message: [User("Ada")])  # E
wsgi = ScopedWSGI(site, shop)  # E
wsgi_alone = ScopedWSGI(lambda environ, start_response: [b""])  # E
