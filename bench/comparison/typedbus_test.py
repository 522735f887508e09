from fastapi.testclient import TestClient
from parts import Engine, Session
from typedbus_shop import Shop, site

from typedbus.hosting.asgi import Hosted


def test_an_order_is_placed() -> None:
    shop = Shop()
    fake = Session(Engine("fake"))
    with shop.override(Shop.session).by(fake), TestClient(Hosted(site, shop, scopes=True)) as client:
        client.post("/orders/tea")
    assert fake.rows == ["tea"]
