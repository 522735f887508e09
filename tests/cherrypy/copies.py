"""
Copies of the installed CherryPy: as it was released, and with typedbus in the place of its bus.

A copy is a folder to put first on PYTHONPATH. Three files differ in the second
one, each of which gives the name of its module to one of ours. As they are files
of the package, and the path is inherited, they hold in every process that comes
of one that had them: children, daemons, and what is executed anew; no hook has to
be in place in time. CherryPy's tests write beside themselves, so that each run
wants copies of its own.
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
"""{name} is what this module is."""

import importlib
import sys

sys.modules[__name__] = importlib.import_module("{name}")
'''


def copy_into(folder: Path, *, ours: bool) -> None:
    """Copy CherryPy into *folder*, which must not have one; with typedbus in the place of its bus if it is *ours*."""
    spec = importlib.util.find_spec("cherrypy")
    if spec is None or spec.origin is None:
        raise SystemExit(f"there is no CherryPy to copy; install {Path(__file__).with_name('requirements.txt')}")
    package = folder / "cherrypy"
    shutil.copytree(Path(spec.origin).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    if ours:
        for module, name in REPLACED.items():
            (package / "process" / f"{module}.py").write_text(REPLACEMENT.format(name=name), encoding="utf-8")


def main() -> None:
    """Put both copies into a folder."""
    parser = argparse.ArgumentParser(
        description="Copy CherryPy into FOLDER/originals, and with typedbus's bus into FOLDER/ours."
    )
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    for name in ("originals", "ours"):
        copy_into(given.folder / name, ours=name == "ours")


if __name__ == "__main__":
    main()
