"""Which stream a handler of `logging` writes to."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator


def stream_of(handler: logging.Handler) -> object:
    """Return the stream that *handler* writes to, also for rich's handler; None if it has no stream."""
    stream: object = getattr(handler, "stream", None)
    if stream is None:
        stream = getattr(getattr(handler, "console", None), "file", None)
    return getattr(stream, "rich_proxied_file", stream)


def leads_to(stream: object, other: object) -> bool:
    """Whether *stream* and *other* write to the same place."""
    if stream is None or other is None:
        return False
    if stream is getattr(other, "rich_proxied_file", other):
        return True
    try:
        ours: int = stream.fileno()  # type: ignore[attr-defined]  # not every stream has one
        theirs: int = other.fileno()  # type: ignore[attr-defined]  # as above
        return ours == theirs or os.path.sameopenfile(ours, theirs)
    except (AttributeError, OSError, ValueError, TypeError):
        return False


def handlers_of(name: str) -> Iterator[logging.Handler]:
    """Yield the handlers that receive a record of the logger *name*."""
    logger: logging.Logger | None = logging.getLogger(name)
    while logger is not None:
        yield from logger.handlers
        logger = logger.parent if logger.propagate else None
