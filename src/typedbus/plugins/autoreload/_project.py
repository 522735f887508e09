"""The places from which a program imports its modules, by the names that the program uses for them."""

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
    """
    A path to scan: a file, the files directly in a folder, or, if deep, all files below the folder.

    The names of the files in a folder must match the patterns, unless all names count.
    """

    path: Path
    is_deep: bool
    all_names: bool = False


def named_directory() -> Path:
    """
    Return the working directory, by the name in ``PWD`` if that leads to it.

    The shell keeps symbolic links in that name. The name from the system is resolved,
    so it does not show when a link is changed to another folder.
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
    Return the places of the program's modules: its packages, and the folders of modules outside of packages.

    These are modules below the working directory or beside the main module that
    belong neither to the standard library nor to an environment. A symbolic link
    in an environment that leads to such a module belongs to the project as well.
    """
    working, resolved = str(named_directory()), os.path.realpath(named_directory())
    roots = {working, resolved}
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    if isinstance(main, str):
        roots |= {os.path.dirname(os.path.join(working, main)), os.path.dirname(os.path.realpath(main))}  # noqa: PTH118, PTH120  # as texts
    foreign = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "scripts")}
    foreign |= set(map(os.path.realpath, foreign))
    # Strings, since `Path` is slow and there are hundreds of modules.
    within = tuple(os.path.join(root, "") for root in roots)  # noqa: PTH118  # as texts
    without = tuple(os.path.join(root, "") for root in foreign)  # noqa: PTH118  # as texts

    def is_ours(path: str) -> bool:
        return path.startswith(within) and not path.startswith(without) and _INSTALLED.isdisjoint(Path(path).parts)

    folders: dict[str, str] = {}
    places: dict[Place, None] = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str):
            continue
        named = os.path.join(working, file)  # noqa: PTH118  # as texts
        folder, base = os.path.split(named)
        if folder not in folders:
            folders[folder] = os.path.realpath(folder)
        is_link = os.path.islink(named)  # noqa: PTH114  # as texts
        real = os.path.realpath(named) if is_link else os.path.join(folders[folder], base)  # noqa: PTH118  # as texts
        is_named_so = is_ours(named)
        if not is_named_so and not is_ours(real):
            continue
        path = Path(named)
        if is_link and not is_named_so:
            # The other files in its folder are installed packages.
            places[Place(path, is_deep=False)] = None
            continue
        if working != resolved and path.is_relative_to(resolved):
            path = working / path.relative_to(resolved)
        parts = str(getattr(getattr(module, "__spec__", None), "name", name)).split(".")
        above = len(parts) - (1 if hasattr(module, "__path__") else 2)
        top = path.parents[above] if 0 <= above < len(path.parents) else path.parent
        is_package = above >= 0 and top.name == parts[0]
        places[Place(top if is_package else path.parent, is_package)] = None
    return list(places)
