from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from dishka import AsyncContainer, Provider, Scope, make_async_container, provide
from dishka.integrations.fastapi import DishkaRoute, FromDishka, setup_dishka
from fastapi import APIRouter, FastAPI
from parts import URL, Engine, Orders, Session


class ShopProvider(Provider):
    scope = Scope.REQUEST

    @provide(scope=Scope.APP)
    async def engine(self) -> AsyncIterator[Engine]:
        engine = Engine(URL)
        yield engine
        await engine.dispose()

    @provide
    async def session(self, engine: Engine) -> AsyncGenerator[Session, BaseException | None]:
        session = Session(engine)
        error = yield session
        if error is None:
            await session.commit()
        else:
            await session.roll_back()

    orders = provide(Orders)


router = APIRouter(route_class=DishkaRoute)


@router.post("/orders/{article}")
async def place(orders: FromDishka[Orders], article: str) -> str:
    return orders.place(article)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    await app.state.dishka_container.close()


def create_app(container: AsyncContainer) -> FastAPI:
    app = FastAPI(lifespan=lifespan)
    app.include_router(router)
    setup_dishka(container, app)
    return app


app = create_app(make_async_container(ShopProvider()))
