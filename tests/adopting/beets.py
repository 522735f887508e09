"""
The plugin events of beets as channels: 33, with parameters by name. Many of them share a signature.

beets leaves None out of the results, and calls a listener without the arguments that it has no parameter for:
here such a listener accepts ``**_: object``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from typedbus import Channel


class Library: ...


class LibModel: ...


class Item(LibModel): ...


class Album(LibModel): ...


class AlbumInfo: ...


class TrackInfo: ...


class AlbumMatch: ...


class ImportSession: ...


class ImportTask: ...


class Action: ...


class PromptChoice: ...


def nothing() -> None: ...


def of_library(*, lib: Library) -> None: ...


def of_album(*, album: Album) -> None: ...


def of_task(*, session: ImportSession, task: ImportTask) -> None: ...


def of_path(*, item: Item, source: bytes, destination: bytes) -> None: ...


def extract(*, data: Mapping[str, Any]) -> dict[str, Any] | None: ...


pluginload = Channel.declare(nothing, name="pluginload")
smartplaylist_update = Channel.declare(nothing, name="smartplaylist_update")

library_opened = Channel.declare(of_library, name="library_opened")
cli_exit = Channel.declare(of_library, name="cli_exit")

album_removed = Channel.declare(of_album, name="album_removed")
art_set = Channel.declare(of_album, name="art_set")

import_task_start = Channel.declare(of_task, name="import_task_start")
import_task_choice = Channel.declare(of_task, name="import_task_choice")
import_task_apply = Channel.declare(of_task, name="import_task_apply")
import_task_files = Channel.declare(of_task, name="import_task_files")

before_item_moved = Channel.declare(of_path, name="before_item_moved")
item_moved = Channel.declare(of_path, name="item_moved")
item_copied = Channel.declare(of_path, name="item_copied")
item_linked = Channel.declare(of_path, name="item_linked")
item_hardlinked = Channel.declare(of_path, name="item_hardlinked")
item_reflinked = Channel.declare(of_path, name="item_reflinked")

mb_track_extract = Channel.declare(extract, name="mb_track_extract")
mb_album_extract = Channel.declare(extract, name="mb_album_extract")


@Channel.declare(name="import")
def import_(*, lib: Library, paths: list[bytes]) -> None: ...


@Channel.declare
def import_begin(*, session: ImportSession) -> None: ...


@Channel.declare
def import_task_created(*, session: ImportSession, task: ImportTask) -> list[ImportTask] | None: ...


@Channel.declare
def import_task_before_choice(*, session: ImportSession, task: ImportTask) -> Action | None: ...


@Channel.declare
def before_choose_candidate(*, session: ImportSession, task: ImportTask) -> list[PromptChoice] | None: ...


@Channel.declare
def album_imported(*, lib: Library, album: Album) -> None: ...


@Channel.declare
def item_imported(*, lib: Library, item: Item) -> None: ...


@Channel.declare
def item_removed(*, item: Item) -> None: ...


@Channel.declare
def database_change(*, lib: Library, model: LibModel) -> None: ...


@Channel.declare
def write(*, item: Item, path: bytes, tags: dict[str, Any]) -> None: ...


@Channel.declare
def after_write(*, item: Item, path: bytes) -> None: ...


@Channel.declare
def after_convert(*, item: Item, dest: bytes, keepnew: bool) -> None: ...


@Channel.declare
def albuminfo_received(*, info: AlbumInfo) -> None: ...


@Channel.declare
def trackinfo_received(*, info: TrackInfo) -> None: ...


@Channel.declare
def album_matched(*, match: AlbumMatch) -> None: ...
