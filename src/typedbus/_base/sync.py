"""
Queues and locks that fit the current kind of threads in this process.

gevent and eventlet may replace the threads of a process with greenlets after
typedbus was imported. A greenlet that waits on a queue or a lock of real threads
blocks all greenlets of its thread forever. So the classes of queues and locks are
looked up when an object is created, and not when its user is imported.
"""

from __future__ import annotations

import _queue
import _thread
import queue
import threading
import types
from typing import Any


def simple_queue() -> queue.SimpleQueue[Any]:
    """Return a queue for the threads of this process; with real threads a signal handler may fill it."""
    # gevent can replace the queue and keep real threads, which could not wake each other with gevent's queue.
    if isinstance(_thread.start_new_thread, types.BuiltinFunctionType):
        return _queue.SimpleQueue()
    return queue.SimpleQueue()


def new_lock() -> threading.Lock:
    """Return a lock for the threads of this process."""
    return threading.Lock()


def new_reentrant_lock() -> threading.RLock:
    """Return a lock for the threads of this process that its owner may take again, as a signal handler does."""
    return threading.RLock()
