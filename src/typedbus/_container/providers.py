"""The providers of the container library, and the providers that a call of each will call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Container as Membership
from itertools import compress
from typing import Any, Final

from dependency_injector import providers

from typedbus._base.static import is_simple

_WITH_ARGUMENTS: Final = (
    providers.Callable,
    providers.Factory,
    providers.Singleton,
    providers.ThreadLocalSingleton,
    providers.ContextLocalSingleton,
)
# Checked by type(): reading the `__class__` of an object may trigger a lazy load.
_is_provider_class: Final[Callable[[type], bool]] = providers.Provider.__subclasscheck__
# Providers that pass other providers uncalled.
_HOLDERS: Final = (providers.Delegate, providers.Self, providers.Container, providers.DependenciesContainer)
#: The key of a memo entry: the identities of the declarations of the outermost container that is being copied.
#: The library has no such entry when it copies its own containers.
OWN: Final = id(_HOLDERS)


class IfEnabled(providers.Callable[Any]):
    """Returns the instance of a component if it takes part, else None; the provider behind `Component.optional`."""

    @property
    def component(self) -> Any:
        """The component, also if it belongs to another container."""
        provider: Any = self
        declared = provider.args[0]
        return getattr(declared, "target", None) or declared

    def is_enabled(self) -> bool:
        """Whether the component takes part."""
        check: Callable[[], bool] | None = getattr(self.component, "is_enabled", None)
        return check is None or check()

    def foreseen(self) -> bool | None:
        """Whether the component takes part, or None if that is known only after something has been built."""
        check: Callable[[], bool | None] | None = getattr(self.component, "foreseen", None)
        return None if check is None else check()

    def _provide(self, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        return self.component() if self.is_enabled() else None


def same(value: Any) -> Any:
    """Return *value*; used to declare a component under a second name."""
    return value


class Selected(providers.Callable[Any]):
    """Reads a key and returns the instance of the branch under it; the argument of a `Choice`."""

    @property
    def key(self) -> Any:
        """The provider of the key."""
        provider: Any = self
        return provider.args[0]

    @property
    def branches(self) -> dict[Any, Any]:
        """The component of each key."""
        provider: Any = self
        return dict(zip(provider.args[1].provides, provider.args[2:], strict=True))

    def branch_of(self, key: Any) -> Any:
        """Return the branch under *key*, or None if there is no branch or the key cannot be hashed."""
        try:
            return self.branches.get(key)
        except TypeError:
            return None

    def _provide(self, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        return self.branch_of(self.key())()


def is_provider(value: object) -> bool:
    """Whether the container library would call *value* instead of passing it."""
    return _is_provider_class(type(value))


def providers_among(values: Sequence[Any]) -> Iterator[Any]:
    """Yield the providers among *values*; fast, since every container does this many times."""
    return compress(values, map(_is_provider_class, map(type, values)))


def is_delegated(provider: object) -> bool:
    """
    Whether the container library passes *provider* uncalled.

    The library's own function is slow: it raises and catches an AttributeError for each undelegated provider.
    """
    return getattr(provider, "__IS_DELEGATED__", False) is True


def injected(argument: object) -> object:
    """Return the value of one argument: the result of a provider, or the argument itself."""
    if is_provider(argument) and not is_delegated(argument):
        provider: Any = argument
        return provider()
    return argument


def copy_of(argument: Any, memo: dict[int, Any]) -> Any:
    """Return the copy of the provider *argument*; in most cases it is already in *memo*."""
    copied = memo.get(id(argument))
    return providers.deepcopy(argument, memo) if copied is None else copied


def needs(node: object) -> list[object]:
    """
    Return the providers that a call of the provider *node* will call, in order of declaration.

    Providers that are passed uncalled (delegates, a container's own provider)
    are not included: they are needed later, and may close a cycle.
    """
    provider: providers.Provider[Any] = node  # type: ignore[assignment]  # nodes are providers
    if provider.last_overriding is not None:
        # Not `related`, which still includes the needs of the overridden provider.
        return [provider.last_overriding]
    return declared_needs(node)


def declared_needs(node: object) -> list[object]:
    """Same as `needs`, but as if *node* were not overridden."""
    provider: providers.Provider[Any] = node  # type: ignore[assignment]  # nodes are providers
    if isinstance(provider, _HOLDERS):
        return []
    return [other for other in _related(provider) if not is_delegated(other)]


def _related(provider: Any) -> Iterable[object]:
    """Same as the library's `related`, but does not access the arguments to check whether they are providers."""
    kind = type(provider)
    if kind in (providers.List, providers.Dict):
        values = [*provider.args] if kind is providers.List else [*provider.kwargs, *provider.kwargs.values()]
    elif kind in _WITH_ARGUMENTS:
        values = [provider.provides, *provider.args, *provider.kwargs.values(), *_attributes_of(provider)]
    else:
        related: Iterable[object] = provider.related
        return related
    return [*providers_among(values), *provider.overridden]


def _attributes_of(provider: Any) -> Iterable[object]:
    """Return the values of the attributes that a factory or a singleton sets."""
    return () if isinstance(provider, providers.Callable) else provider.attributes.values()


def copied_before(node: object, own: Membership[int]) -> list[object]:
    """
    Return the providers that must be copied before the provider *node*: all that it refers to, called or not.

    Providers in *own* that it holds uncalled are left out: they are copied anyway, and may refer to *node*.
    """
    provider: providers.Provider[Any] = node  # type: ignore[assignment]  # nodes are providers
    is_holder = isinstance(provider, _HOLDERS)
    return [other for other in _related(provider) if id(other) not in own or not (is_holder or is_delegated(other))]


def reached(node: object, ends: Callable[[object], bool]) -> Iterator[tuple[object, bool, object]]:
    """
    Yield the providers for which *ends* is true that *node* needs, directly or indirectly, without going past them.

    In order of declaration; a provider may appear more than once. Each comes with
    whether it is passed uncalled, and the key of the item that is read from it, or None.
    """
    pending = _received_by(node, is_lazy=False)
    seen: set[tuple[int, bool, int]] = set()
    while pending:
        provider, is_lazy, item = pending.pop()
        if (id(provider), is_lazy, id(item)) in seen:
            continue
        seen.add((id(provider), is_lazy, id(item)))
        if ends(provider):
            yield provider, is_lazy, item
        else:
            # What is read from a reference is read from its target. An attribute of a getter is another getter.
            kept = item if getattr(type(provider), "is_forwarding", False) else None
            pending.extend(
                (other, lazy, kept if own is None else own) for other, lazy, own in _received_by(provider, is_lazy)
            )


def _received_by(node: object, is_lazy: bool) -> list[tuple[object, bool, object]]:
    """Return the providers that *node* receives, called or not, in reverse order."""
    provider: providers.Provider[Any] = node  # type: ignore[assignment]  # nodes are providers
    item = provider.name if isinstance(provider, providers.ItemGetter) else None
    called = {id(need): need for need in needs(node)}
    related = {} if provider.last_overriding is not None else {id(other): other for other in _related(provider)}
    return [(other, is_lazy or key not in called, item) for key, other in reversed((related | called).items())]


def items_read(argument: object, ends: Callable[[object], bool]) -> Iterator[object]:
    """Yield the keys of the items that the providers in *argument* read, without going past providers for which *ends* is true."""
    pending: list[Any] = [*providers_among([argument])]
    while pending:
        provider = pending.pop()
        if isinstance(provider, providers.ItemGetter):
            yield provider.name
        if not ends(provider):
            pending.extend(_related(provider))


def foreseen(condition: object) -> bool | None:
    """Return the truth value of the provider *condition*, or None if it must be called to find out."""
    provider: Any = condition
    while provider.last_overriding is not None:
        provider = provider.last_overriding
    # The truth value of any other object is computed by its own code.
    is_known = isinstance(provider, providers.Object) and is_simple(provider.provides)
    return bool(provider.provides) if is_known else None


def cover(node: object, replacement: object) -> None:
    """Override the provider *node* by *replacement*, without the checks of `Component.override`."""
    provider: Any = node
    providers.Provider.override(provider, replacement)


def uncover(node: object, replacement: object) -> None:
    """Remove the override of the provider *node* by *replacement*, and keep its other overrides."""
    provider: Any = node
    others = [override for override in provider.overridden if override is not replacement]
    if len(others) < len(provider.overridden):
        # A configuration's own methods empty its cache; for a component, the library's methods bypass its checks.
        kind = type(provider) if isinstance(provider, providers.Configuration) else providers.Provider
        kind.reset_override(provider)
        for override in others:
            kind.override(provider, override)


RESOURCE: Any = getattr(providers, "BaseResource", providers.Resource)  # since 4.49


def is_resource(node: object) -> bool:
    """Whether the provider *node* is a resource, which must be shut down."""
    return isinstance(node, RESOURCE)


def forget(node: object) -> None:
    """Drop the instances of the provider *node* if it is a singleton, in all threads and contexts."""
    singleton: Any = node
    for kind in (providers.ThreadLocalSingleton, providers.ContextLocalSingleton):
        if isinstance(node, kind):
            # The provider's own `reset` only drops the instance of this thread or context.
            attributes, replacements = singleton.attributes, singleton.overridden
            kind.__init__(singleton, singleton.provides, *singleton.args, **singleton.kwargs)
            singleton.set_attributes(**attributes)
            for replacement in replacements:
                cover(singleton, replacement)
            return
    if isinstance(node, providers.BaseSingleton) and not isinstance(node, providers.AbstractSingleton):
        singleton.reset()


def arguments_of(node: object) -> tuple[tuple[object, ...], dict[str, object]]:
    """Return the providers of the arguments of the singleton *node*, by position and by name."""
    provider: providers.BaseSingleton[Any] = node  # type: ignore[assignment]  # a component is one
    return tuple(provider.args), dict(provider.kwargs)


def lifetime(node: object) -> str | None:
    """Return what has an instance of the provider *node* of its own: "thread" or "context"; None if nothing has."""
    if isinstance(node, providers.ThreadLocalSingleton):
        return "thread"
    of_contexts = (providers.ContextLocalSingleton, getattr(providers, "ContextLocalResource", ()))
    return "context" if isinstance(node, of_contexts) else None
