"""The channel of runs, declared here because the mark `on` has arguments for this channel only."""

from __future__ import annotations

from collections.abc import Awaitable

from typedbus._base.stopping import Stopping
from typedbus._channels.channel import Channel

RUN = Channel[[Stopping], Awaitable[None] | None]("run")
