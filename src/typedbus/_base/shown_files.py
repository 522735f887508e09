"""File names in messages."""

from __future__ import annotations

from pathlib import Path


def shown_file(file: str, folder: Path | None = None) -> str:
    """
    Return *file* with forward slashes, relative to *folder* if it is inside.

    Without a folder this is the working directory; if that no longer exists, *file* stays as it is.
    """
    path = Path(file)
    try:
        above = Path.cwd() if folder is None else folder
    except FileNotFoundError:
        return path.as_posix()
    return (path.relative_to(above) if path.is_relative_to(above) else path).as_posix()
