"""The places where the modules of a program come from, by the names that the program has for them."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from typing import Final

import attrs

_INSTALLED: Final = frozenset({"site-packages", "dist-packages"})


@attrs.frozen
class Place:
    """Something to look into: a file, a folder's own files, or, if deep, all files below it."""

    path: Path
    is_deep: bool


def named_directory() -> Path:
    """
    Return the working directory, by the name in ``PWD`` if that leads to it.

    The shell keeps the symbolic links of the name there. The system resolves
    them, and does not notice when one leads to another folder.
    """
    named = os.environ.get("PWD", "")
    try:
        real = Path.cwd()
        return Path(named) if Path(named).is_absolute() and Path(named).samefile(real) else real
    except (OSError, ValueError):
        # The directory was removed.
        return Path(named or os.sep)


def project() -> list[Place]:
    """
    Return where the modules of the program come from: its packages, and the folders of modules outside of packages.

    These are modules below the working directory or beside the main module that
    belong neither to the standard library nor to an environment. A symbolic link
    in an environment that leads to such a module belongs to the project as well.
    """
    working = named_directory()
    resolved = Path(os.path.realpath(working))
    roots = {working, resolved}
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    if isinstance(main, str):
        roots |= {(working / main).parent, Path(os.path.realpath(main)).parent}
    foreign = {Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "scripts")}
    foreign |= {Path(os.path.realpath(path)) for path in foreign}

    def is_ours(path: Path) -> bool:
        return (
            any(path.is_relative_to(root) for root in roots)
            and not _INSTALLED.intersection(path.parts)
            and not any(path.is_relative_to(other) for other in foreign)
        )

    folders: dict[str, str] = {}
    places: dict[Place, None] = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str):
            continue
        path = working / file
        if path.is_relative_to(resolved):
            path = working / path.relative_to(resolved)
        folder = str(path.parent)
        if folder not in folders:
            folders[folder] = os.path.realpath(folder)
        real = Path(os.path.realpath(path)) if path.is_symlink() else Path(folders[folder], path.name)
        if not is_ours(path):
            if not is_ours(real):
                continue
            if path.is_symlink():
                # Beside it lies what is installed.
                places[Place(path, is_deep=False)] = None
                continue
        parts = str(getattr(getattr(module, "__spec__", None), "name", name)).split(".")
        above = len(parts) - (1 if hasattr(module, "__path__") else 2)
        top = path.parents[above] if 0 <= above < len(path.parents) else path.parent
        is_package = above >= 0 and top.name == parts[0]
        places[Place(top if is_package else path.parent, is_package)] = None
    return list(places)
