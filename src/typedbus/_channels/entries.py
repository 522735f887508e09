"""
The functions that the verbs of a watched or observed channel call first, in place of the functions for its listeners.

A program without watchers and observations does not load this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

VERBS: Final[Mapping[str, tuple[str, str]]] = {
    "publish": ("_loop", ""),
    **{verb: (f"_loop_of_{verb}", ", None, 0, []") for verb in ("first", "fold", "attempt")},
}
"""The method that calls the listeners, by the verb, and its further arguments."""

# {loop} is that method, {end} its further arguments; the names are those of the texts in `codegen`.
WATCHED_CALL: Final = """\
for _tb_watch, _tb_watcher in _tb_self._watches:
    try:
        _tb_watcher({call})
    except RecursionError:
        raise
    except Exception as _tb_error:
        _tb_self._watcher_failed(_tb_watch, _tb_error)
return _tb_self.{loop}({received}_tb_listeners{end})
"""
"""The statements that call the watchers, then the listeners."""

ASYNC_ENTRY: Final = """\
def {verb}(_tb_self, {received}):
    return _tb_publish(
        _tb_self,
        _tb_self._watches,
        lambda _tb_watcher: _tb_watcher({call}),
        lambda _tb_listeners: _tb_self.{loop}({received}_tb_listeners{end}),
        _tb_self._warm_up(),
    )
"""
"""A verb of an async channel; the global ``_tb_publish`` calls the watchers, and awaits the listeners."""


@attrs.frozen
class EntryVerbs:
    """The functions that `first`, `fold` and `attempt` call first; see `verbs.Unrolled`."""

    first: Callable[..., Any]
    fold: Callable[..., Any]
    attempt: Callable[..., Any]
