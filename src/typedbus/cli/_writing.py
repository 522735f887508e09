"""How commands write to files and stdout."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

import click

from typedbus._os import stdio
from typedbus.cli._options import STDOUT


def by_suffix(file: Path, formats: dict[str, str]) -> str | None:
    """Return the format for the suffix of *file*, or None."""
    return next((shape for suffix, shape in formats.items() if file.name.endswith(suffix)), None)


def refuse_unwritable(file: Path) -> None:
    """Raise in advance the error that writing *file* would raise later, as far as it can be detected."""
    try:
        if file != STDOUT and (file.is_file() or not file.exists()):
            tempfile.TemporaryFile(dir=file.resolve().parent).close()
    except OSError as error:
        raise click.UsageError(f"cannot write {file}: {error.strerror}") from None


def write(text: str, file: Path = STDOUT) -> None:
    """
    Write *text* in UTF-8 to *file*, which is replaced atomically, or to stdout.

    A closed pipe on stdout is not a failure.

    Raises:
        OSError: The file cannot be written; it is unchanged.
    """
    if file == STDOUT:
        with contextlib.suppress(BrokenPipeError):
            click.echo(text.encode(), nl=False)
        return
    if file.exists() and not file.is_file():
        file.write_text(text, encoding="utf-8")  # a device or a pipe cannot be replaced
        return
    target = file.resolve()
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def status_after_output(status: int, failure: int) -> int:
    """
    Report output that could not be written to stdout, and return the exit status of the command.

    It is *failure* if there is such output and *status* is 0, otherwise *status*.
    A closed pipe is not a failure.
    """
    error = stdio.lost()
    if error is None:
        return status
    click.echo(f"Error: cannot write stdout: {error.strerror}", err=True)
    return status or failure
