# For dependency-injector 4.49.1. What upstream's own types miss:
#
# - Markers are typed as one protocol, and what they hold is not declared.
# - The two lists of functions that take part in the search for markers are typed with Any.

from collections.abc import Callable as _Callable
from typing import Any, TypeVar

_F = TypeVar("_F", bound=_Callable[..., object])

MARKER_EXTRACTORS: list[_Callable[[object], object]]
INSPECT_EXCLUSION_FILTERS: list[_Callable[[object], bool]]

def inject(fn: _F) -> _F: ...

class UnresolvedMarkerWarning(RuntimeWarning): ...

class Modifier:
    def modify(self, provider: Any, providers_map: object) -> Any: ...

class ProvidedInstance(Modifier):
    segments: list[tuple[str, Any]]
    def __init__(self) -> None: ...
    def __getattr__(self, item: str) -> ProvidedInstance: ...
    def __getitem__(self, item: object, /) -> ProvidedInstance: ...
    def call(self, *args: object, **kwargs: object) -> ProvidedInstance: ...

def provided() -> ProvidedInstance: ...

# What is written as a marker stands for what a function is given.
class _Indexed(type):
    def __getitem__(cls, item: object, /) -> Any: ...

class _Marker(metaclass=_Indexed):
    provider: object
    modifier: Modifier | None

class Provide(_Marker): ...
class Provider(_Marker): ...
class Closing(_Marker): ...
