"""The WSGI application that hosts a container, and the function by which the hooks of servers reach its host."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from typedbus._base.limits import Limits
from typedbus._container.container import Container
from typedbus.hosting._host import Host
from typedbus.hosting._report import text_of
from typedbus.injection._wsgi import ScopedWSGI

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
        app: The application that answers the requests.
        container: The container that declares the bus, or its class, of which each `Hosted` creates its own instance.
        others: Containers that share this bus, or their classes.
        workers: How many components may start, or stop, concurrently; by default the setting of the bus.
        limits: How long hooks, a start and a stop may take; by default the setting of the bus.
        ended: Called in a separate thread when the bus that this `Hosted` started has exited by itself.
        scopes: Whether each request has a scope, which all these containers share, as in `ScopedWSGI`.
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
        scopes: bool = False,
    ) -> None:
        self._host = Host((container, *others), workers, limits, ended)
        self._app = ScopedWSGI(app, self._host.containers[0]) if scopes else app

    def start(self) -> None:
        """
        Start the bus now, in the calling thread; nothing happens if it is started.

        Use it with a server that has a hook for the beginning of a process: the bus is
        then started before the first request, and a process whose start fails answers none.

        Raises:
            InvalidContainer: A container has faults, which include `HostFault`; nothing was started.
            TransitionFailures: The start failed; the components that had started were stopped and have exited.
            StartCancelled: `exit` was called meanwhile.
            NotShared: Other code has started the bus without one of the containers, or is stopping it.
            WaitError: The caller is a component that takes part in the start.
            ExceptionGroup: The start failed, and so did the exit after it.
            LimitError: *workers* is not a whole number from 1 up.
        """
        self._host.start()

    def exit(self) -> None:
        """
        Exit the bus and wait for that; nothing happens if this `Hosted` has not started it, or if it has exited.

        Raises:
            BaseException: The failure of the exit, as `Bus.block` raises it.
        """
        self._host.exit()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        host = self._host
        if not host.is_serving and not host.has_started:
            try:
                host.start()
            except Exception as error:
                environ["wsgi.errors"].write(f"{text_of(error)}\n")
                environ["wsgi.errors"].flush()
        if not host.is_serving:
            headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(_BODY)))]
            start_response("503 Service Unavailable", headers)
            return [_BODY]
        return self._app(environ, start_response)


def host_of(hosted: Hosted) -> Host:
    """Return the host of *hosted*; a function, since it is not for users."""
    return hosted._host  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # the class above
