"""What the publishers of eight programs do with the results of their listeners, with the channels of this folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from tests.adopting import beets, celery, flask, mkdocs, mopidy, oscar, pelican, wagtail
from tests.adopting.wagtail import HttpRequest, HttpResponse, Page, ServePage

from typedbus import Bus, ChannelFailures, Listeners, Published


class TagsGenerator(pelican.Generator): ...


class FeedWriter(pelican.Writer): ...


class BuildError(Exception):
    """As in mkdocs: the build catches it by its class."""


class PluginError(BuildError):
    """Raised by a plugin."""


def test_pelican_collects_generators_and_takes_the_first_writer() -> None:
    """A plugin may return one generator, several or None; the program warns of a second writer."""
    listeners = Listeners()

    @listeners.on(pelican.get_generators)
    def one(site: pelican.Pelican, /) -> type[pelican.Generator]:
        return TagsGenerator

    @listeners.on(pelican.get_generators)
    def several(site: pelican.Pelican, /) -> Sequence[type[pelican.Generator] | None]:
        return [pelican.ArticlesGenerator, None]

    @listeners.on(pelican.get_generators)
    def none(site: pelican.Pelican, /) -> None: ...

    @listeners.on(pelican.get_writer)
    def writer(site: pelican.Pelican, /) -> type[FeedWriter]:
        return FeedWriter

    @listeners.on(pelican.get_writer)
    def plain(site: pelican.Pelican, /) -> type[pelican.Writer]:
        return pelican.Writer

    bus = Bus()
    with listeners.subscribe(bus):
        answers = bus[pelican.get_generators].publish(pelican.Pelican())
        writers = bus[pelican.get_writer].publish(pelican.Pelican())

    generators: list[type[pelican.Generator]] = []
    for answer in answers:
        for generator in answer if isinstance(answer, Sequence) else [answer]:
            generators += [] if generator is None else [generator]
    assert generators == [TagsGenerator, pelican.ArticlesGenerator]
    assert writers == [FeedWriter, pelican.Writer]


def test_mkdocs_skips_a_page_that_a_plugin_has_emptied() -> None:
    """An empty string is a value, and None is not."""
    listeners = Listeners()

    @listeners.on(mkdocs.post_page)
    def empty(output: str, /, *, page: mkdocs.Page, config: mkdocs.Config) -> str:
        return ""

    @listeners.on(mkdocs.post_page)
    def keep(output: str, /, **_: object) -> None: ...

    bus = Bus()
    with listeners.subscribe(bus):
        output = bus[mkdocs.post_page].fold("<p>Tea</p>", page=mkdocs.Page(), config=mkdocs.Config())

    assert output == ""


def test_mkdocs_calls_plugins_of_high_priority_first() -> None:
    """A priority of mkdocs, 100 for the first and -100 for the last, is subtracted from the default."""
    listeners = Listeners()

    @listeners.on(mkdocs.page_markdown, priority=50 - -100)
    def late(markdown: str, /, **_: object) -> str:
        return f"{markdown} late"

    @listeners.on(mkdocs.page_markdown)
    def plain(markdown: str, /, **_: object) -> str:
        return f"{markdown} plain"

    @listeners.on(mkdocs.page_markdown, priority=50 - 100)
    def early(markdown: str, /, **_: object) -> str:
        return f"{markdown} early"

    bus = Bus()
    with listeners.subscribe(bus):
        markdown = bus[mkdocs.page_markdown].fold("#", page=mkdocs.Page(), config=mkdocs.Config(), files=mkdocs.Files())

    assert markdown == "# early plain late"


def test_mkdocs_finds_the_build_error_of_a_plugin() -> None:
    """The failures of a publish are a group, in which the program finds the class that it caught before."""
    listeners = Listeners()
    reason = PluginError("no link")

    @listeners.on(mkdocs.pre_build)
    def check(*, config: mkdocs.Config) -> None:
        raise reason

    bus = Bus()
    with listeners.subscribe(bus), pytest.raises(ChannelFailures) as caught:
        bus[mkdocs.pre_build].publish(config=mkdocs.Config())

    assert caught.value.find(BuildError) is reason


def test_celery_raises_the_first_failure_of_an_import() -> None:
    """The attempt calls all receivers, and this publisher raises what one of them has raised."""
    listeners = Listeners()
    imported: list[str] = []

    @listeners.on(celery.import_modules)
    def fail(sender: celery.Celery, **kwargs: Any) -> None:
        raise ImportError("no module named shop.tasks")

    @listeners.on(celery.import_modules)
    def succeed(**kwargs: Any) -> None:
        imported.append("shop")

    bus = Bus()
    with listeners.subscribe(bus), pytest.raises(ImportError, match=r"shop\.tasks"):
        for answer in bus[celery.import_modules].attempt(sender=celery.Celery()):
            if answer.error is not None:
                raise answer.error

    assert imported == ["shop"]


@pytest.mark.parametrize("connected", [False, True])
def test_celery_configures_logging_unless_a_receiver_has(connected: bool) -> None:
    """An attempt is empty if no receiver was called; a watcher of the bus is not a receiver."""
    listeners = Listeners()
    if connected:

        @listeners.on(celery.setup_logging)
        def configure(**kwargs: Any) -> None: ...

    bus = Bus()
    with listeners.subscribe(bus), bus.watch(lambda published: None):
        attempt = bus[celery.setup_logging].attempt(
            sender=None, loglevel=20, logfile=None, format="%(message)s", colorize=False
        )

    assert bool(attempt) is connected


def test_celery_leaves_the_reason_of_a_retry_out() -> None:
    """A receiver gets the default of the declaration, and the name of the signal."""
    listeners = Listeners()
    received: list[dict[str, object]] = []

    @listeners.on(celery.task_retry)
    def record(**kwargs: object) -> None:
        received.append(kwargs)

    bus, task, context = Bus(), celery.Task(), celery.Context()
    with listeners.subscribe(bus):
        bus[celery.task_retry].attempt(sender=task, request=context, einfo=None)

    assert received == [{"signal": "task_retry", "sender": task, "request": context, "reason": None, "einfo": None}]


def test_beets_refuses_two_actions_for_one_task() -> None:
    """The program needs all results: one action is taken, and two are a conflict of plugins."""
    listeners = Listeners()
    skip, retag = beets.Action(), beets.Action()

    @listeners.on(beets.import_task_before_choice)
    def silent(session: beets.ImportSession, task: beets.ImportTask) -> None: ...

    @listeners.on(beets.import_task_before_choice)
    def skips(task: beets.ImportTask, **_: object) -> beets.Action:
        return skip

    @listeners.on(beets.import_task_before_choice)
    def retags(task: beets.ImportTask, **_: object) -> beets.Action:
        return retag

    bus = Bus()
    with listeners.subscribe(bus):
        results = bus[beets.import_task_before_choice].publish(session=beets.ImportSession(), task=beets.ImportTask())

    assert [action for action in results if action is not None] == [skip, retag]


def test_beets_writes_the_tags_that_plugins_have_changed() -> None:
    """A listener may change an argument, and leave out the parameters that it does not need."""
    listeners = Listeners()

    @listeners.on(beets.write)
    def remove_comments(*, tags: dict[str, Any], **_: object) -> None:
        del tags["comments"]

    bus = Bus()
    tags: dict[str, Any] = {"title": "Tea", "comments": "best"}
    with listeners.subscribe(bus):
        bus[beets.write].publish(item=beets.Item(), path=b"tea.flac", tags=tags)

    assert tags == {"title": "Tea"}


def test_flask_records_the_templates_of_a_block() -> None:
    """As in a test of a Flask application: the subscription ends with the block."""
    listeners = Listeners()
    recorded: list[tuple[flask.Template, Mapping[str, Any]]] = []

    @listeners.on(flask.template_rendered)
    def record(app: flask.Flask, /, *, template: flask.Template, context: dict[str, Any]) -> None:
        recorded.append((template, context))

    bus, app, template = Bus(), flask.Flask(), flask.Template()
    with listeners.subscribe(bus):
        bus[flask.template_rendered].publish(app, template=template, context={"title": "Tea"})
    bus[flask.template_rendered].publish(app, template=flask.Template(), context={})

    assert recorded == [(template, {"title": "Tea"})]


def test_mopidy_sends_all_events_to_on_event() -> None:
    """A watcher of the bus gets the event's name and its arguments, also if a listener fails."""
    listeners = Listeners()
    events: list[tuple[str, Mapping[str, Any]]] = []

    @listeners.on(mopidy.volume_changed)
    @listeners.on(mopidy.mixer_volume_changed)
    def fail(*, volume: mopidy.Percentage) -> None:
        raise ValueError(volume)

    def on_event(published: Published) -> None:
        events.append((published.channel.name, published.kwargs))

    bus = Bus()
    with listeners.subscribe(bus), bus.watch(on_event):
        bus[mopidy.volume_changed].attempt(volume=mopidy.Percentage(50))
        bus[mopidy.mixer_volume_changed].attempt(volume=mopidy.Percentage(60))
        bus[mopidy.tracklist_changed].attempt()

    assert events == [
        ("core.volume_changed", {"volume": 50}),
        ("mixer.volume_changed", {"volume": 60}),
        ("core.tracklist_changed", {}),
    ]


def test_wagtail_returns_the_first_response_of_a_hook() -> None:
    """A later hook is not called, since the view has ended."""
    listeners = Listeners()
    refusal = HttpResponse()

    @listeners.on(wagtail.before_delete_page)
    def allow(request: HttpRequest, page: Page, /) -> None: ...

    @listeners.on(wagtail.before_delete_page)
    def refuse(request: HttpRequest, page: Page, /) -> HttpResponse:
        return refusal

    @listeners.on(wagtail.before_delete_page)
    def late(request: HttpRequest, page: Page, /) -> None:
        pytest.fail("is called after the response")

    bus = Bus()
    with listeners.subscribe(bus):
        response = bus[wagtail.before_delete_page].first(HttpRequest(), Page())

    assert response is refusal


def test_wagtail_purges_a_page_that_is_published_or_unpublished() -> None:
    """One function listens to two signals of different parameters, and is not given the sender as its instance."""
    listeners = Listeners()
    purged: list[Page] = []

    @listeners.on(wagtail.page_published, wagtail.page_unpublished)
    def purge(instance: Page, **kwargs: Any) -> None:
        purged.append(instance)

    bus, page, other = Bus(), Page(), Page()
    with listeners.subscribe(bus):
        bus[wagtail.page_published].publish(sender=Page, instance=page, revision=wagtail.Revision())
        bus[wagtail.page_unpublished].publish(sender=Page, instance=other)

    assert purged == [page, other]


def test_wagtail_serves_a_page_through_the_functions_of_its_hooks() -> None:
    """wagtail wraps the first function around all others, so the orders of its hooks are negated."""
    listeners = Listeners()
    calls: list[str] = []

    def named(name: str, following: ServePage) -> ServePage:
        def serve(page: Page, request: HttpRequest, args: Sequence[Any], kwargs: Mapping[str, Any]) -> HttpResponse:
            calls.append(name)
            return following(page, request, args, kwargs)

        return serve

    @listeners.on(wagtail.on_serve_page, priority=-1)
    def outer(next_serve_page: ServePage, /) -> ServePage:
        return named("outer", next_serve_page)

    @listeners.on(wagtail.on_serve_page, priority=-2)
    def inner(next_serve_page: ServePage, /) -> ServePage:
        return named("inner", next_serve_page)

    def serve_page(page: Page, request: HttpRequest, args: Sequence[Any], kwargs: Mapping[str, Any]) -> HttpResponse:
        calls.append("page")
        return HttpResponse()

    bus = Bus()
    with listeners.subscribe(bus):
        bus[wagtail.on_serve_page].fold(serve_page)(Page(), HttpRequest(), (), {})

    assert calls == ["outer", "inner", "page"]


def test_oscar_continues_a_checkout_when_a_receiver_fails() -> None:
    """The view sends robustly, and neither raises nor reads the results."""
    listeners = Listeners()

    @listeners.on(oscar.start_checkout)
    def fail(*, request: oscar.HttpRequest, **_: object) -> None:
        raise ConnectionError("no analytics")

    bus = Bus()
    with listeners.subscribe(bus):
        attempt = bus[oscar.start_checkout].attempt(sender=oscar.View(), request=oscar.HttpRequest())

    assert [str(answer.error) for answer in attempt] == ["no analytics"]
