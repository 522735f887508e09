"""The settings that are in use, with their sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from typedbus._container.container import Container
from typedbus.settings._classes import fields_of, is_hidden, name_of
from typedbus.settings._configured import configured_in, section_of, settings_in
from typedbus.settings._lines import Key, dotted
from typedbus.settings._sources import Entry
from typedbus.settings._types import text_of


@attrs.frozen
class LoadedSetting:
    """
    A setting with its value in this process.

    Attributes:
        key: Its key, as in "shop.port".
        value: Its value as text, shortened if it is long; None for a secret, and for a table that contains one.
        is_secret: Whether the value must not be shown.
        source: The option, the environment variable, or the file and the line that set it; "default" otherwise.
    """

    key: str
    value: str | None
    is_secret: bool
    source: str


def loaded(container: Container, /, *others: Container) -> tuple[LoadedSetting, ...]:
    """
    Return the settings of *container* and *others* that were read, in order of declaration.

    A section that was not needed yet, or is overridden by a test, is left out. No value of a secret is in the result.
    """
    settings: dict[str, LoadedSetting] = {}
    for component in (component for each in (container, *others) for component in configured_in(each)):
        instance, origins = settings_in(component)
        if instance is not None:
            read = _settings_of(instance, (section_of(component).name,), origins, is_secret=False)
            settings |= {one.key: one for one in read}
    return tuple(settings.values())


def _settings_of(
    instance: object, key: Key, origins: Mapping[Key, Entry], *, is_secret: bool
) -> Iterator[LoadedSetting]:
    cls = type(instance)
    assert attrs.has(cls)
    for field in fields_of(cls):
        inner_key = (*key, name_of(field))
        value: object = getattr(instance, field.name)
        is_hidden_here = is_secret or field.repr is not True
        if attrs.has(type(value)):
            yield from _settings_of(value, inner_key, origins, is_secret=is_hidden_here)
            continue
        is_hidden_here = is_hidden_here or is_hidden(field)
        entry = origins.get(inner_key)
        text = None if is_hidden_here else text_of(value)
        yield LoadedSetting(dotted(inner_key), text, is_hidden_here, "default" if entry is None else entry.place)
