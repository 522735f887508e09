"""The signals of Flask as channels: 10. The application is the sender, by position; all else is passed by name."""

from __future__ import annotations

from typing import Any

from typedbus import Channel


class Flask: ...


class Template: ...


class Response: ...


def of_template(app: Flask, /, *, template: Template, context: dict[str, Any]) -> None: ...


def of_teardown(app: Flask, /, *, exc: BaseException | None) -> None: ...


request_started = Channel[[Flask]]("request-started")
appcontext_pushed = Channel[[Flask]]("appcontext-pushed")
appcontext_popped = Channel[[Flask]]("appcontext-popped")

before_render_template = Channel.declare(of_template, name="before-render-template")
template_rendered = Channel.declare(of_template, name="template-rendered")

request_tearing_down = Channel.declare(of_teardown, name="request-tearing-down")
appcontext_tearing_down = Channel.declare(of_teardown, name="appcontext-tearing-down")


@Channel.declare(name="request-finished")
def request_finished(app: Flask, /, *, response: Response) -> None: ...


@Channel.declare(name="got-request-exception")
def got_request_exception(app: Flask, /, *, exception: Exception) -> None: ...


@Channel.declare(name="message-flashed")
def message_flashed(app: Flask, /, *, message: str, category: str) -> None: ...
