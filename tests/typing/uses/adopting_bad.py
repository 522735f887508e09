"""Wrong listeners and publishes of the events of other programs: each marked line is refused."""

from collections.abc import Mapping
from typing import Any

from adopting import beets, celery, flask, mkdocs, mopidy, oscar, pelican, wagtail
from adopting.wagtail import HttpRequest, HttpResponse, MenuItem, Model, Page, QuerySet, ServePage, User
from typedbus import Bus, Component, Container, Listeners, on


class PelicanPlugin:
    @on(pelican.initialized)  # E
    def takes_a_generator(self, site: pelican.Generator) -> None: ...

    @on(pelican.get_writer)  # E
    def returns_an_instance(self, site: pelican.Pelican) -> pelican.Writer:
        return pelican.Writer()

    @on(pelican.get_generators)  # E
    def returns_a_writer(self, site: pelican.Pelican) -> type[pelican.Writer]:
        return pelican.Writer

    @on(pelican.page_generator_init)  # E
    def takes_articles(self, generator: pelican.ArticlesGenerator) -> None: ...

    @on(pelican.article_generator_context)  # E
    def drops_the_metadata(self, generator: pelican.ArticlesGenerator) -> None: ...

    @on(pelican.feed_written)  # E
    def drops_the_feed(self, path: str, /, *, context: pelican.Context) -> None: ...

    @on(pelican.content_written)  # E
    def renames_the_context(self, path: str, /, *, variables: pelican.Context) -> None: ...


def build_site(bus: Bus, site: pelican.Pelican, articles: pelican.ArticlesGenerator, page: pelican.Page) -> None:
    bus[pelican.initialized].publish()  # E
    bus[pelican.all_generators_finalized].publish(articles)  # E
    bus[pelican.article_generator_context].publish(articles)  # E
    bus[pelican.article_generator_write_article].publish(articles, content=page)  # E
    bus[pelican.article_writer_finalized].publish(articles, pelican.Writer())  # E
    bus[pelican.feed_written].publish("feed.xml", context={})  # E
    bus[pelican.feed_generated].publish({}, feed="feed.xml")  # E
    _writers: list[type[pelican.Writer]] = bus[pelican.get_writer].publish(site)  # E
    _writer: type[pelican.Writer] = bus[pelican.get_writer].first(site)  # E


class MkdocsPlugin:
    @on(mkdocs.config)  # E
    def returns_a_mapping(self, config: mkdocs.Config) -> dict[str, str]:
        return {}

    @on(mkdocs.page_markdown)  # E
    def drops_page_and_files(self, markdown: str, *, config: mkdocs.Config) -> str:
        return markdown

    @on(mkdocs.page_markdown)  # E
    def returns_bytes(self, markdown: str, **_: object) -> bytes:
        return markdown.encode()

    @on(mkdocs.startup)  # E
    def takes_build_alone(self, *, command: mkdocs.Page, dirty: bool) -> None: ...

    @on(mkdocs.build_error)  # E
    def takes_an_os_error(self, *, error: OSError) -> None: ...

    @on(mkdocs.page_read_source)  # E
    def listens_to_a_deprecated_event(self, *, page: mkdocs.Page, config: mkdocs.Config) -> str:
        return "# Tea"


def build_page(bus: Bus, config: mkdocs.Config, page: mkdocs.Page, files: mkdocs.Files) -> None:
    bus[mkdocs.startup].publish(command="deploy", dirty=False)  # E
    bus[mkdocs.shutdown].publish(config=config)  # E
    bus[mkdocs.config].fold(files)  # E
    bus[mkdocs.files].fold(files)  # E
    bus[mkdocs.nav].fold(files, config=config, files=files)  # E
    bus[mkdocs.page_markdown].fold(b"text", page=page, config=config, files=files)  # E
    bus[mkdocs.page_read_source].fold(page=page, config=config)  # E
    bus[mkdocs.post_page].fold("text", page=page).strip()  # E
    bus[mkdocs.page_read_source].first(page=page, config=config).strip()  # E
    _files: mkdocs.Files = bus[mkdocs.config].fold(config)  # E
    _sources: list[str] = bus[mkdocs.page_read_source].publish(page=page, config=config)  # E


class CeleryReceivers:
    @on(celery.task_prerun)  # E
    def drops_what_follows(self, sender: celery.Task, task_id: str) -> None: ...

    @on(celery.task_prerun)  # E
    def takes_a_list(self, *, args: list[int], **_: object) -> None: ...

    @on(celery.task_failure)  # E
    def takes_a_value_error(self, *, exception: ValueError, **_: object) -> None: ...

    @on(celery.task_sent)  # E
    def listens_to_a_deprecated_signal(self, *, task_id: str, **_: object) -> None: ...

    @on(celery.worker_ready)  # E
    def returns_true(self, **kwargs: Any) -> bool:
        return True


def run_task(bus: Bus, task: celery.Task, consumer: celery.Consumer, pool: celery.Pool) -> None:
    bus[celery.task_prerun].attempt(sender=task, task_id="1", task=task, args=())  # E
    bus[celery.task_prerun].attempt(task, task_id="1", task=task, args=(), kwargs={})  # E
    bus[celery.task_prerun].attempt(sender=task, task_id="1", task=task, args=(), kwargs=())  # E
    bus.publish(celery.task_prerun, sender=task, task_id=1, task=task, args=(), kwargs={})  # E
    bus[celery.task_received].attempt(sender=consumer, request=task)  # E
    bus[celery.eventlet_pool_apply].attempt(sender=pool, target="print", args=(), kwargs={})  # E
    bus[celery.worker_process_init].attempt(sender=pool)  # E
    bus[celery.task_success].attempt(sender=task, result=3, state="SUCCESS")  # E
    _results: tuple[str, ...] = bus[celery.task_success].attempt(sender=task, result=3).results  # E
    for answer in bus[celery.task_success].attempt(sender=task, result=3):
        raise answer.error  # E


class BeetsPlugin:
    @on(beets.item_moved)  # E
    def drops_the_destination(self, item: beets.Item, source: bytes) -> None: ...

    @on(beets.item_copied)  # E
    def takes_text(self, *, item: beets.Item, source: str, destination: str) -> None: ...

    @on(beets.import_task_before_choice)  # E
    def returns_the_name_of_an_action(self, session: beets.ImportSession, task: beets.ImportTask) -> str:
        return "apply"

    @on(beets.import_task_created)  # E
    def returns_one_task(self, session: beets.ImportSession, task: beets.ImportTask) -> beets.ImportTask:
        return task

    @on(beets.mb_album_extract)  # E
    def returns_nothing_of_use(self, data: Mapping[str, Any]) -> list[str]:
        return []

    @on(beets.database_change)  # E
    def takes_items_alone(self, *, lib: beets.Library, model: beets.Item) -> None: ...

    @on(beets.pluginload)  # E
    def needs_a_library(self, lib: beets.Library) -> None: ...


def import_album(bus: Bus, library: beets.Library, session: beets.ImportSession, task: beets.ImportTask) -> None:
    bus[beets.import_].publish(lib=library, paths=["music"])  # E
    bus[beets.item_moved].publish(beets.Item(), b"a", b"b")  # E
    bus[beets.album_imported].publish(lib=library)  # E
    bus[beets.art_set].publish(album=beets.Item())  # E
    bus[beets.smartplaylist_update].publish(lib=library)  # E
    bus[beets.import_task_created].publish(session=session, task=task)[0].append(task)  # E
    _action: beets.Action = bus[beets.import_task_before_choice].first(session=session, task=task)  # E
    bus[beets.mb_track_extract].fold(data={})  # E


class FlaskReceivers:
    @on(flask.template_rendered)  # E
    def drops_the_context(self, app: flask.Flask, template: flask.Template) -> None: ...

    @on(flask.request_tearing_down)  # E
    def takes_an_exception_alone(self, app: flask.Flask, exc: Exception) -> None: ...

    @on(flask.message_flashed)  # E
    async def waits(self, app: flask.Flask, *, message: str, category: str) -> None: ...


def respond(bus: Bus, app: flask.Flask) -> None:
    bus[flask.request_started].publish(app=app)  # E
    bus[flask.template_rendered].publish(app, template="index.html", context={})  # E
    bus[flask.request_finished].publish(app)  # E
    bus[flask.got_request_exception].publish(app, exception=KeyboardInterrupt())  # E
    bus[flask.message_flashed].publish(app, "Saved", "info")  # E


class MopidyFrontend:
    @on(mopidy.volume_changed)  # E
    def takes_a_duration(self, volume: mopidy.DurationMs) -> None: ...

    @on(mopidy.track_playback_ended)  # E
    def drops_the_position(self, tl_track: mopidy.TlTrack) -> None: ...

    @on(mopidy.stream_changed)  # E
    def needs_a_uri(self, uri: mopidy.Uri) -> None: ...

    @on(mopidy.tags_changed)  # E
    def takes_a_list(self, tags: list[str]) -> None: ...


def play(bus: Bus, track: mopidy.TlTrack) -> None:
    bus[mopidy.volume_changed].attempt(volume=50)  # E
    bus[mopidy.volume_changed].attempt(volume=mopidy.DurationMs(50))  # E
    bus[mopidy.seeked].attempt()  # E
    bus[mopidy.track_playback_paused].attempt(tl_track=track)  # E
    bus[mopidy.playback_state_changed].attempt(old_state="playing", new_state="paused")  # E
    bus[mopidy.mute_changed].attempt(True)  # E


class WagtailHooks:
    @on(wagtail.page_published)  # E
    def drops_the_revision(self, sender: type[Page], instance: Page) -> None: ...

    @on(wagtail.page_published)  # E
    def takes_the_sender_as_its_instance(self, instance: type[Page], **kwargs: Any) -> None: ...

    @on(wagtail.before_delete_page)  # E
    def returns_text(self, request: HttpRequest, page: Page) -> str:
        return "no"

    @on(wagtail.before_create_page)  # E
    def drops_the_class(self, request: HttpRequest, parent_page: Page) -> HttpResponse | None:
        return None

    @on(wagtail.construct_main_menu)  # E
    def returns_the_items(self, request: HttpRequest, menu_items: list[MenuItem]) -> list[MenuItem]:
        return menu_items

    @on(wagtail.construct_page_chooser_queryset)  # E
    def forgets_the_result(self, pages: QuerySet[Page], request: HttpRequest) -> None: ...

    @on(wagtail.on_serve_page)  # E
    def returns_a_response(self, next_serve_page: ServePage) -> HttpResponse:
        return HttpResponse()

    @on(oscar.order_placed)  # E
    def needs_a_user(self, *, order: oscar.Order, user: oscar.User, **_: object) -> None: ...


def serve(bus: Bus, page: Page, request: HttpRequest, user: User, pages: QuerySet[Model]) -> None:
    bus[wagtail.page_published].publish(Page, instance=page, revision=wagtail.Revision())  # E
    bus[wagtail.page_published].publish(sender=Page, instance=page)  # E
    bus[wagtail.page_unpublished].publish(sender=page, instance=page)  # E
    bus[wagtail.before_edit_page].first(page, request)  # E
    _response: HttpResponse = bus[wagtail.before_edit_page].first(request, page)  # E
    bus[wagtail.construct_page_chooser_queryset].fold(pages, request)  # E
    bus[wagtail.get_avatar_url].first(user, "50").upper()  # E
    bus[wagtail.register_page_listing_buttons].publish(page=page, user=user)  # E


def edit(bus: Bus, page: Page, request: HttpRequest) -> None:
    bus[wagtail.before_edit_page].fold(request, page)  # E


def check_out(bus: Bus, view: oscar.View, order: oscar.Order) -> None:
    bus[oscar.start_checkout].attempt(sender=view)  # E
    bus[oscar.order_status_changed].publish(sender=order, order=order, old_status="new")  # E
    bus[oscar.order_placed].publish(sender=view, order=order, user=None)  # E


listeners = Listeners()


@listeners.on(pelican.finalized)  # E
def needs_nothing() -> None: ...


@listeners.on(mkdocs.post_page)  # E
def counts(output: str, **_: object) -> int:
    return len(output)


@listeners.on(celery.task_failure)  # E
def takes_the_sender_alone(sender: celery.Task) -> None: ...


@listeners.on(beets.item_removed)  # E
def takes_an_album(item: beets.Album) -> None: ...


@listeners.on(flask.got_request_exception)  # E
def takes_the_exception_by_another_name(app: flask.Flask, error: Exception) -> None: ...


@listeners.on(mopidy.mute_changed)  # E
def takes_a_volume(*, volume: int) -> None: ...


@listeners.on(wagtail.register_admin_menu_item)  # E
def takes_the_request(request: HttpRequest) -> MenuItem:
    return MenuItem()


@listeners.on(wagtail.page_published, wagtail.page_unpublished)  # E
def needs_a_revision(instance: Page, revision: wagtail.Revision, **kwargs: Any) -> None: ...


@listeners.on(oscar.user_search)  # E
def has_no_place_for_the_session(sender: oscar.View, query: str, user: oscar.User) -> None: ...


def watch(bus: Bus) -> None:
    def takes_the_path(path: str, /) -> None: ...

    def takes_a_number(markdown: int, /, **_: object) -> None: ...

    bus[pelican.feed_written].watch(takes_the_path)  # E
    bus[mkdocs.page_markdown].watch(takes_a_number)  # E
    bus.watch(takes_the_path)  # E


class Programs(Container):
    bus = Component(Bus)
    functions = Component(listeners, "bus")  # E
