"""The pages for customers, by Flask."""

from html import escape

import attrs
from flask import Flask, abort, redirect, url_for
from werkzeug.wrappers import Response

from examples.site.infra import Infra, SoldOut, Stock
from typedbus import Component, Container, on
from typedbus.servers.mounts import MOUNT, WSGIMount
from typedbus.settings import configured


@attrs.frozen
class PagesSettings:
    """The table ``[pages]``."""

    path: str = "/"
    title: str = "The shop"


class Pages:
    """The Flask application, which shows the stock and sells from it."""

    def __init__(self, settings: PagesSettings, stock: Stock) -> None:
        self._settings = settings
        self._stock = stock
        self._app = Flask(__name__)
        self._app.add_url_rule("/", "home", self.home)
        self._app.add_url_rule("/buy/<article>", "buy", self.buy, methods=["POST"])

    @on(MOUNT)
    def mount(self) -> WSGIMount:
        """Contribute the application to the site."""
        return WSGIMount(self._settings.path, self._app)

    def home(self) -> str:
        """Show the goods, with a button for each."""
        rows = "".join(
            f'<form method="post" action="{url_for("buy", article=article)}">'
            f"{escape(article)}: {left} left <button>buy</button></form>"
            for article, left in self._stock.all().items()
        )
        title = escape(self._settings.title)
        return f"<!doctype html><title>{title}</title><h1>{title}</h1>{rows}"

    def buy(self, article: str) -> Response:
        """Sell one piece, and show the goods again."""
        try:
            self._stock.sell(article)
        except SoldOut:
            abort(409, f"no {article} is left")
        return redirect(url_for("home"), 303)


class PagesContainer(Container):
    """The part of the site that Flask answers."""

    settings = configured(PagesSettings, section="pages")
    pages = Component(Pages, settings.provided, Infra.stock.provided)
