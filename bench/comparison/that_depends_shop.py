from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI
from parts import URL, Engine, Orders, Session
from that_depends import BaseContainer, ContextScopes, providers
from that_depends.providers import DIContextMiddleware


async def open_engine(url: str) -> AsyncIterator[Engine]:
    engine = Engine(url)
    yield engine
    await engine.dispose()


async def open_session(engine: Engine) -> AsyncIterator[Session]:
    session = Session(engine)
    try:
        yield session
    except BaseException:
        await session.roll_back()
        raise
    await session.commit()


class Shop(BaseContainer):
    default_scope = ContextScopes.REQUEST
    engine = providers.Resource(open_engine, URL)
    session = providers.ContextResource(open_session, engine.cast)
    orders = providers.Factory(Orders, session.cast)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    await Shop.tear_down()


app = FastAPI(lifespan=lifespan)
app.add_middleware(DIContextMiddleware, Shop, scope=ContextScopes.REQUEST)  # pyright: ignore[reportArgumentType]


@app.post("/orders/{article}")
async def place(orders: Annotated[Orders, Depends(Shop.orders)], article: str) -> str:
    return orders.place(article)
