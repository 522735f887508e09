"""A worker of Celery with processes of its own: a container in each, and a scope around each task."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from host_process import FULL_LIFE, LIMIT, Host, hosts_in

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="processes are read from /proc")]

WORKER = "celery --app shop_celery worker --pool prefork --concurrency 2 --loglevel WARNING --without-mingle"


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Host]:
    """A worker with two processes."""
    with hosts_in(tmp_path) as begin:
        yield begin(WORKER, {}, {})


@pytest.fixture
def tasks(worker: Host, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The tasks, as their callers see them."""
    monkeypatch.setenv("LIFE", str(worker.life_file))
    import shop_celery

    return shop_celery


def test_each_task_of_a_worker_has_a_scope(worker: Host, tasks: Any) -> None:
    """
    A retry and the last failure roll back; each process has started its container, and exits it.

    The signals of Celery reach the channels of the container in the process of the task, once.
    """
    from celery.exceptions import MaxRetriesExceededError

    pid = tasks.place.delay("tea").get(timeout=LIMIT, interval=0.05)
    assert [text for each, text in worker.notes if each == pid] == ["start", "began place", "add tea", "commit"]

    assert tasks.charge.delay(1).get(timeout=LIMIT, interval=0.05) == 1
    with pytest.raises(MaxRetriesExceededError):
        tasks.charge.delay(5).get(timeout=LIMIT, interval=0.05)

    assert worker.end(signal.SIGTERM) == 0, worker.described()
    life = [text for _, text in worker.notes if text not in FULL_LIFE]
    first = ["began charge", "add attempt 0", "rollback Retry", "began charge", "add attempt 1"]
    assert life == ["began place", "add tea", "commit", *first, "commit", *first, "rollback MaxRetriesExceededError"]
    lives = [[text for text in notes if text in FULL_LIFE] for notes in worker.lives.values()]
    assert lives == [FULL_LIFE, FULL_LIFE]
