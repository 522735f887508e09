"""
The events of Mopidy as channels: 22 of its core, audio, mixer and backend listeners, with parameters by name.

Mopidy logs what a listener raises; its publishers go on. Its ``on_event``, which receives all events, is a watcher of the bus.
"""

from __future__ import annotations

from enum import Enum
from typing import NewType

from typedbus import Channel

Uri = NewType("Uri", str)
DurationMs = NewType("DurationMs", int)
Percentage = NewType("Percentage", int)


class PlaybackState(Enum):
    PAUSED = "paused"
    PLAYING = "playing"
    STOPPED = "stopped"


class TlTrack: ...


class Playlist: ...


def nothing() -> None: ...


def of_track(*, tl_track: TlTrack, time_position: DurationMs) -> None: ...


def of_volume(*, volume: Percentage) -> None: ...


def of_mute(*, mute: bool) -> None: ...


track_playback_paused = Channel.declare(of_track, name="core.track_playback_paused")
track_playback_resumed = Channel.declare(of_track, name="core.track_playback_resumed")
track_playback_ended = Channel.declare(of_track, name="core.track_playback_ended")
tracklist_changed = Channel.declare(nothing, name="core.tracklist_changed")
playlists_loaded = Channel.declare(nothing, name="core.playlists_loaded")
options_changed = Channel.declare(nothing, name="core.options_changed")
volume_changed = Channel.declare(of_volume, name="core.volume_changed")
mute_changed = Channel.declare(of_mute, name="core.mute_changed")

mixer_volume_changed = Channel.declare(of_volume, name="mixer.volume_changed")
mixer_mute_changed = Channel.declare(of_mute, name="mixer.mute_changed")
backend_playlists_loaded = Channel.declare(nothing, name="backend.playlists_loaded")
reached_end_of_stream = Channel.declare(nothing, name="audio.reached_end_of_stream")


@Channel.declare(name="core.track_playback_started")
def track_playback_started(*, tl_track: TlTrack) -> None: ...


@Channel.declare(name="core.playback_state_changed")
def playback_state_changed(*, old_state: PlaybackState, new_state: PlaybackState) -> None: ...


@Channel.declare(name="core.playlist_changed")
def playlist_changed(*, playlist: Playlist) -> None: ...


@Channel.declare(name="core.playlist_deleted")
def playlist_deleted(*, uri: Uri) -> None: ...


@Channel.declare(name="core.seeked")
def seeked(*, time_position: DurationMs) -> None: ...


@Channel.declare(name="core.stream_title_changed")
def stream_title_changed(*, title: str) -> None: ...


@Channel.declare(name="audio.stream_changed")
def stream_changed(*, uri: Uri | None) -> None: ...


@Channel.declare(name="audio.position_changed")
def position_changed(*, position: DurationMs) -> None: ...


@Channel.declare(name="audio.state_changed")
def state_changed(
    *, old_state: PlaybackState, new_state: PlaybackState, target_state: PlaybackState | None
) -> None: ...


@Channel.declare(name="audio.tags_changed")
def tags_changed(*, tags: set[str]) -> None: ...
