"""
One site of three frameworks: pages by Flask, an API by FastAPI and a back office by Django, over one stock.

Each framework has a package and a container of its own, and knows none of the others. All of them are given the
components of `infra`. ``typedbus run examples.site.container:Site --config examples/site/site.toml`` serves the site by
itself, ``uvicorn examples.site.asgi:application`` or ``gunicorn examples.site.wsgi:application`` in a process of
the server's, and so does mod_wsgi with `wsgi`.
"""
