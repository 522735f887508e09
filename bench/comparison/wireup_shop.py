from collections.abc import AsyncIterator

import wireup.integration.fastapi
from fastapi import FastAPI
from parts import URL, Engine, Orders, Session
from wireup import Injected, create_async_container, injectable


@injectable
async def open_engine() -> AsyncIterator[Engine]:
    engine = Engine(URL)
    yield engine
    await engine.dispose()


@injectable(lifetime="scoped")
async def open_session(engine: Engine) -> AsyncIterator[Session]:
    session = Session(engine)
    try:
        yield session
    except BaseException:
        await session.roll_back()
        raise
    await session.commit()


app = FastAPI()


@app.post("/orders/{article}")
async def place(orders: Injected[Orders], article: str) -> str:
    return orders.place(article)


orders = injectable(Orders, lifetime="scoped")
container = create_async_container(injectables=[open_engine, open_session, orders])
wireup.integration.fastapi.setup(container, app)
