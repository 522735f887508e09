"""
The signals of Pelican as channels: 28, most of them with the sender alone.

The senders are positional, as in blinker, and their receivers name them as they like.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from typedbus import Channel

Context: TypeAlias = dict[str, Any]
Metadata: TypeAlias = dict[str, Any]


class Pelican: ...


class Generator: ...


class ArticlesGenerator(Generator): ...


class PagesGenerator(Generator): ...


class StaticGenerator(Generator): ...


class Content: ...


class Article(Content): ...


class Page(Content): ...


class Readers: ...


class Writer: ...


class Feed: ...


initialized = Channel[[Pelican]]("pelican_initialized")
get_generators = Channel[[Pelican], type[Generator] | Sequence[type[Generator] | None] | None]("get_generators")
all_generators_finalized = Channel[[list[Generator]]]("all_generators_finalized")
get_writer = Channel[[Pelican], type[Writer] | None]("get_writer")
finalized = Channel[[Pelican]]("pelican_finalized")

readers_init = Channel[[Readers]]("readers_init")

generator_init = Channel[[Generator]]("generator_init")
article_generator_init = Channel[[ArticlesGenerator]]("article_generator_init")
article_generator_pretaxonomy = Channel[[ArticlesGenerator]]("article_generator_pretaxonomy")
article_generator_finalized = Channel[[ArticlesGenerator]]("article_generator_finalized")
article_generator_preread = Channel[[ArticlesGenerator]]("article_generator_preread")
page_generator_init = Channel[[PagesGenerator]]("page_generator_init")
page_generator_finalized = Channel[[PagesGenerator]]("page_generator_finalized")
page_generator_preread = Channel[[PagesGenerator]]("page_generator_preread")
static_generator_init = Channel[[StaticGenerator]]("static_generator_init")
static_generator_finalized = Channel[[StaticGenerator]]("static_generator_finalized")
static_generator_preread = Channel[[StaticGenerator]]("static_generator_preread")

content_object_init = Channel[[Content]]("content_object_init")


@Channel.declare
def article_generator_write_article(generator: ArticlesGenerator, /, *, content: Article) -> None: ...


@Channel.declare
def article_writer_finalized(generator: ArticlesGenerator, /, *, writer: Writer) -> None: ...


@Channel.declare
def article_generator_context(generator: ArticlesGenerator, /, *, metadata: Metadata) -> None: ...


@Channel.declare
def page_generator_write_page(generator: PagesGenerator, /, *, content: Page) -> None: ...


@Channel.declare
def page_writer_finalized(generator: PagesGenerator, /, *, writer: Writer) -> None: ...


@Channel.declare
def page_generator_context(generator: PagesGenerator, /, *, metadata: Metadata) -> None: ...


@Channel.declare
def static_generator_context(generator: StaticGenerator, /, *, metadata: Metadata) -> None: ...


@Channel.declare
def content_written(path: str, /, *, context: Context) -> None: ...


@Channel.declare
def feed_generated(context: Context, /, *, feed: Feed) -> None: ...


@Channel.declare
def feed_written(path: str, /, *, context: Context, feed: Feed) -> None: ...
