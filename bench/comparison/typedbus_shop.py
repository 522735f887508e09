from collections.abc import AsyncIterator

from fastapi import FastAPI
from parts import URL, Engine, Orders, Session

from typedbus import Bus, Component, Container, Scoped
from typedbus.hosting.asgi import Hosted
from typedbus.injection import injected


async def open_session(engine: Engine) -> AsyncIterator[Session]:
    session = Session(engine)
    try:
        yield session
    except BaseException:
        await session.roll_back()
        raise
    await session.commit()


class Shop(Container):
    bus = Component(Bus)
    engine = Component(Engine, URL).closed_by(Engine.dispose)
    session = Scoped(open_session, engine.provided)
    orders = Scoped(Orders, session.provided)


site = FastAPI()


@site.post("/orders/{article}")
@injected(Shop.orders)
async def place(orders: Orders, article: str) -> str:
    return orders.place(article)


app = Hosted(site, Shop, scopes=True)
