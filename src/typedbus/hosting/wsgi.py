"""
A container under a WSGI server: gunicorn, mod_wsgi, uWSGI.

WSGI knows requests alone. So the bus starts with the first one, unless the
server has a place to say it before, and exits at the end of the interpreter,
after the threads in which requests are answered, unless the server has a place
for that, too. One `Hosted` may be made before the server forks: each process
starts a bus of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from typedbus._container import Container
from typedbus._turns import Limits
from typedbus.hosting._host import Host, HostFault, reason

__all__ = ("HostFault", "Hosted")

_BODY = b"Service Unavailable\n"


class Hosted:
    """
    A WSGI application that answers requests while the bus of its container runs.

    The first request starts the bus, in its thread, and those that come
    meanwhile wait for that. If it does not start they are answered with 503, the
    reason goes to ``wsgi.errors``, and the next request tries again. The bus
    exits at the end of the interpreter. Where it exits before, because a
    component asked for it, the reason goes to stderr, and every later request is
    answered with 503 until the process ends or `start` is called. `Bus.restart`
    is a `RestartError`. No signal is touched. In a process that is forked off
    nothing is started, whatever was in its parent.

    Args:
        app: What answers the requests.
        container: The one that declares the bus, or its class.
        others: Containers that listen and publish on it as well.
        workers: How many components may start, or stop, side by side; unless given, what the bus says.
        limits: How long hooks, a start and a stop may take; unless given, what the bus says.
        ended: Called when the bus has exited by itself, in a thread of the host's.
    """

    def __init__(
        self,
        app: WSGIApplication,
        container: Container | type[Container],
        /,
        *others: Container | type[Container],
        workers: int | None = None,
        limits: Limits | None = None,
        ended: Callable[[], object] | None = None,
    ) -> None:
        self._app = app
        self._host = Host((container, *others), workers, limits, ended)

    def start(self) -> None:
        """
        Start the bus now, in the calling thread; nothing happens if it is started.

        For a server that says when a process begins, so that the first request
        finds it started, and a process that cannot start answers none.

        Raises:
            InvalidContainer: With every fault, `HostFault` among them; nothing was started.
            TransitionFailures: The bus did not start; what had started was stopped, and has exited.
            StartCancelled: `exit` was called meanwhile.
            ExceptionGroup: The start failed, and so did the exit after it.
            LimitError: *workers* is no whole number from 1 up.
        """
        self._host.start()

    def exit(self) -> None:
        """
        Exit the bus and wait for that; nothing happens if it was not started, or has exited.

        Raises:
            BaseException: What the exit failed with, as `Bus.block` raises it.
        """
        self._host.exit()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        host = self._host
        if not host.is_serving and not host.is_over:
            try:
                host.start()
            except Exception as error:
                environ["wsgi.errors"].write(f"{reason(error)}\n")
                environ["wsgi.errors"].flush()
        if not host.is_serving:
            headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(_BODY)))]
            start_response("503 Service Unavailable", headers)
            return [_BODY]
        return self._app(environ, start_response)


# Tracebacks and pickles name the place from which users import.
HostFault.__module__ = "typedbus.hosting.wsgi"
