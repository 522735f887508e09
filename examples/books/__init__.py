"""
A bookshop on the web: FastAPI, SQLAlchemy, a wholesaler that is asked over HTTP, and letters sent in the background.

Start reading in `site`, which puts the packages `catalogue`, `orders` and `notices` together, and in `infra`,
which they share. README.md describes how to run it.
"""
