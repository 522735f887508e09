"""
Observations of publishes: counts, durations and failures for each channel and each listener.

`Bus.observe` returns an `Observation`. The implementation is imported at the first use of a name of this module, or at
the first observation.
"""

from typing import TYPE_CHECKING

from typedbus._base.exports import later as _later

if TYPE_CHECKING:
    from typedbus._base.channel_errors import ObserveError
    from typedbus._channels.observing.observation import Observation
    from typedbus._channels.observing.stats import BUCKETS, ChannelStats, Durations, ListenerStats
    from typedbus._channels.observing.texts import Level

_LATER = {
    "BUCKETS": "typedbus._channels.observing.stats",
    "ChannelStats": "typedbus._channels.observing.stats",
    "Durations": "typedbus._channels.observing.stats",
    "Level": "typedbus._channels.observing.texts",
    "ListenerStats": "typedbus._channels.observing.stats",
    "Observation": "typedbus._channels.observing.observation",
    "ObserveError": "typedbus._base.channel_errors",
}

__all__ = (
    "BUCKETS",
    "ChannelStats",
    "Durations",
    "Level",
    "ListenerStats",
    "Observation",
    "ObserveError",
)

if not TYPE_CHECKING:
    __getattr__ = _later(globals(), _LATER)
