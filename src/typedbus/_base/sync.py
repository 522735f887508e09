"""
Queues and locks for the threads that this process has now.

gevent and eventlet may replace the threads of a process by greenlets after
typedbus was imported. A greenlet that waits on a queue or a lock of real threads
stops all greenlets of its thread, for ever. So these are looked up when they are
made, and not when the module or the class that uses them is defined.
"""

from __future__ import annotations

import _queue
import _thread
import queue
import threading
import types
from typing import Any


def simple_queue() -> queue.SimpleQueue[Any]:
    """Return a queue for the threads of this process; on real threads one that a signal handler may fill."""
    # gevent can replace the queue and leave the threads as they are. They would never wake each other by its queue.
    if isinstance(_thread.start_new_thread, types.BuiltinFunctionType):
        return _queue.SimpleQueue()
    return queue.SimpleQueue()


def new_lock() -> threading.Lock:
    """Return a lock for the threads of this process."""
    return threading.Lock()
