"""
A shop that takes orders, from a file or on the web, keeps its books in SQLite, and reorders from suppliers over HTTP.

``python -m examples.shop`` reads the file; ``--help`` lists the options.
``typedbus run examples.shop.site:Site --config examples/shop/shop.toml`` serves
the shop with its own server, and its metrics on ``/metrics``; with ``--set
shop.traces=true`` it writes traces of OpenTelemetry to stderr. `hosted` is for
uvicorn and gunicorn. Start reading in `container`, which declares the components of
the shop, and `channels`, which declares the messages between them; `site` adds the
components for the web.
"""
