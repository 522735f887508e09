"""Tasks of Celery, and a container in each process of the worker; each process notes its events in the file $LIFE."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import celery
from celery.signals import task_prerun, worker_process_init, worker_process_shutdown
from shop_site import Database, note

from typedbus import Bus, Channel, Component, Container, Resource, Scoped, on, running
from typedbus.injection import injected


class Session:
    """A transaction, which notes its work."""

    def add(self, text: str) -> None:
        note(f"add {text}")


def open_session(database: Database) -> Iterator[Session]:
    assert database.is_open
    try:
        yield Session()
    except Exception as error:
        note(f"rollback {type(error).__name__}")
        raise
    note("commit")


@Channel.declare
def task_began(*, task: str) -> None:
    """A task is about to run, in this process."""


def forward_tasks(bus: Bus) -> Iterator[None]:
    """Publish a signal of Celery on `task_began`, from the start to the stop."""

    def forward(*, task: Any, **details: object) -> None:
        bus[task_began].publish(task=task.name)

    task_prerun.connect(forward, weak=False)
    try:
        yield
    finally:
        task_prerun.disconnect(forward)


class Trace:
    @on(task_began)
    def write(self, *, task: str) -> None:
        note(f"began {task.rpartition('.')[2]}")


class Shop(Container):
    bus = Component(Bus)
    trace = Component(Trace)
    signals = Resource(forward_tasks, bus.provided)
    database = Component(Database)
    session = Scoped(open_session, database.provided)


folders = {name: Path(os.environ["LIFE"]).parent / name for name in ("messages", "control", "results")}
for folder in folders.values():
    folder.mkdir(exist_ok=True)
app: Any = celery.Celery("shop_celery", broker="filesystem://localhost", backend=f"file://{folders['results']}")
app.conf.broker_transport_options = {
    "data_folder_in": str(folders["messages"]),
    "data_folder_out": str(folders["messages"]),
    "control_folder": str(folders["control"]),
}
app.conf.broker_connection_retry_on_startup = True

life = contextlib.ExitStack()


# A worker forks its processes. The parent starts nothing, since a connection or a thread would not survive that.
@worker_process_init.connect  # type: ignore[untyped-decorator]  # Celery is untyped
def start_container(**details: object) -> None:
    life.enter_context(running(Shop))


@worker_process_shutdown.connect  # type: ignore[untyped-decorator]  # as above
def exit_container(**details: object) -> None:
    life.close()


def task(**options: Any) -> Callable[[Callable[..., object]], Any]:
    """The decorator of Celery, with a type."""
    decorator: Callable[[Callable[..., object]], Any] = app.task(**options)
    return decorator


@task()
@injected(Shop.session)
def place(session: Session, name: str) -> int:
    session.add(name)
    return os.getpid()


@task(bind=True, max_retries=1, default_retry_delay=0)
@injected(Shop.session)
def charge(session: Session, this: Any, failures: int) -> int:
    attempt: int = this.request.retries
    session.add(f"attempt {attempt}")
    if attempt < failures:
        raise this.retry()
    return attempt
