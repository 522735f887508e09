"""Injected tasks of Celery, called in this process; `tests/hosts` has a worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import celery
import pytest
from celery.exceptions import MaxRetriesExceededError
from tests.injection.shop import Orders, Session, Shop

from typedbus.injection import injected

app: Any = celery.Celery("shop", set_as_current=False)
app.conf.task_always_eager = True


def task(**options: Any) -> Callable[[Callable[..., object]], Any]:
    """The decorator of Celery, with a type."""
    decorator: Callable[[Callable[..., object]], Any] = app.task(**options)
    return decorator


@task()
@injected(Shop.orders)
def place(orders: Orders, name: str, count: int = 1) -> int:
    return orders.place(name) * count


@task(bind=True, max_retries=2, default_retry_delay=0)
@injected(Shop.session)
def charge(session: Session, this: Any, card: str, failures: int) -> str:
    session.add(f"attempt {this.request.retries}")
    if this.request.retries < failures:
        raise this.retry()
    return card


@task(autoretry_for=(ConnectionError,), max_retries=1, default_retry_delay=0)
@injected(Shop.session)
def send(session: Session) -> None:
    session.add("mail")
    raise ConnectionError


def test_a_task_gets_its_components_before_its_arguments(shop: Shop, notes: list[str]) -> None:
    """Celery checks those that a caller passes."""
    assert place.delay("tea", count=2).get() == 6
    assert notes == ["begin", "add tea", "commit"]

    app.conf.task_always_eager = False
    try:
        with pytest.raises(TypeError):
            place.delay("tea", 2, 3)
    finally:
        app.conf.task_always_eager = True


def test_a_retry_rolls_back(shop: Shop, notes: list[str]) -> None:
    """It is an exception; the next attempt has a scope of its own."""
    assert charge.delay("visa", 1).get() == "visa"
    assert notes == ["begin", "add attempt 0", "rollback Retry", "begin", "add attempt 1", "commit"]


def test_the_last_attempt_rolls_back(shop: Shop, notes: list[str]) -> None:
    """Celery raises another exception then."""
    with pytest.raises(MaxRetriesExceededError):
        charge.delay("visa", 5).get()
    assert notes[-3:] == ["begin", "add attempt 2", "rollback MaxRetriesExceededError"]


def test_an_automatic_retry_rolls_back(shop: Shop, notes: list[str]) -> None:
    """Celery catches the exception outside of the task."""
    with pytest.raises(ConnectionError):
        send.delay().get()
    assert notes == ["begin", "add mail", "rollback ConnectionError"] * 2


def test_a_commit_that_fails_is_the_failure_of_the_task(shop: Shop, notes: list[str]) -> None:
    """The caller gets it."""
    with pytest.raises(OSError, match="rejected"):
        place.delay("rejected").get()
    assert notes == ["begin", "add rejected", "no commit"]
