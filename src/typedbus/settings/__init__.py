"""
Settings of a site, from files, the environment and options, checked before any component is constructed.

A site that stops at its first invalid setting needs one start for each mistake.
So all sources are read before any component is constructed, all faults are reported
together, and each fault names the file and the line to correct.
tomllib does not report line numbers, and a converter stops at the first invalid value:
so this package walks through documents itself, field by field and table by table,
and typed-settings converts only single values.
"""

from __future__ import annotations

try:
    from typedbus.settings._configured import configured, load
    from typedbus.settings._loaded import LoadedSetting, loaded
    from typedbus.settings._template import template
except ModuleNotFoundError as _missing:
    _library = (_missing.name or "").partition(".")[0]
    if _library not in ("typed_settings", "cattrs"):
        raise
    raise ImportError(
        f"typedbus.settings needs {_library}: pip install 'typedbus[settings]'", name=_library
    ) from _missing

from typedbus._base.exports import export
from typedbus.settings._faults import InvalidSettings, SettingsFault
from typedbus.settings._sources import Sources

__all__ = (
    "InvalidSettings",
    "LoadedSetting",
    "SettingsFault",
    "Sources",
    "configured",
    "load",
    "loaded",
    "template",
)


export(globals())
