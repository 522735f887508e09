"""
A shop that takes orders, from a file or on the web, and keeps its books in SQLite.

``python -m examples.shop`` reads the file; ``--help`` tells the choices.
``typedbus run examples.shop.site:Site --config examples/shop/shop.toml`` serves
the shop by itself, and `hosted` is for uvicorn and gunicorn. Begin to read in
`container`, which says what the shop consists of, and `channels`, which says
what its parts tell each other; `site` adds to it what the web needs.
"""
