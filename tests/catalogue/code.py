"""Packages that a test writes, and their catalogue."""

from __future__ import annotations

import itertools
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from typedbus import Container
from typedbus.catalogue import Catalogue, CatalogueChannel
from typedbus.catalogue._sources import modules_below

_NUMBERS: Final = itertools.count()

CHANNELS: Final = """
from typedbus import AsyncChannel, Channel

placed = Channel[[str], None]("placed")
wanted = AsyncChannel[[str], int]("wanted")
"""


class Package:
    """
    A package in *folder*, with a name of its own, since modules stay imported.

    Args:
        folder: The folder above the package.
        modules: The text of each module, in which ``PACKAGE`` stands for the name of the package.
    """

    def __init__(self, folder: Path, modules: Mapping[str, str]) -> None:
        self.name = f"written{next(_NUMBERS)}"
        self.folder = folder / self.name
        for name, text in {"__init__": "", **modules}.items():
            file = self.folder / f"{name.replace('.', '/')}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text).replace("PACKAGE", self.name), encoding="utf-8")

    def container(self, path: str) -> Container:
        """Return an instance of the container at *path*, ``module:Class``."""
        module, _, name = path.partition(":")
        __import__(f"{self.name}.{module}")
        container: Container = getattr(sys.modules[f"{self.name}.{module}"], name)()
        return container

    def catalogue(self, containers: Sequence[str] = ()) -> Catalogue:
        """Return the catalogue of the package, with these containers."""
        names = list(modules_below(self.folder))
        return Catalogue.of([self.container(path) for path in containers], modules=names)

    def channel(self, name: str, containers: Sequence[str] = ()) -> CatalogueChannel:
        """Return the channel of this name."""
        [channel] = [one for one in self.catalogue(containers).channels if one.name == name]
        return channel
