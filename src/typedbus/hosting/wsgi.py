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

from typedbus._base.limits import Limits
from typedbus._container.container import Container
from typedbus.hosting._host import Host, HostFault, NotShared, reason

__all__ = ("HostFault", "Hosted", "NotShared")

_BODY = b"Service Unavailable\n"


class Hosted:
    """
    A WSGI application that answers requests while the bus of its container runs.

    The first request starts the bus, in its thread; requests that come meanwhile
    wait for that start. If the start fails they are answered with 503, the
    reason goes to ``wsgi.errors``, and the next request tries again. The bus
    exits at the end of the interpreter. If it exits before, because a component
    requested it, the reason goes to stderr, and every later request is answered
    with 503 until the bus is started again or the process ends. `Bus.restart`
    is a `RestartError`. No signal is touched. A process that is forked off
    starts a bus of its own, at its first request.

    If other code has started the bus of the containers, another `Hosted`,
    `running`, `run` or `Bus.start`, this one shares the bus: it answers while the
    bus is STARTED, and never stops or exits it. *workers*, *limits* and *ended*
    have no effect then, and components that belong to the owner of a process
    are not refused.

    Args:
        app: What answers the requests.
        container: The one that declares the bus, or its class; of a class each `Hosted` makes an instance of its own.
        others: Containers that listen and publish on it as well.
        workers: How many components may start, or stop, side by side; unless given, what the bus says.
        limits: How long hooks, a start and a stop may take; unless given, what the bus says.
        ended: Called in a thread of its own when the bus that this `Hosted` started has exited by itself.
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

        For a server with a hook for the begin of a process: the first request
        finds the bus started, and a process that cannot start answers none.

        Raises:
            InvalidContainer: With every fault, `HostFault` among them; nothing was started.
            TransitionFailures: The bus did not start; what had started was stopped, and has exited.
            StartCancelled: `exit` was called meanwhile.
            NotShared: Other code has started the bus, without one of the containers, or stops it at present.
            WaitError: It is called by a component in the middle of the start.
            ExceptionGroup: The start failed, and so did the exit after it.
            LimitError: *workers* is no whole number from 1 up.
        """
        self._host.start()

    def exit(self) -> None:
        """
        Exit the bus and wait for that; nothing happens if this `Hosted` has not started it, or if it has exited.

        Raises:
            BaseException: What the exit failed with, as `Bus.block` raises it.
        """
        self._host.exit()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        host = self._host
        if not host.is_serving and not host.has_started:
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
HostFault.__module__ = NotShared.__module__ = "typedbus.hosting.wsgi"
