"""
The plugin events of mkdocs as channels: 19, of which 12 fold a value and one takes the first answer.

mkdocs passes the value by position, and all other arguments by name. A plugin with a high priority is called early there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from typedbus import Channel

TemplateContext: TypeAlias = dict[str, Any]


class Config: ...


class LiveReloadServer: ...


class Files: ...


class Navigation: ...


class Page: ...


class Environment: ...


class Template: ...


@Channel.declare
def startup(*, command: Literal["build", "gh-deploy", "serve"], dirty: bool) -> None: ...


@Channel.declare
def shutdown() -> None: ...


@Channel.declare
def serve(server: LiveReloadServer, /, *, config: Config, builder: Callable[[], None]) -> LiveReloadServer | None: ...


@Channel.declare
def config(config: Config, /) -> Config | None: ...


@Channel.declare
def pre_build(*, config: Config) -> None: ...


@Channel.declare
def files(files: Files, /, *, config: Config) -> Files | None: ...


@Channel.declare
def nav(nav: Navigation, /, *, config: Config, files: Files) -> Navigation | None: ...


@Channel.declare
def env(env: Environment, /, *, config: Config, files: Files) -> Environment | None: ...


@Channel.declare
def post_build(*, config: Config) -> None: ...


@Channel.declare
def build_error(*, error: Exception) -> None: ...


@Channel.declare
def pre_template(template: Template, /, *, template_name: str, config: Config) -> Template | None: ...


@Channel.declare
def template_context(context: TemplateContext, /, *, template_name: str, config: Config) -> TemplateContext | None: ...


@Channel.declare
def post_template(output_content: str, /, *, template_name: str, config: Config) -> str | None: ...


@Channel.declare
def pre_page(page: Page, /, *, config: Config, files: Files) -> Page | None: ...


@Channel.declare(deprecated="set the content of a file in `files`, or use `page_markdown`")
def page_read_source(*, page: Page, config: Config) -> str | None: ...


@Channel.declare
def page_markdown(markdown: str, /, *, page: Page, config: Config, files: Files) -> str | None: ...


@Channel.declare
def page_content(html: str, /, *, page: Page, config: Config, files: Files) -> str | None: ...


@Channel.declare
def page_context(
    context: TemplateContext, /, *, page: Page, config: Config, nav: Navigation
) -> TemplateContext | None: ...


@Channel.declare
def post_page(output: str, /, *, page: Page, config: Config) -> str | None: ...
