"""The channel of runs, to which the mark `on` compares its channel: it has arguments for this one only."""

from __future__ import annotations

from collections.abc import Awaitable

from typedbus._base.stopping import Stopping
from typedbus._channels.channel import Channel

RUN = Channel[[Stopping], Awaitable[None] | None]("run")
