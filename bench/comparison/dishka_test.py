from dishka import Provider, Scope, make_async_container
from dishka_shop import ShopProvider, create_app
from fastapi.testclient import TestClient
from parts import Engine, Session


def test_an_order_is_placed() -> None:
    fake = Session(Engine("fake"))
    fakes = Provider(scope=Scope.REQUEST)
    fakes.provide(lambda: fake, provides=Session)
    with TestClient(create_app(make_async_container(ShopProvider(), fakes))) as client:
        client.post("/orders/tea")
    assert fake.rows == ["tea"]
