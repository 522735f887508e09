"""The threads that call hooks for a scheduler, and the stacks of threads."""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Callable
from queue import SimpleQueue

from typedbus._base.sync import simple_queue
from typedbus._bus.hooks import PhaseCallbacks


class HookWorker:
    """
    A thread that calls functions, one after the other, until one of them returns False.

    Attributes:
        calls: The functions to call; None ends the thread.
        thread: The thread, which the creator has to start.
        on: None, because a thread runs its hooks without an event loop; see `Runner`.
    """

    def __init__(self) -> None:
        self.on: None = None
        self.calls: SimpleQueue[Callable[[], bool] | None] = simple_queue()
        # Not a subclass: gevent may replace `threading.Thread` after the import of this module.
        # The interpreter does not wait for daemon threads: a hook that hangs must not keep the process alive.
        self.thread = threading.Thread(target=self._run, daemon=True)

    def stack(self) -> str:
        """Return the present stack of the thread as text, from the hook inwards."""
        return stack_of_thread(self.thread.ident)

    def _run(self) -> None:
        while (call := self.calls.get()) is not None:
            if not call():
                return


class HookWorkers:
    """
    The worker threads of one phase, which are reused.

    Args:
        callbacks: Called when a thread has been started, and when one has ended.
    """

    def __init__(self, callbacks: PhaseCallbacks) -> None:
        self._callbacks = callbacks
        self._idle: list[HookWorker] = []

    def get(self) -> HookWorker | None:
        """Return an idle worker thread; None if none can be started, as while the interpreter shuts down."""
        if self._idle:
            return self._idle.pop()
        worker = HookWorker()
        try:
            worker.thread.start()
        except RuntimeError:
            return None
        assert worker.thread.ident is not None
        self._callbacks.joined(worker.thread.ident)
        return worker

    def put(self, worker: HookWorker) -> None:
        """Take back *worker*, which is idle."""
        self._idle.append(worker)

    def dismiss(self) -> None:
        """End the idle threads, and wait for their ends."""
        while self._idle:
            worker = self._idle.pop()
            worker.calls.put(None)
            worker.thread.join()
            assert worker.thread.ident is not None
            self._callbacks.left(worker.thread.ident)


def raised_by(listener: Callable[[], object]) -> BaseException | None:
    """
    Call *listener* and return the exception that it raised, or None.

    A function of its own, so that no frame in the traceback holds the exception.
    """
    try:
        result = listener()
    except BaseException as raised:
        return raised
    if isinstance(result, types.CoroutineType):
        result.close()
        return TypeError("it returned a coroutine, which is not awaited: declare the hook itself with `async def`")
    return None


def stack_of_thread(ident: int | None) -> str:
    """Return the stack of the thread as text, from the hook inwards if it calls one; "" if the thread does not run."""
    import traceback  # only needed to report an overrun

    frames = sys._current_frames()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    frame = None if ident is None else frames.get(ident)
    within_hook = []
    while frame is not None and frame.f_code is not raised_by.__code__:
        within_hook.append((frame, frame.f_lineno))
        frame = frame.f_back
    return "".join(traceback.StackSummary.extract(iter(reversed(within_hook))).format())
