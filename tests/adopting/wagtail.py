"""
The signals and the hooks of wagtail as channels: 19 signals with parameters by name, 87 hooks with most of them by position.

A hook that may answer with a response takes the first answer. A hook that modifies a list returns nothing.
The value of `construct_explorer_page_queryset` and of `filter_form_submissions_for_user` is the second argument in wagtail;
it is the first one here, as `fold` requires.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeAlias, TypeVar

from typedbus import Channel

Model_co = TypeVar("Model_co", covariant=True)
Context: TypeAlias = dict[str, Any]


class HttpRequest: ...


class HttpResponse: ...


class User: ...


class Permission: ...


class Model: ...


class Page(Model): ...


class FormPage(Page): ...


class Document(Model): ...


class Image(Model): ...


class Setting(Model): ...


class Locale(Model): ...


class Collection(Model): ...


class Revision: ...


class WorkflowState: ...


class TaskState: ...


class CopyForTranslationAction: ...


class CreateView: ...


class QuerySet(Generic[Model_co]): ...


class Component: ...


class SummaryItem(Component): ...


class MenuItem(Component): ...


class ActionMenuItem(Component): ...


class Button(Component): ...


class SettingsPanel(Component): ...


class SearchArea(Component): ...


class PermissionPanel(Component): ...


class ViewSet: ...


class BulkAction: ...


class URLPattern: ...


class ImageOperation: ...


class FeatureRegistry: ...


class LogActionRegistry: ...


class ActionRegistry: ...


class AdminAPI: ...


ServePage: TypeAlias = Callable[[Page, HttpRequest, Sequence[Any], Mapping[str, Any]], HttpResponse]
Response: TypeAlias = HttpResponse | None


@Channel.declare
def published(*, sender: type[Model], instance: Model, revision: Revision) -> None: ...


@Channel.declare
def unpublished(*, sender: type[Model], instance: Model) -> None: ...


@Channel.declare
def page_published(*, sender: type[Page], instance: Page, revision: Revision, alias: bool = False) -> None: ...


@Channel.declare
def page_unpublished(*, sender: type[Page], instance: Page) -> None: ...


@Channel.declare
def page_slug_changed(*, sender: type[Page], instance: Page, instance_before: Page) -> None: ...


def of_move(
    *,
    sender: type[Page],
    instance: Page,
    parent_page_before: Page,
    parent_page_after: Page,
    url_path_before: str,
    url_path_after: str,
) -> None: ...


def of_workflow(*, sender: type[WorkflowState], instance: WorkflowState, user: User | None) -> None: ...


def of_workflow_task(*, sender: type[TaskState], instance: TaskState, user: User | None) -> None: ...


pre_page_move = Channel.declare(of_move, name="pre_page_move")
post_page_move = Channel.declare(of_move, name="post_page_move")

workflow_approved = Channel.declare(of_workflow, name="workflow_approved")
workflow_rejected = Channel.declare(of_workflow, name="workflow_rejected")
workflow_cancelled = Channel.declare(of_workflow, name="workflow_cancelled")
workflow_submitted = Channel.declare(of_workflow, name="workflow_submitted")

task_approved = Channel.declare(of_workflow_task, name="task_approved")
task_rejected = Channel.declare(of_workflow_task, name="task_rejected")
task_submitted = Channel.declare(of_workflow_task, name="task_submitted")
task_cancelled = Channel.declare(of_workflow_task, name="task_cancelled")


@Channel.declare
def pre_validate_delete(*, sender: type[Locale], instance: Locale) -> None: ...


@Channel.declare
def copy_for_translation_done(
    *, sender: type[CopyForTranslationAction], source_obj: Model, target_obj: Model
) -> None: ...


@Channel.declare
def init_new_page(*, sender: type[CreateView], page: Page, parent: Page) -> None: ...


@Channel.declare
def document_served(*, sender: type[Document], instance: Document, request: HttpRequest) -> None: ...


get_avatar_url = Channel[[User, int], str | None]("get_avatar_url")

construct_homepage_panels = Channel[[HttpRequest, list[Component]]]("construct_homepage_panels")
construct_homepage_summary_items = Channel[[HttpRequest, list[SummaryItem]]]("construct_homepage_summary_items")
construct_main_menu = Channel[[HttpRequest, list[MenuItem]]]("construct_main_menu")
construct_settings_menu = Channel[[HttpRequest, list[MenuItem]]]("construct_settings_menu")
construct_reports_menu = Channel[[HttpRequest, list[MenuItem]]]("construct_reports_menu")
construct_help_menu = Channel[[HttpRequest, list[MenuItem]]]("construct_help_menu")
construct_search = Channel[[HttpRequest, list[SearchArea]]]("construct_search")
construct_wagtail_userbar = Channel[[HttpRequest, list[Component], Page | None]]("construct_wagtail_userbar")
construct_page_action_menu = Channel[[list[ActionMenuItem], HttpRequest, Context]]("construct_page_action_menu")
construct_snippet_action_menu = Channel[[list[ActionMenuItem], HttpRequest, Context]]("construct_snippet_action_menu")
construct_snippet_listing_buttons = Channel[[list[Button], Model, User]]("construct_snippet_listing_buttons")
construct_admin_api = Channel[[AdminAPI]]("construct_admin_api")

register_admin_menu_item = Channel[[], MenuItem]("register_admin_menu_item")
register_settings_menu_item = Channel[[], MenuItem]("register_settings_menu_item")
register_reports_menu_item = Channel[[], MenuItem]("register_reports_menu_item")
register_help_menu_item = Channel[[], MenuItem]("register_help_menu_item")
register_admin_search_area = Channel[[], SearchArea]("register_admin_search_area")
register_admin_urls = Channel[[], list[URLPattern] | None]("register_admin_urls")
register_admin_viewset = Channel[[], ViewSet | Sequence[ViewSet]]("register_admin_viewset")
register_group_permission_panel = Channel[[], type[PermissionPanel]]("register_group_permission_panel")
register_permissions = Channel[[], QuerySet[Permission]]("register_permissions")
register_account_menu_item = Channel[[HttpRequest], dict[str, str] | None]("register_account_menu_item")
register_page_action_menu_item = Channel[[], ActionMenuItem | None]("register_page_action_menu_item")
register_snippet_action_menu_item = Channel[[type[Model]], ActionMenuItem | None]("register_snippet_action_menu_item")
register_snippet_listing_buttons = Channel[[Model, User, str | None], Iterable[Button]](
    "register_snippet_listing_buttons"
)
register_bulk_action = Channel[[], type[BulkAction]]("register_bulk_action")
register_image_operations = Channel[[], Iterable[tuple[str, type[ImageOperation]]]]("register_image_operations")
register_rich_text_features = Channel[[FeatureRegistry]]("register_rich_text_features")
register_log_actions = Channel[[LogActionRegistry]]("register_log_actions")
register_actions = Channel[[ActionRegistry]]("register_actions")
register_account_settings_panel = Channel[[HttpRequest, User, object], SettingsPanel | None](
    "register_account_settings_panel"
)

insert_global_admin_css = Channel[[], str]("insert_global_admin_css")
insert_global_admin_js = Channel[[], str]("insert_global_admin_js")
insert_editor_js = Channel[[], str]("insert_editor_js")

describe_collection_contents = Channel[[Collection], dict[str, Any] | None]("describe_collection_contents")
construct_translated_pages_to_cascade_actions = Channel[[list[Page], str], dict[Page, list[Page]] | None](
    "construct_translated_pages_to_cascade_actions"
)

register_icons = Channel[[list[str]], list[str]]("register_icons")
construct_page_chooser_queryset = Channel[[QuerySet[Page], HttpRequest], QuerySet[Page]](
    "construct_page_chooser_queryset"
)
construct_document_chooser_queryset = Channel[[QuerySet[Document], HttpRequest], QuerySet[Document]](
    "construct_document_chooser_queryset"
)
construct_image_chooser_queryset = Channel[[QuerySet[Image], HttpRequest], QuerySet[Image]](
    "construct_image_chooser_queryset"
)
construct_explorer_page_queryset = Channel[[QuerySet[Page], Page, HttpRequest], QuerySet[Page]](
    "construct_explorer_page_queryset"
)
filter_form_submissions_for_user = Channel[[QuerySet[FormPage], User], QuerySet[FormPage]](
    "filter_form_submissions_for_user"
)
on_serve_page = Channel[[ServePage], ServePage]("on_serve_page")

before_create_page = Channel[[HttpRequest, Page, type[Page]], Response]("before_create_page")
after_create_page = Channel[[HttpRequest, Page], Response]("after_create_page")
before_edit_page = Channel[[HttpRequest, Page], Response]("before_edit_page")
after_edit_page = Channel[[HttpRequest, Page], Response]("after_edit_page")
before_delete_page = Channel[[HttpRequest, Page], Response]("before_delete_page")
after_delete_page = Channel[[HttpRequest, Page], Response]("after_delete_page")
before_publish_page = Channel[[HttpRequest, Page], Response]("before_publish_page")
after_publish_page = Channel[[HttpRequest, Page], Response]("after_publish_page")
before_unpublish_page = Channel[[HttpRequest, Page], Response]("before_unpublish_page")
after_unpublish_page = Channel[[HttpRequest, Page], Response]("after_unpublish_page")
before_copy_page = Channel[[HttpRequest, Page], Response]("before_copy_page")
after_copy_page = Channel[[HttpRequest, Page, Page], Response]("after_copy_page")
before_move_page = Channel[[HttpRequest, Page, Page], Response]("before_move_page")
after_move_page = Channel[[HttpRequest, Page], Response]("after_move_page")
before_convert_alias_page = Channel[[HttpRequest, Page], Response]("before_convert_alias_page")
after_convert_alias_page = Channel[[HttpRequest, Page], Response]("after_convert_alias_page")

before_publish = Channel[[HttpRequest, Model], Response]("before_publish")
after_publish = Channel[[HttpRequest, Model], Response]("after_publish")
before_unpublish = Channel[[HttpRequest, Model], Response]("before_unpublish")
after_unpublish = Channel[[HttpRequest, Model], Response]("after_unpublish")

before_create_user = Channel[[HttpRequest], Response]("before_create_user")
after_create_user = Channel[[HttpRequest, User], Response]("after_create_user")
before_edit_user = Channel[[HttpRequest, User], Response]("before_edit_user")
after_edit_user = Channel[[HttpRequest, User], Response]("after_edit_user")
before_delete_user = Channel[[HttpRequest, User], Response]("before_delete_user")
after_delete_user = Channel[[HttpRequest, User], Response]("after_delete_user")

before_create_snippet = Channel[[HttpRequest, type[Model]], Response]("before_create_snippet")
after_create_snippet = Channel[[HttpRequest, Model], Response]("after_create_snippet")
before_edit_snippet = Channel[[HttpRequest, Model], Response]("before_edit_snippet")
after_edit_snippet = Channel[[HttpRequest, Model], Response]("after_edit_snippet")
before_delete_snippet = Channel[[HttpRequest, list[Model]], Response]("before_delete_snippet")
after_delete_snippet = Channel[[HttpRequest, list[Model]], Response]("after_delete_snippet")

before_edit_setting = Channel[[HttpRequest, Setting], Response]("before_edit_setting")
after_edit_setting = Channel[[HttpRequest, Setting], Response]("after_edit_setting")
before_bulk_action = Channel[[HttpRequest, str, list[Model], BulkAction], Response]("before_bulk_action")
after_bulk_action = Channel[[HttpRequest, str, list[Model], BulkAction], Response]("after_bulk_action")
before_serve_document = Channel[[Document, HttpRequest], Response]("before_serve_document")
before_serve_page = Channel[[Page, HttpRequest, Sequence[Any], Mapping[str, Any]], Response]("before_serve_page")


@Channel.declare
def register_user_listing_buttons(*, user: User, request_user: User) -> Iterable[Button]:
    """Return the buttons of a user in the list of users."""
    raise NotImplementedError


@Channel.declare
def register_page_header_buttons(
    *, page: Page, user: User, view_name: str, next_url: str | None
) -> Iterable[Button | MenuItem]:
    """Return the buttons of a page in its header."""
    raise NotImplementedError


@Channel.declare
def register_page_listing_buttons(*, page: Page, user: User, next_url: str | None) -> Iterable[Button | MenuItem]:
    """Return the buttons of a page in the list of pages."""
    raise NotImplementedError


@Channel.declare
def register_page_listing_more_buttons(*, page: Page, user: User, next_url: str | None) -> Iterable[Button | MenuItem]:
    """Return the buttons of a page in its menu."""
    raise NotImplementedError


@Channel.declare
def construct_page_listing_buttons(buttons: list[Button], /, *, page: Page, user: User, context: Context) -> None: ...
