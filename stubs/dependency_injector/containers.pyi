# For dependency-injector 4.49.1. Differences from the types of the library:
#
# - There, Container has a `__getattr__`, so that every typo is a provider.
# - There, `declarative_parent` is not declared, and `providers` has values of Provider[Any].

from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

from dependency_injector.providers import Provider

_T = TypeVar("_T")
_C = TypeVar("_C")

class WiringConfiguration:
    modules: list[object]
    packages: list[object]
    from_package: str | None
    def __init__(
        self,
        modules: Iterable[object] | None = None,
        packages: Iterable[object] | None = None,
        from_package: str | None = None,
        auto_wire: bool = True,
        keep_cache: bool = False,
        warn_unresolved: bool = False,
    ) -> None: ...

class DynamicContainer:
    __self__: Provider[object]
    providers: dict[str, Provider[object]]
    declarative_parent: type | None
    wiring_config: WiringConfiguration
    def __init__(self) -> None: ...
    def set_provider(self, name: str, provider: Provider[object]) -> None: ...
    def load_config(self) -> None: ...
    def traverse(self, types: Iterable[type[_T]] | None = None) -> Iterator[_T]: ...
    def override_providers(self, **overriding_providers: object) -> ProvidersOverridingContext[Any]: ...
    def is_auto_wiring_enabled(self) -> bool: ...
    def wire(
        self,
        modules: Iterable[object] | None = None,
        packages: Iterable[object] | None = None,
        from_package: str | None = None,
        keep_cache: bool | None = None,
        warn_unresolved: bool = False,
    ) -> None: ...
    def unwire(self) -> None: ...
    def reset_singletons(self) -> SingletonResetContext[Any]: ...

# A class whose instances are dynamic containers; checkers see the declarations of the class in them.
class DeclarativeContainer(DynamicContainer):
    def __init__(self, **overriding_providers: object) -> None: ...

class ProvidersOverridingContext(Generic[_C]):
    def __init__(self, container: _C, overridden_providers: Iterable[object]) -> None: ...
    def __enter__(self) -> _C: ...
    def __exit__(self, *_: object) -> None: ...

class SingletonResetContext(Generic[_C]):
    def __init__(self, container: _C) -> None: ...
    def __enter__(self) -> _C: ...
    def __exit__(self, *_: object) -> None: ...
