"""
The hooks that gunicorn calls when a worker begins and when it ends.

In ``gunicorn.conf.py``: ``from typedbus.hosting.gunicorn import post_worker_init, worker_exit``.
This module imports neither gunicorn nor the application: without ``preload_app``
the master, which reads that file, must not import the application.
"""

from __future__ import annotations

from typedbus._base.structured import StructuredError
from typedbus.hosting import asgi, wsgi
from typedbus.hosting._wsgi import host_of

__all__ = ("LeftStart", "NotOutermost", "post_worker_init", "worker_exit")


class LeftStart(StructuredError, RuntimeError):
    """
    Raised by `post_worker_init` if a component left the start by `sys.exit`.

    gunicorn would treat that as a normal end of the worker, and start another worker, again and again.

    Attributes:
        code: The argument of `sys.exit`.
    """

    code: object

    def __str__(self) -> str:
        return (
            f"a component called sys.exit({self.code!r}) in the start of this worker; "
            "correct the problem that it reported before, or make it raise an exception instead"
        )


class NotOutermost(StructuredError, TypeError):
    """
    Raised by `post_worker_init` if the application of gunicorn is not a `Hosted`.

    Attributes:
        app: The application.
    """

    app: object

    def __str__(self) -> str:
        return (
            f"the application of this worker is {self.app!r}, which starts no bus; "
            "make the Hosted the outermost application: Hosted(middleware(app), Shop)"
        )


def post_worker_init(worker: object) -> None:
    """
    Start the bus of a worker before its first request; an ASGI worker does that in its lifespan instead.

    Raises:
        NotOutermost: The application is not a `Hosted`.
        LeftStart: A component left the start by `sys.exit`.
        BaseException: As in `typedbus.hosting.wsgi.Hosted.start`. gunicorn then ends with status 3.
    """
    # ASGI workers have the application there as well, or no such attribute.
    app = getattr(worker, "wsgi", None)
    if isinstance(app, wsgi.Hosted):
        try:
            app.start()
        except SystemExit as exit_request:
            raise LeftStart(exit_request.code) from exit_request
    elif app is not None and not isinstance(app, asgi.Hosted):
        raise NotOutermost(app)


def worker_exit(server: object, worker: object) -> None:
    """
    Exit the bus of a worker, and report failures on stderr; nothing happens if it was not started.

    gunicorn calls it after the last request, and also in the master, which has no bus, for a worker that has ended.
    """
    app = getattr(worker, "wsgi", None)
    if isinstance(app, wsgi.Hosted):
        host_of(app).end()
