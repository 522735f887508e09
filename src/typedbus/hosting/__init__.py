"""
A bus in a process that belongs to somebody else; import the module for what serves it.

The process, its signals, its forks and its end are the server's. What is left to
a container is a life inside of that: it starts before the first request and
exits after the last. `asgi` has that from the lifespan of the server, `wsgi`
from the first request or an explicit start, and from the end of the
interpreter; `gunicorn` has the two hooks with which gunicorn says both.

Nobody can be asked to end such a process, and so nothing here does. Where the
bus exits by itself, since a component failed, every request from there on is
answered with 503, and whoever made the `Hosted` may say what else is to happen.
"""
