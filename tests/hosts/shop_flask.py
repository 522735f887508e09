"""The site as an application of Flask, for `flask run`."""

import time

import flask
from shop_site import note, shop

from typedbus.hosting import wsgi

app = flask.Flask(__name__)


@app.get("/")
@app.get("/slow")
def page() -> bytes:
    if flask.request.path == "/slow":
        note("request")
        time.sleep(0.5)
    return shop.database().pid()


app.wsgi_app = wsgi.Hosted(app.wsgi_app, shop)  # type: ignore[method-assign]  # so Flask documents it
