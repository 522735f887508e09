"""Listeners and publishes of the events of other programs, as their code has them: every line is accepted."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from adopting import beets, celery, flask, mkdocs, mopidy, oscar, pelican, wagtail
from adopting.pelican import Generator
from adopting.wagtail import Button, HttpRequest, HttpResponse, MenuItem, Page, QuerySet, ServePage, User
from typedbus import Bus, Component, Container, Listeners, Published, on


class FeedWriter(pelican.Writer): ...


class TagsGenerator(pelican.Generator): ...


class PelicanPlugin:
    @on(pelican.initialized)
    def read_settings(self, site: pelican.Pelican) -> None: ...

    @on(pelican.get_generators)
    def generators(self, site: pelican.Pelican) -> Sequence[type[Generator]]:
        return [TagsGenerator, Generator]

    @on(pelican.get_generators)
    def generator(self, site: object) -> type[TagsGenerator]:
        return TagsGenerator

    @on(pelican.get_writer)
    def writer(self, site: pelican.Pelican) -> type[FeedWriter]:
        return FeedWriter

    @on(pelican.article_generator_context, pelican.page_generator_context)
    def read_metadata(self, generator: Generator, /, *, metadata: pelican.Metadata) -> None: ...

    @on(pelican.feed_written)
    def sign(self, path: str, /, *, feed: pelican.Feed, **_: object) -> None: ...


def build_site(bus: Bus, site: pelican.Pelican, articles: pelican.ArticlesGenerator) -> type[pelican.Writer]:
    bus[pelican.initialized].publish(site)
    bus[pelican.generator_init].publish(articles)
    bus[pelican.article_generator_context].publish(articles, metadata={"title": "Tea"})
    bus[pelican.feed_written].publish("feed.xml", feed=pelican.Feed(), context={})
    generators: list[type[Generator]] = []
    for answer in bus[pelican.get_generators].publish(site):
        several = answer if isinstance(answer, Sequence) else [answer]
        generators.extend(generator for generator in several if generator is not None)
    writers = [writer for writer in bus[pelican.get_writer].publish(site) if writer is not None]
    return writers[0] if writers else bus[pelican.get_writer].first(site) or pelican.Writer


class MkdocsPlugin:
    @on(mkdocs.startup)
    def on_startup(self, *, command: str, dirty: bool) -> None: ...

    @on(mkdocs.config)
    def on_config(self, config: mkdocs.Config, **_: object) -> mkdocs.Config:
        return config

    @on(mkdocs.page_markdown, priority=0)
    def on_page_markdown(self, markdown: str, *, page: mkdocs.Page, **_: object) -> str | None:
        return markdown.upper() if page else None

    @on(mkdocs.post_build)
    @on(mkdocs.pre_build)
    def on_build(self, config: mkdocs.Config) -> None: ...


def build_page(bus: Bus, config: mkdocs.Config, page: mkdocs.Page, files: mkdocs.Files, nav: mkdocs.Navigation) -> str:
    bus[mkdocs.startup].publish(command="serve", dirty=False)
    config = bus[mkdocs.config].fold(config)
    files = bus[mkdocs.files].fold(files, config=config)
    source: str | None = bus[mkdocs.page_read_source].first(page=page, config=config)
    markdown = bus[mkdocs.page_markdown].fold(source or "", page=page, config=config, files=files)
    context = bus[mkdocs.page_context].fold({"text": markdown}, page=page, config=config, nav=nav)
    return bus[mkdocs.post_page].fold(str(context), page=page, config=config).strip()


class CeleryReceivers:
    @on(celery.task_prerun)
    def begin(self, sender: celery.Task, **kwargs: Any) -> None: ...

    @on(celery.task_postrun)
    def end(self, *, task_id: str, args: tuple[Any, ...], kwargs: dict[str, Any], state: str, **_: object) -> None: ...

    @on(celery.worker_shutting_down)
    def warn(self, sender: str, sig: str, how: str, exitcode: int, signal: str = "") -> None: ...

    @on(celery.setup_logging)
    def configure(self, **kwargs: Any) -> None: ...


def run_task(bus: Bus, task: celery.Task, pool: celery.Pool, context: celery.Context) -> None:
    bus[celery.task_prerun].attempt(sender=task, task_id="1", task=task, args=(1,), kwargs={"count": 2})
    bus.publish(celery.task_prerun, sender=task, task_id="1", task=task, args=(1,), kwargs={"count": 2})
    bus[celery.task_retry].attempt(sender=task, request=context, einfo=None)
    bus[celery.eventlet_pool_apply].attempt(sender=pool, target=print, args=(), kwargs={})
    attempt = bus[celery.task_success].attempt(sender=task, result=3)
    errors: list[Exception] = [answer.error for answer in attempt if answer.error is not None]
    results: tuple[None, ...] = attempt.results
    print(errors, results)


def load(bus: Bus, app: celery.Celery) -> None:
    for answer in bus[celery.import_modules].attempt(sender=app):
        if answer.error is not None:
            raise answer.error


class BeetsPlugin:
    @on(beets.pluginload)
    @on(beets.smartplaylist_update)
    def update(self) -> None: ...

    @on(beets.item_moved)
    @on(beets.item_copied)
    def record_path(self, item: beets.Item, source: bytes, destination: bytes) -> None: ...

    @on(beets.write)
    def clean_tags(self, *, tags: dict[str, Any], **_: object) -> None:
        tags.pop("comments", None)

    @on(beets.import_task_before_choice)
    def choose(self, session: beets.ImportSession, task: beets.ImportTask) -> beets.Action:
        return beets.Action()

    @on(beets.mb_track_extract)
    def extract(self, data: Mapping[str, Any]) -> dict[str, Any]:
        return {"work": data["work"]}


def import_album(bus: Bus, library: beets.Library, session: beets.ImportSession, task: beets.ImportTask) -> None:
    bus[beets.import_].publish(lib=library, paths=[b"music"])
    bus[beets.item_moved].publish(item=beets.Item(), source=b"a", destination=b"b")
    bus[beets.database_change].publish(lib=library, model=beets.Album())
    created: list[list[beets.ImportTask] | None] = bus[beets.import_task_created].publish(session=session, task=task)
    tasks = [replacement for answer in created if answer is not None for replacement in answer]
    actions = [action for action in bus[beets.import_task_before_choice].publish(session=session, task=task) if action]
    only: beets.Action | None = bus[beets.import_task_before_choice].first(session=session, task=task)
    print(tasks, actions, only)


class FlaskReceivers:
    @on(flask.template_rendered)
    def record(self, app: flask.Flask, template: flask.Template, context: dict[str, Any]) -> None: ...

    @on(flask.request_finished)
    def finish(self, sender: flask.Flask, response: flask.Response, **extra: Any) -> None: ...

    @on(flask.request_tearing_down)
    @on(flask.appcontext_tearing_down)
    def close(self, sender: object, *, exc: BaseException | None) -> None: ...


def respond(bus: Bus, app: flask.Flask) -> None:
    bus[flask.request_started].publish(app)
    bus[flask.template_rendered].publish(app, template=flask.Template(), context={})
    bus[flask.message_flashed].publish(app, message="Saved", category="info")
    bus[flask.request_tearing_down].publish(app, exc=None)


class MopidyFrontend:
    @on(mopidy.volume_changed)
    @on(mopidy.mixer_volume_changed)
    def show_volume(self, volume: int) -> None: ...

    @on(mopidy.track_playback_paused)
    @on(mopidy.track_playback_resumed)
    @on(mopidy.track_playback_ended)
    def show(self, *, tl_track: mopidy.TlTrack, time_position: int) -> None: ...

    @on(mopidy.stream_changed)
    def show_uri(self, uri: str | None) -> None: ...


def play(bus: Bus, track: mopidy.TlTrack) -> None:
    bus[mopidy.track_playback_started].attempt(tl_track=track)
    bus[mopidy.volume_changed].attempt(volume=mopidy.Percentage(50))
    bus[mopidy.stream_changed].attempt(uri=None)
    bus[mopidy.state_changed].attempt(
        old_state=mopidy.PlaybackState.PLAYING, new_state=mopidy.PlaybackState.PAUSED, target_state=None
    )


class BlogPage(Page): ...


class WagtailHooks:
    @on(wagtail.page_published)
    def purge(self, instance: Page, **kwargs: Any) -> None: ...

    @on(wagtail.before_delete_page)
    @on(wagtail.before_edit_page)
    def refuse(self, request: HttpRequest, page: Page) -> HttpResponse | None:
        return HttpResponse() if isinstance(page, BlogPage) else None

    @on(wagtail.before_create_page)
    def create(self, request: HttpRequest, parent_page: Page, page_class: type[Page]) -> HttpResponse:
        return HttpResponse()

    @on(wagtail.construct_main_menu)
    def hide(self, request: HttpRequest, menu_items: list[MenuItem]) -> None:
        menu_items.clear()

    @on(wagtail.register_page_listing_buttons)
    def buttons(self, *, page: Page, user: User, next_url: str | None = None) -> Iterator[Button]:
        yield Button()

    @on(wagtail.construct_explorer_page_queryset)
    def own(self, pages: QuerySet[Page], parent_page: Page, request: HttpRequest) -> QuerySet[BlogPage]:
        return QuerySet()

    @on(wagtail.on_serve_page)
    def add_headers(self, next_serve_page: ServePage) -> ServePage:
        return next_serve_page

    @on(wagtail.insert_global_admin_css)
    def css(self) -> str:
        return "<style></style>"

    @on(oscar.order_placed)
    def ship(self, *, order: oscar.Order, **_: object) -> None: ...


def serve(bus: Bus, page: Page, request: HttpRequest, serve_page: ServePage) -> HttpResponse:
    bus[wagtail.page_published].publish(sender=type(page), instance=page, revision=wagtail.Revision())
    response = bus[wagtail.before_serve_page].first(page, request, (), {})
    if response is not None:
        return response
    pages: QuerySet[Page] = bus[wagtail.construct_explorer_page_queryset].fold(QuerySet[Page](), page, request)
    css = "".join(bus[wagtail.insert_global_admin_css].publish())
    listed: list[Iterable[Button | MenuItem]] = bus[wagtail.register_page_listing_buttons].publish(
        page=page, user=User(), next_url=None
    )
    print(pages, css, listed)
    return bus[wagtail.on_serve_page].fold(serve_page)(page, request, (), {})


def check_out(bus: Bus, view: oscar.View, order: oscar.Order) -> None:
    bus[oscar.start_checkout].attempt(sender=view, request=oscar.HttpRequest())
    bus[oscar.order_placed].publish(sender=oscar.OrderCreator(), order=order, user=None)
    bus[oscar.order_status_changed].publish(sender=order, order=order, old_status="new", new_status="paid")


listeners = Listeners()


@listeners.on(pelican.finalized)
def publish_site(site: pelican.Pelican) -> None: ...


@listeners.on(mkdocs.post_page)
def minify(html: str, **kwargs: Any) -> str:
    return html.strip()


@listeners.on(celery.task_failure)
def report(sender: celery.Task, exception: BaseException, **kwargs: Any) -> None: ...


@listeners.on(beets.item_removed)
def forget(item: beets.LibModel) -> None: ...


@listeners.on(flask.got_request_exception)
def notify(sender: flask.Flask, exception: Exception, **extra: Any) -> None: ...


@listeners.on(mopidy.mute_changed)
@listeners.on(mopidy.mixer_mute_changed)
def show_mute(*, mute: bool) -> None: ...


@listeners.on(wagtail.register_admin_menu_item)
def menu_item() -> MenuItem:
    return MenuItem()


@listeners.on(wagtail.page_published, wagtail.page_unpublished)
def purge_page(instance: Page, **kwargs: Any) -> None: ...


@listeners.on(oscar.user_search)
def record_query(sender: oscar.View, query: str, user: oscar.User, **kwargs: Any) -> None: ...


def record_event(published: Published) -> None:
    print(published.channel.name, published.args, published.kwargs)


def record_path(path: str, **_: object) -> int:
    return len(path)


def watch(bus: Bus) -> None:
    bus.watch(record_event)
    bus[pelican.feed_written].watch(record_path)
    bus[mkdocs.page_markdown].watch(record_path)
    bus[wagtail.before_delete_page].watch(lambda request, page: print(request, page))


class Programs(Container):
    bus = Component(Bus)
    functions = Component(listeners)
    pelican_plugin = Component(PelicanPlugin)
    mkdocs_plugin = Component(MkdocsPlugin)
    celery_receivers = Component(CeleryReceivers)
    beets_plugin = Component(BeetsPlugin)
    flask_receivers = Component(FlaskReceivers)
    mopidy_frontend = Component(MopidyFrontend)
    wagtail_hooks = Component(WagtailHooks)
