"""
The hooks with which gunicorn says that a worker begins, and that it ends.

In ``gunicorn.conf.py``: ``from typedbus.hosting.gunicorn import post_worker_init, worker_exit``.
Nothing of gunicorn is imported, and nothing of the application: without
``preload_app`` the master, which reads that file, is not to have it.
"""

from __future__ import annotations

from typedbus.hosting import asgi, wsgi

__all__ = ("LeftStart", "NotOutermost", "post_worker_init", "worker_exit")


class LeftStart(RuntimeError):
    """
    Raised by `post_worker_init` where a component left the start by `sys.exit`.

    gunicorn would take that for a worker that has done its work, and begin another one, again and again.

    Attributes:
        code: What was given to `sys.exit`.
    """

    def __init__(self, code: object) -> None:
        super().__init__(code)
        self.code = code

    def __str__(self) -> str:
        return (
            f"a component left the start of this worker with sys.exit({self.code!r}); "
            "mend what it told before that, or have it raise what it met"
        )


class NotOutermost(TypeError):
    """
    Raised by `post_worker_init` where what gunicorn was given is no `Hosted`.

    Attributes:
        app: What it was given.
    """

    def __init__(self, app: object) -> None:
        super().__init__(app)
        self.app = app

    def __str__(self) -> str:
        return (
            f"the application of this worker is {self.app!r}, which starts no bus; "
            "put the Hosted around everything else: Hosted(middleware(app), Shop)"
        )


def post_worker_init(worker: object) -> None:
    """
    Start the bus of a worker, before its first request; one that speaks ASGI goes through the lifespan for that.

    Raises:
        NotOutermost: The application is something else.
        LeftStart: A component left the start by `sys.exit`.
        BaseException: As `typedbus.hosting.wsgi.Hosted.start`. gunicorn ends then, with status 3.
    """
    # Workers of ASGI have it there as well, or nothing.
    app = getattr(worker, "wsgi", None)
    if isinstance(app, wsgi.Hosted):
        try:
            app.start()
        except SystemExit as leaving:
            raise LeftStart(leaving.code) from leaving
    elif app is not None and not isinstance(app, asgi.Hosted):
        raise NotOutermost(app)


def worker_exit(server: object, worker: object) -> None:
    """
    Exit the bus of a worker, and tell on stderr what failed; nothing happens if it was not started.

    gunicorn calls it after the last request, and in the master, which has no bus, for a worker that is gone.
    """
    app = getattr(worker, "wsgi", None)
    if isinstance(app, wsgi.Hosted):
        app._host.end()
