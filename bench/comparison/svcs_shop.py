from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

import svcs
from fastapi import FastAPI
from parts import URL, Engine, Orders, Session


@asynccontextmanager
async def open_session(engine: Engine) -> AsyncIterator[Session]:
    session = Session(engine)
    try:
        yield session
    except BaseException:
        await session.roll_back()
        raise
    await session.commit()


@svcs.fastapi.lifespan
async def lifespan(app: FastAPI, registry: svcs.Registry) -> AsyncGenerator[dict[str, object], None]:
    engine = Engine(URL)
    registry.register_value(Engine, engine, on_registry_close=engine.dispose)
    registry.register_factory(Session, svcs.aautowire(open_session), suppress_context_exit=False)
    registry.register_factory(Orders, svcs.aautowire(Orders))
    yield {}


app = FastAPI(lifespan=lifespan)


@app.post("/orders/{article}")
async def place(services: svcs.fastapi.DepContainer, article: str) -> str:
    orders = await services.aget(Orders)
    return orders.place(article)
