"""
A bus in the process of a server; import the module for its protocol.

The server controls the process, its signals, its forks and its end. A container
lives inside: it starts before the first request and exits after the last. `asgi`
uses the lifespan of the server for that; `wsgi` uses the first request or an
explicit start, and the end of the interpreter; `gunicorn` has the two hooks that
gunicorn calls at the beginning and the end of a worker.

Nothing here ends such a process. If the bus exits by itself, because a component
failed, every later request is answered with 503, and the argument *ended* of
`Hosted` can do more.
"""
