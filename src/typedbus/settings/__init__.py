"""
Settings of a site, from files, the environment and options, checked before anything is built.

A site that stops at its first wrong setting is put right one start at a time.
So all sources are read before anything is built, everything that is wrong is told
at once, and each fault has the file and the line in which to mend it.
tomllib knows no lines, and a converter stops where the first value does not fit:
so documents are gone through here, field by field and table by table, and
typed-settings converts single values.
"""

from __future__ import annotations

try:
    from typedbus.settings._configured import configured, load
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

__all__ = ("InvalidSettings", "SettingsFault", "Sources", "configured", "load", "template")


export(globals())
