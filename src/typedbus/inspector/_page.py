"""The files of the page, read once from the package."""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Mapping
from typing import Final

from typedbus.inspector._answers import Response

_KINDS: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@functools.cache
def page_files() -> Mapping[str, Response]:
    """Return the answer for each file of the page by its path; ``/`` is index.html."""
    files: dict[str, Response] = {}
    for file in importlib.resources.files("typedbus.inspector").joinpath("page").iterdir():
        kind = _KINDS.get(file.name[file.name.rfind(".") :])
        if kind is not None and file.is_file():
            files[f"/{file.name}"] = Response(200, file.read_bytes(), kind)
    files["/"] = files["/index.html"]
    return files
