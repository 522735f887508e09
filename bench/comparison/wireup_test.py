from fastapi.testclient import TestClient
from parts import Engine, Session
from wireup.integration.fastapi import get_app_container
from wireup_shop import app


def test_an_order_is_placed() -> None:
    fake = Session(Engine("fake"))
    with get_app_container(app).override.injectable(Session, new=fake), TestClient(app) as client:
        client.post("/orders/tea")
    assert fake.rows == ["tea"]
