"""
A container under a WSGI server: gunicorn, mod_wsgi, uWSGI.

WSGI has requests and no lifespan. So the bus starts with the first request, unless
the server has a hook for an earlier start. It exits at the end of the interpreter,
after the threads that answer requests, unless the server has a hook for that, too.
A `Hosted` may be created before the server forks: each process starts its own bus.
"""

from __future__ import annotations

from typedbus._base.exports import export
from typedbus.hosting._errors import NotShared
from typedbus.hosting._process_owners import HostFault
from typedbus.hosting._wsgi import Hosted

__all__ = ("HostFault", "Hosted", "NotShared")

export(globals())
