"""
The signals of Celery as channels: 34, and four of each application. No listener can fail the worker: all of them are published with `attempt`.

Celery calls each receiver with ``signal`` and ``sender`` by name, and requires that it accepts further arguments.
The name of the signal is a default here, so that no publisher passes it.
"""

# ruff: noqa: A002  # the names of the parameters are those of Celery

from __future__ import annotations

from collections.abc import Callable
from logging import Logger
from types import TracebackType
from typing import Any, TypeAlias

from typedbus import Channel

Positional: TypeAlias = tuple[Any, ...]
Named: TypeAlias = dict[str, Any]


class Celery: ...


class Settings: ...


class Command: ...


class Task: ...


class Context: ...


class Request: ...


class Message: ...


class Exchange: ...


class Queue: ...


class Consumer: ...


class Worker: ...


class Pool: ...


class Heart: ...


class Beat: ...


class ExceptionInfo: ...


@Channel.declare
def before_task_publish(
    *,
    signal: str = "before_task_publish",
    sender: str,
    body: object,
    exchange: Exchange | str,
    routing_key: str | None,
    headers: Named,
    properties: Named,
    declare: list[Queue],
    retry_policy: Named | None,
) -> None: ...


@Channel.declare
def after_task_publish(
    *,
    signal: str = "after_task_publish",
    sender: str,
    body: object,
    headers: Named,
    exchange: Exchange | str,
    routing_key: str | None,
) -> None: ...


@Channel.declare
def task_received(*, signal: str = "task_received", sender: Consumer, request: Request) -> None: ...


@Channel.declare
def task_prerun(
    *, signal: str = "task_prerun", sender: Task, task_id: str, task: Task, args: Positional, kwargs: Named
) -> None: ...


@Channel.declare
def task_postrun(
    *,
    signal: str = "task_postrun",
    sender: Task,
    task_id: str,
    task: Task,
    args: Positional,
    kwargs: Named,
    retval: object,
    state: str,
) -> None: ...


@Channel.declare
def task_success(*, signal: str = "task_success", sender: Task, result: object) -> None: ...


@Channel.declare
def task_retry(
    *, signal: str = "task_retry", sender: Task, request: Context, reason: object = None, einfo: ExceptionInfo | None
) -> None: ...


@Channel.declare
def task_failure(
    *,
    signal: str = "task_failure",
    sender: Task,
    task_id: str,
    exception: BaseException,
    args: Positional,
    kwargs: Named,
    traceback: TracebackType | None,
    einfo: ExceptionInfo,
) -> None: ...


@Channel.declare
def task_internal_error(
    *,
    signal: str = "task_internal_error",
    sender: Task,
    task_id: str,
    args: Positional,
    kwargs: Named,
    request: Named,
    exception: BaseException,
    traceback: TracebackType | None,
    einfo: ExceptionInfo,
) -> None: ...


@Channel.declare
def task_revoked(
    *, signal: str = "task_revoked", sender: Task, request: Context, terminated: bool, signum: int | None, expired: bool
) -> None: ...


@Channel.declare
def task_rejected(
    *, signal: str = "task_rejected", sender: Consumer, message: Message, exc: Exception | None
) -> None: ...


@Channel.declare
def task_unknown(
    *, signal: str = "task_unknown", sender: Consumer, message: Message, exc: Exception, name: str, id: str
) -> None: ...


@Channel.declare(deprecated="use `after_task_publish`")
def task_sent(
    *,
    signal: str = "task_sent",
    sender: str,
    task_id: str,
    task: str,
    args: Positional,
    kwargs: Named,
    eta: str | None,
    taskset: str | None,
) -> None: ...


@Channel.declare
def celeryd_init(
    *, signal: str = "celeryd_init", sender: str, instance: Worker, conf: Settings, options: Named
) -> None: ...


@Channel.declare
def celeryd_after_setup(
    *, signal: str = "celeryd_after_setup", sender: str, instance: Worker, conf: Settings
) -> None: ...


@Channel.declare
def import_modules(*, signal: str = "import_modules", sender: Celery) -> None: ...


@Channel.declare
def worker_init(*, signal: str = "worker_init", sender: Worker) -> None: ...


@Channel.declare
def worker_before_create_process(*, signal: str = "worker_before_create_process", sender: Pool) -> None: ...


@Channel.declare
def worker_process_init(*, signal: str = "worker_process_init", sender: None) -> None: ...


@Channel.declare
def worker_process_shutdown(
    *, signal: str = "worker_process_shutdown", sender: None, pid: int, exitcode: int
) -> None: ...


@Channel.declare
def worker_ready(*, signal: str = "worker_ready", sender: Consumer) -> None: ...


@Channel.declare
def worker_shutdown(*, signal: str = "worker_shutdown", sender: Worker) -> None: ...


@Channel.declare
def worker_shutting_down(
    *, signal: str = "worker_shutting_down", sender: str, sig: str, how: str, exitcode: int
) -> None: ...


@Channel.declare
def heartbeat_sent(*, signal: str = "heartbeat_sent", sender: Heart) -> None: ...


@Channel.declare
def setup_logging(
    *, signal: str = "setup_logging", sender: None, loglevel: int, logfile: str | None, format: str, colorize: bool
) -> None: ...


@Channel.declare
def after_setup_logger(
    *,
    signal: str = "after_setup_logger",
    sender: None,
    logger: Logger,
    loglevel: int,
    logfile: str | None,
    format: str,
    colorize: bool,
) -> None: ...


@Channel.declare
def after_setup_task_logger(
    *,
    signal: str = "after_setup_task_logger",
    sender: None,
    logger: Logger,
    loglevel: int,
    logfile: str | None,
    format: str,
    colorize: bool,
) -> None: ...


@Channel.declare
def beat_init(*, signal: str = "beat_init", sender: Beat) -> None: ...


@Channel.declare
def beat_embedded_init(*, signal: str = "beat_embedded_init", sender: Beat) -> None: ...


@Channel.declare
def eventlet_pool_started(*, signal: str = "eventlet_pool_started", sender: Pool) -> None: ...


@Channel.declare
def eventlet_pool_preshutdown(*, signal: str = "eventlet_pool_preshutdown", sender: Pool) -> None: ...


@Channel.declare
def eventlet_pool_postshutdown(*, signal: str = "eventlet_pool_postshutdown", sender: Pool) -> None: ...


@Channel.declare
def eventlet_pool_apply(
    *, signal: str = "eventlet_pool_apply", sender: Pool, target: Callable[..., object], args: Positional, kwargs: Named
) -> None: ...


@Channel.declare
def user_preload_options(
    *, signal: str = "user_preload_options", sender: Command, app: Celery, options: Named
) -> None: ...


@Channel.declare(name="app.on_configure")
def on_configure(*, signal: str = "app.on_configure", sender: Celery) -> None: ...


@Channel.declare(name="app.on_after_configure")
def on_after_configure(*, signal: str = "app.on_after_configure", sender: Celery, source: Settings) -> None: ...


@Channel.declare(name="app.on_after_finalize")
def on_after_finalize(*, signal: str = "app.on_after_finalize", sender: Celery) -> None: ...


@Channel.declare(name="app.on_after_fork")
def on_after_fork(*, signal: str = "app.on_after_fork", sender: Celery) -> None: ...
