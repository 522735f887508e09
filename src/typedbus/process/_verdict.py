"""The end of the output on a terminal: what failed, and the line of the program's code at which it failed."""

from __future__ import annotations

import linecache
import os
import re
import sysconfig
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from typedbus._base.errors import HookTimeout, OperatorError, StartCancelled
from typedbus._base.events import Failed
from typedbus._base.run_errors import RunFailed
from typedbus._base.shown_files import shown_file

#: How many failures are repeated.
_REPEATED: Final = 3
_FRAME: Final = re.compile(r'^ *File "(.+)", line (\d+), in (.+)$', re.MULTILINE)
_PACKAGE: Final = str(Path(__file__).parents[1]) + os.sep
_LIBRARY: Final = tuple(str(Path(sysconfig.get_path(name))) + os.sep for name in ("stdlib", "platstdlib"))
_INSTALLED: Final = ("site-packages", "dist-packages")


def verdict(errors: Iterable[BaseException], events: Iterable[Failed]) -> list[tuple[str, str]]:
    """
    Return a line for each failure in *errors* and the line of code at which it failed, or "".

    Args:
        errors: The errors that a bus raised, and groups of them.
        events: The failures of hooks that the bus has reported, which name the component of an error.
    """
    causes = [cause for error in errors for cause in _causes(error)]
    known = list(events)
    lines = [(_text_of(cause, known), _place_of(cause)) for cause in causes[:_REPEATED]]
    if len(causes) > _REPEATED:
        lines.append((f"{len(causes) - _REPEATED} more, listed above", ""))
    return lines


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors in *error* that are neither a group nor a request to exit without a text."""
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield from _causes(member)
    elif isinstance(error, SystemExit):
        if error.__cause__ is not None:
            yield from _causes(error.__cause__)
        elif isinstance(error.code, str):
            yield error
    elif not isinstance(error, StartCancelled):
        yield error


def _text_of(error: BaseException, events: Iterable[Failed]) -> str:
    if isinstance(error, RunFailed) and error.__cause__ is not None:
        return f"run {error.path}: {_summary_of(error.__cause__)}"
    places = [f"{event.path} in {event.hook}: " for event in events if event.error is error]
    return f"{places[-1] if places else ''}{_summary_of(error)}"


def _summary_of(error: BaseException) -> str:
    """Return the first line of the text of *error*."""
    if isinstance(error, HookTimeout):
        return error.verdict
    text = (
        str(error)
        if isinstance(error, (OperatorError, SystemExit))
        else "".join(traceback.format_exception_only(error))
    )
    return text.strip().partition("\n")[0]


def _place_of(error: BaseException) -> str:
    """Return the innermost line of *error* that is neither of this package nor of an installed one, or ""."""
    if isinstance(error, (OperatorError, SystemExit)):
        return ""
    if isinstance(error, RunFailed) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, HookTimeout):
        frames = [(file, int(line), name) for file, line, name in _FRAME.findall(error.stack)]
    else:
        frames = [
            (frame.f_code.co_filename, line, frame.f_code.co_name)
            for frame, line in traceback.walk_tb(error.__traceback__)
        ]
    for file, line, name in reversed(frames):
        if not _is_foreign(file):
            code = linecache.getline(file, line).strip()
            return f"{shown_file(file)}:{line} in {name}{code and f': {code}'}"
    return ""


def _is_foreign(file: str) -> bool:
    return file.startswith((*_LIBRARY, _PACKAGE, "<")) or any(part in Path(file).parts for part in _INSTALLED)
