"""
The events of eight programs: name, parameters, and what the program does with the results of the listeners.

A line is ``name(parameters)``, and after ``->`` how the program publishes: *results* uses each result, *first* takes the
first answer, *fold* passes the first argument on, *attempt* never raises and ignores the results. Without an arrow the
listeners return nothing. ``...`` is a default. An event that is *deprecated* has a replacement.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Final

import attrs

PELICAN: Final = """
pelican_initialized(pelican, /)
get_generators(pelican, /) -> results
all_generators_finalized(generators, /)
get_writer(pelican, /) -> results
pelican_finalized(pelican, /)
readers_init(readers, /)
generator_init(generator, /)
article_generator_init(generator, /)
article_generator_pretaxonomy(generator, /)
article_generator_finalized(generator, /)
article_generator_write_article(generator, /, *, content)
article_writer_finalized(generator, /, *, writer)
article_generator_preread(generator, /)
article_generator_context(generator, /, *, metadata)
page_generator_init(generator, /)
page_generator_finalized(generator, /)
page_generator_write_page(generator, /, *, content)
page_writer_finalized(generator, /, *, writer)
page_generator_preread(generator, /)
page_generator_context(generator, /, *, metadata)
static_generator_init(generator, /)
static_generator_finalized(generator, /)
static_generator_preread(generator, /)
static_generator_context(generator, /, *, metadata)
content_object_init(content, /)
content_written(path, /, *, context)
feed_generated(context, /, *, feed)
feed_written(path, /, *, context, feed)
"""

MKDOCS: Final = """
startup(*, command, dirty)
shutdown()
serve(server, /, *, config, builder) -> fold
config(config, /) -> fold
pre_build(*, config)
files(files, /, *, config) -> fold
nav(nav, /, *, config, files) -> fold
env(env, /, *, config, files) -> fold
post_build(*, config)
build_error(*, error)
pre_template(template, /, *, template_name, config) -> fold
template_context(context, /, *, template_name, config) -> fold
post_template(output_content, /, *, template_name, config) -> fold
pre_page(page, /, *, config, files) -> fold
page_read_source(*, page, config) -> first, deprecated
page_markdown(markdown, /, *, page, config, files) -> fold
page_content(html, /, *, page, config, files) -> fold
page_context(context, /, *, page, config, nav) -> fold
post_page(output, /, *, page, config) -> fold
"""

CELERY: Final = """
before_task_publish(*, signal=..., sender, body, exchange, routing_key, headers, properties, declare, retry_policy) -> attempt
after_task_publish(*, signal=..., sender, body, headers, exchange, routing_key) -> attempt
task_received(*, signal=..., sender, request) -> attempt
task_prerun(*, signal=..., sender, task_id, task, args, kwargs) -> attempt
task_postrun(*, signal=..., sender, task_id, task, args, kwargs, retval, state) -> attempt
task_success(*, signal=..., sender, result) -> attempt
task_retry(*, signal=..., sender, request, reason=..., einfo) -> attempt
task_failure(*, signal=..., sender, task_id, exception, args, kwargs, traceback, einfo) -> attempt
task_internal_error(*, signal=..., sender, task_id, args, kwargs, request, exception, traceback, einfo) -> attempt
task_revoked(*, signal=..., sender, request, terminated, signum, expired) -> attempt
task_rejected(*, signal=..., sender, message, exc) -> attempt
task_unknown(*, signal=..., sender, message, exc, name, id) -> attempt
task_sent(*, signal=..., sender, task_id, task, args, kwargs, eta, taskset) -> attempt, deprecated
celeryd_init(*, signal=..., sender, instance, conf, options) -> attempt
celeryd_after_setup(*, signal=..., sender, instance, conf) -> attempt
import_modules(*, signal=..., sender) -> attempt
worker_init(*, signal=..., sender) -> attempt
worker_before_create_process(*, signal=..., sender) -> attempt
worker_process_init(*, signal=..., sender) -> attempt
worker_process_shutdown(*, signal=..., sender, pid, exitcode) -> attempt
worker_ready(*, signal=..., sender) -> attempt
worker_shutdown(*, signal=..., sender) -> attempt
worker_shutting_down(*, signal=..., sender, sig, how, exitcode) -> attempt
heartbeat_sent(*, signal=..., sender) -> attempt
setup_logging(*, signal=..., sender, loglevel, logfile, format, colorize) -> attempt
after_setup_logger(*, signal=..., sender, logger, loglevel, logfile, format, colorize) -> attempt
after_setup_task_logger(*, signal=..., sender, logger, loglevel, logfile, format, colorize) -> attempt
beat_init(*, signal=..., sender) -> attempt
beat_embedded_init(*, signal=..., sender) -> attempt
eventlet_pool_started(*, signal=..., sender) -> attempt
eventlet_pool_preshutdown(*, signal=..., sender) -> attempt
eventlet_pool_postshutdown(*, signal=..., sender) -> attempt
eventlet_pool_apply(*, signal=..., sender, target, args, kwargs) -> attempt
user_preload_options(*, signal=..., sender, app, options) -> attempt
app.on_configure(*, signal=..., sender) -> attempt
app.on_after_configure(*, signal=..., sender, source) -> attempt
app.on_after_finalize(*, signal=..., sender) -> attempt
app.on_after_fork(*, signal=..., sender) -> attempt
"""

WAGTAIL: Final = """
published(*, sender, instance, revision)
unpublished(*, sender, instance)
page_published(*, sender, instance, revision, alias=...)
page_unpublished(*, sender, instance)
page_slug_changed(*, sender, instance, instance_before)
pre_page_move(*, sender, instance, parent_page_before, parent_page_after, url_path_before, url_path_after)
post_page_move(*, sender, instance, parent_page_before, parent_page_after, url_path_before, url_path_after)
workflow_approved(*, sender, instance, user)
workflow_rejected(*, sender, instance, user)
workflow_cancelled(*, sender, instance, user)
workflow_submitted(*, sender, instance, user)
task_approved(*, sender, instance, user)
task_rejected(*, sender, instance, user)
task_submitted(*, sender, instance, user)
task_cancelled(*, sender, instance, user)
pre_validate_delete(*, sender, instance)
copy_for_translation_done(*, sender, source_obj, target_obj)
init_new_page(*, sender, page, parent)
document_served(*, sender, instance, request)

get_avatar_url(user, size, /) -> first
construct_homepage_panels(request, panels, /)
construct_homepage_summary_items(request, summary_items, /)
construct_main_menu(request, menu_items, /)
construct_settings_menu(request, menu_items, /)
construct_reports_menu(request, menu_items, /)
construct_help_menu(request, menu_items, /)
construct_search(request, search_areas, /)
construct_wagtail_userbar(request, items, page, /)
construct_page_action_menu(menu_items, request, context, /)
construct_snippet_action_menu(menu_items, request, context, /)
construct_snippet_listing_buttons(buttons, snippet, user, /)
construct_page_listing_buttons(buttons, /, *, page, user, context)
construct_admin_api(admin_api, /)
register_admin_menu_item() -> results
register_settings_menu_item() -> results
register_reports_menu_item() -> results
register_help_menu_item() -> results
register_admin_search_area() -> results
register_admin_urls() -> results
register_admin_viewset() -> results
register_group_permission_panel() -> results
register_permissions() -> results
register_account_settings_panel(request, user, profile, /) -> results
register_account_menu_item(request, /) -> results
register_page_action_menu_item() -> results
register_snippet_action_menu_item(model, /) -> results
register_user_listing_buttons(*, user, request_user) -> results
register_page_header_buttons(*, page, user, view_name, next_url) -> results
register_page_listing_buttons(*, page, user, next_url) -> results
register_page_listing_more_buttons(*, page, user, next_url) -> results
register_snippet_listing_buttons(snippet, user, next_url, /) -> results
register_bulk_action() -> results
register_image_operations() -> results
register_rich_text_features(features, /)
register_log_actions(actions, /)
register_actions(registry, /)
insert_global_admin_css() -> results
insert_global_admin_js() -> results
insert_editor_js() -> results
describe_collection_contents(collection, /) -> results
construct_translated_pages_to_cascade_actions(pages, action, /) -> results
register_icons(icons, /) -> fold
construct_page_chooser_queryset(pages, request, /) -> fold
construct_document_chooser_queryset(documents, request, /) -> fold
construct_image_chooser_queryset(images, request, /) -> fold
construct_explorer_page_queryset(pages, parent_page, request, /) -> fold
filter_form_submissions_for_user(queryset, user, /) -> fold
on_serve_page(next_serve_page, /) -> fold
before_create_page(request, parent_page, page_class, /) -> first
after_create_page(request, page, /) -> first
before_edit_page(request, page, /) -> first
after_edit_page(request, page, /) -> first
before_delete_page(request, page, /) -> first
after_delete_page(request, page, /) -> first
before_publish_page(request, page, /) -> first
after_publish_page(request, page, /) -> first
before_unpublish_page(request, page, /) -> first
after_unpublish_page(request, page, /) -> first
before_copy_page(request, page, /) -> first
after_copy_page(request, page, new_page, /) -> first
before_move_page(request, page, destination, /) -> first
after_move_page(request, page, /) -> first
before_convert_alias_page(request, page, /) -> first
after_convert_alias_page(request, page, /) -> first
before_publish(request, instance, /) -> first
after_publish(request, instance, /) -> first
before_unpublish(request, instance, /) -> first
after_unpublish(request, instance, /) -> first
before_create_user(request, /) -> first
after_create_user(request, user, /) -> first
before_edit_user(request, user, /) -> first
after_edit_user(request, user, /) -> first
before_delete_user(request, user, /) -> first
after_delete_user(request, user, /) -> first
before_create_snippet(request, model, /) -> first
after_create_snippet(request, instance, /) -> first
before_edit_snippet(request, instance, /) -> first
after_edit_snippet(request, instance, /) -> first
before_delete_snippet(request, instances, /) -> first
after_delete_snippet(request, instances, /) -> first
before_edit_setting(request, instance, /) -> first
after_edit_setting(request, instance, /) -> first
before_bulk_action(request, action_type, objects, action_class_instance, /) -> first
after_bulk_action(request, action_type, objects, action_class_instance, /) -> first
before_serve_document(document, request, /) -> first
before_serve_page(page, request, serve_args, serve_kwargs, /) -> first
"""

OSCAR: Final = """
basket_addition(*, sender, product, user, request)
voucher_addition(*, sender, basket, voucher)
voucher_removal(*, sender, basket, voucher)
review_added(*, sender, review, user, request, response)
product_viewed(*, sender, product, user, request, response)
start_checkout(*, sender, request, email=...) -> attempt
pre_payment(*, sender, view) -> attempt
post_payment(*, sender, view) -> attempt
post_checkout(*, sender, order, user, request, response)
user_registered(*, sender, request, user) -> attempt
user_logged_in(*, sender, request, user, old_session_key) -> attempt
order_placed(*, sender, order, user)
order_status_changed(*, sender, order, old_status, new_status)
order_line_status_changed(*, sender, line, old_status, new_status)
user_search(*, sender, session, user, query)
"""

BEETS: Final = """
pluginload()
import(*, lib, paths)
album_imported(*, lib, album)
album_removed(*, album)
art_set(*, album)
item_copied(*, item, source, destination)
item_imported(*, lib, item)
before_item_moved(*, item, source, destination)
item_moved(*, item, source, destination)
item_linked(*, item, source, destination)
item_hardlinked(*, item, source, destination)
item_reflinked(*, item, source, destination)
item_removed(*, item)
write(*, item, path, tags)
after_write(*, item, path)
import_task_created(*, session, task) -> results
import_task_start(*, session, task)
import_task_apply(*, session, task)
import_task_before_choice(*, session, task) -> results
import_task_choice(*, session, task)
import_task_files(*, session, task)
library_opened(*, lib)
database_change(*, lib, model)
cli_exit(*, lib)
import_begin(*, session)
trackinfo_received(*, info)
albuminfo_received(*, info)
album_matched(*, match)
before_choose_candidate(*, session, task) -> results
mb_track_extract(*, data) -> results
mb_album_extract(*, data) -> results
after_convert(*, item, dest, keepnew)
smartplaylist_update()
"""

FLASK: Final = """
template-rendered(app, /, *, template, context)
before-render-template(app, /, *, template, context)
request-started(app, /)
request-finished(app, /, *, response)
request-tearing-down(app, /, *, exc)
got-request-exception(app, /, *, exception)
appcontext-tearing-down(app, /, *, exc)
appcontext-pushed(app, /)
appcontext-popped(app, /)
message-flashed(app, /, *, message, category)
"""

MOPIDY: Final = """
core.track_playback_paused(*, tl_track, time_position) -> attempt
core.track_playback_resumed(*, tl_track, time_position) -> attempt
core.track_playback_started(*, tl_track) -> attempt
core.track_playback_ended(*, tl_track, time_position) -> attempt
core.playback_state_changed(*, old_state, new_state) -> attempt
core.tracklist_changed() -> attempt
core.playlists_loaded() -> attempt
core.playlist_changed(*, playlist) -> attempt
core.playlist_deleted(*, uri) -> attempt
core.options_changed() -> attempt
core.volume_changed(*, volume) -> attempt
core.mute_changed(*, mute) -> attempt
core.seeked(*, time_position) -> attempt
core.stream_title_changed(*, title) -> attempt
audio.reached_end_of_stream() -> attempt
audio.stream_changed(*, uri) -> attempt
audio.position_changed(*, position) -> attempt
audio.state_changed(*, old_state, new_state, target_state) -> attempt
audio.tags_changed(*, tags) -> attempt
mixer.volume_changed(*, volume) -> attempt
mixer.mute_changed(*, mute) -> attempt
backend.playlists_loaded() -> attempt
"""


@attrs.frozen
class Fact:
    """
    The interface of an event.

    Attributes:
        signature: The parameters with which its listeners are called.
        use: The word after the arrow; "" if there is none.
        is_deprecated: Whether the program advises against new listeners.
    """

    signature: inspect.Signature
    use: str
    is_deprecated: bool

    @property
    def verb(self) -> str:
        """The method with which the program publishes."""
        return "publish" if self.use in ("", "results") else self.use

    @property
    def has_result(self) -> bool:
        """Whether the program uses what a listener returns."""
        return self.use not in ("", "attempt")


def facts(text: str) -> Mapping[str, Fact]:
    """Return the facts in *text* by the name of the event."""
    lines = re.findall(r"^(\S+?)\((.*)\)(?: -> (\w+))?(, deprecated)?$", text, re.MULTILINE)
    return {
        name: Fact(inspect.signature(eval(f"lambda {parameters}: 0")), use, bool(deprecated))
        for name, parameters, use, deprecated in lines
    }


#: The number of events of each program, and the events by name: a lost line is noticed by the number.
PROGRAMS: Final[Mapping[str, tuple[int, Mapping[str, Fact]]]] = {
    "pelican": (28, facts(PELICAN)),
    "mkdocs": (19, facts(MKDOCS)),
    "celery": (38, facts(CELERY)),
    "beets": (33, facts(BEETS)),
    "flask": (10, facts(FLASK)),
    "mopidy": (22, facts(MOPIDY)),
    "wagtail": (106, facts(WAGTAIL)),
    "oscar": (15, facts(OSCAR)),
}
