"""
A bookshop on the web: FastAPI, SQLAlchemy, the prices of a wholesaler over HTTP, and letters sent in the background.

Start reading in `site`, which combines the packages `catalogue`, `orders` and `notices`, and in `infra`, which all of
them use. README.md describes how to run it.
"""
