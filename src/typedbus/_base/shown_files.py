"""File names in messages."""

from __future__ import annotations

import re
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


def shown_places(text: str) -> str:
    """
    Return *text* with the names of files inside the working directory relative to it.

    If the working directory is a root or no longer exists, *text* stays as it is.
    """
    try:
        above = Path.cwd()
    except FileNotFoundError:
        return text
    if above == above.parent:
        # Every slash in the text would look like the start of a file name.
        return text
    # In the middle of a longer name, the same characters belong to another directory.
    return re.sub(rf"(?<![\w./\\-]){re.escape(str(above))}[/\\]", "", text)
