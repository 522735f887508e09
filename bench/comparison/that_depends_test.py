from fastapi.testclient import TestClient
from parts import Engine, Session
from that_depends_shop import Shop, app


def test_an_order_is_placed() -> None:
    fake = Session(Engine("fake"))
    with Shop.session.override_context_sync(fake), TestClient(app) as client:
        client.post("/orders/tea")
    assert fake.rows == ["tea"]
