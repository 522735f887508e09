"""The signals of django-oscar as channels: 15, of which five are sent robustly: no receiver can fail the checkout."""

from __future__ import annotations

from typing import Any, TypeAlias

from typedbus import Channel

Session: TypeAlias = dict[str, Any]


class HttpRequest: ...


class HttpResponse: ...


class View: ...


class User: ...


class Product: ...


class Review: ...


class Basket: ...


class Voucher: ...


class Order: ...


class OrderCreator: ...


class Line: ...


@Channel.declare
def basket_addition(*, sender: View, product: Product, user: User, request: HttpRequest) -> None: ...


@Channel.declare
def voucher_addition(*, sender: View, basket: Basket, voucher: Voucher) -> None: ...


@Channel.declare
def voucher_removal(*, sender: View, basket: Basket, voucher: Voucher) -> None: ...


@Channel.declare
def review_added(*, sender: View, review: Review, user: User, request: HttpRequest, response: HttpResponse) -> None: ...


@Channel.declare
def product_viewed(
    *, sender: View, product: Product, user: User, request: HttpRequest, response: HttpResponse
) -> None: ...


@Channel.declare
def start_checkout(*, sender: View, request: HttpRequest, email: str | None = None) -> None: ...


@Channel.declare
def pre_payment(*, sender: View, view: View) -> None: ...


@Channel.declare
def post_payment(*, sender: View, view: View) -> None: ...


@Channel.declare
def post_checkout(*, sender: View, order: Order, user: User, request: HttpRequest, response: HttpResponse) -> None: ...


@Channel.declare
def user_registered(*, sender: View, request: HttpRequest, user: User) -> None: ...


@Channel.declare
def user_logged_in(*, sender: View, request: HttpRequest, user: User, old_session_key: str | None) -> None: ...


@Channel.declare
def order_placed(*, sender: OrderCreator, order: Order, user: User | None) -> None: ...


@Channel.declare
def order_status_changed(*, sender: Order, order: Order, old_status: str, new_status: str) -> None: ...


@Channel.declare
def order_line_status_changed(*, sender: Line, line: Line, old_status: str, new_status: str) -> None: ...


@Channel.declare
def user_search(*, sender: View, session: Session, user: User, query: str) -> None: ...
