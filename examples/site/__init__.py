"""
One site of three frameworks: pages by Flask, an API by FastAPI and a back office by Django, over one stock.

Each framework has its own package and container, and imports none of the other frameworks. All of them depend on
the components of `infra`. ``typedbus run examples.site.container:Site --config examples/site/site.toml`` serves the site by
itself, ``uvicorn examples.site.asgi:application`` or ``gunicorn examples.site.wsgi:application`` in a process of
the server's, and so does mod_wsgi with `wsgi`.
"""
