"""
Makes copies of the installed CherryPy: unchanged, and with typedbus in place of its bus.

A copy is a folder to put first on PYTHONPATH. Three files of the second copy differ:
each replaces its module by a module of typedbus. As they are files of the package, and
the path is inherited, they apply in every process that the first one starts: children,
daemons and replaced processes. CherryPy's tests write files beside themselves, so
each run needs copies of its own.
"""

import argparse
import importlib.util
import shutil
from pathlib import Path

REPLACED = {
    "wspbus": "typedbus.wspbus",
    "plugins": "typedbus.wspbus.plugins",
    "servers": "typedbus.wspbus.servers",
}
REPLACEMENT = '''\
"""This module is {name}."""

import importlib
import sys

sys.modules[__name__] = importlib.import_module("{name}")
'''


def copy_into(folder: Path, *, ours: bool) -> None:
    """Copy CherryPy into *folder*, which must not have a copy; with *ours*, put typedbus in place of its bus."""
    spec = importlib.util.find_spec("cherrypy")
    if spec is None or spec.origin is None:
        raise SystemExit(f"CherryPy is not installed; install {Path(__file__).with_name('requirements.txt')}")
    package = folder / "cherrypy"
    shutil.copytree(Path(spec.origin).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    if ours:
        for module, name in REPLACED.items():
            (package / "process" / f"{module}.py").write_text(REPLACEMENT.format(name=name), encoding="utf-8")


def main() -> None:
    """Make both copies in a folder."""
    parser = argparse.ArgumentParser(
        description="Copy CherryPy into FOLDER/originals, and with typedbus in place of its bus into FOLDER/ours."
    )
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    for name in ("originals", "ours"):
        copy_into(options.folder / name, ours=name == "ours")


if __name__ == "__main__":
    main()
