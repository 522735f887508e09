# For dependency-injector 4.49.1. Differences from the types of the library:
#
# - There, markers have the type of one protocol, without their attributes.
# - There, the two lists of functions for the search of markers are typed with Any.

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

# A marker is the default of a parameter, and stands for the injected object.
class _Indexed(type):
    def __getitem__(cls, item: object, /) -> Any: ...

class _Marker(metaclass=_Indexed):
    provider: object
    modifier: Modifier | None

class Provide(_Marker): ...
class Provider(_Marker): ...
class Closing(_Marker): ...
