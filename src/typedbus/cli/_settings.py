"""Loads the settings of containers from the options --config and --set, the environment and files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from typedbus._container.container import Container
from typedbus.cli._options import InvalidInput


def load_settings(containers: Sequence[Container], files: Sequence[Path], options: dict[str, str]) -> None:
    """
    Load the settings of *containers*.

    Raises:
        ClickException: The settings are invalid, reported with all faults; or no container has settings.
    """
    # A program that declares settings has imported this package; without settings its dependencies may be missing.
    if "typedbus.settings" in sys.modules:
        from typedbus.settings._configured import configured_in

        has_settings = any(True for container in containers for _ in configured_in(container))
    else:
        has_settings = False
    if not has_settings:
        if files or options:
            names = ", ".join(type(container).__name__ for container in containers)
            raise click.UsageError(
                f"{'--config' if files else '--set'}: {names} declares no settings; "
                'declare some, for example settings = configured(ShopSettings, section="shop"), or leave out the option'
            )
        return
    from typedbus.settings import InvalidSettings, Sources, load

    sources = Sources.of_environment()
    try:
        load(*containers, sources=Sources(files=tuple(files) or sources.files, options=options))
    except InvalidSettings as error:
        raise InvalidInput(str(error)) from None
