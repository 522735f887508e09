from fastapi.testclient import TestClient
from parts import Engine, Session
from svcs_shop import app, lifespan


def test_an_order_is_placed() -> None:
    fake = Session(Engine("fake"))
    with TestClient(app) as client:
        lifespan.registry.register_value(Session, fake)
        client.post("/orders/tea")
    assert fake.rows == ["tea"]
