"""
Components: how they are declared, built once, and what of them listens.

A `Component` is a singleton provider of dependency-injector with a typed face.
Checkers do not see it as a provider, since a provider's type parameter is
invariant and its arguments are unchecked; they see what stands in its signatures.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, Self

import attrs
from dependency_injector import providers
from typing_extensions import TypeVar

from typedbus._channel import AnyChannel, Hook
from typedbus._failures import CycleFault, DeclarationError, InvalidContainer, OutsideContainer, describe
from typedbus._order import dependencies_first

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Owner = TypeVar("Owner")

_UNBUILT: Final = object()

if TYPE_CHECKING:

    class _Singleton:
        """Hides the provider from checkers, with all that is untyped about it."""

        def _provide(self, args: tuple[object, ...], kwargs: dict[str, object]) -> object: ...
        def __deepcopy__(self, memo: dict[int, Any]) -> Self: ...
        def reset(self) -> object: ...

else:
    _Singleton = providers.Singleton


@attrs.define(eq=False)
class Home:
    """The container that components live in: its name, who hears of each that is built, and the lock for it."""

    name: str
    announce: Callable[[Component[Any], float], None]
    building: str = ""
    lock: threading.RLock = attrs.field(factory=threading.RLock)


class Component(_Singleton, Generic[T_co]):
    """
    The declaration of a component: what builds it, and with which arguments.

    In the body of a container ``orders = Component(Orders, database.provided)``
    declares that there is one `Orders`, built with the database. Called on an
    instance of the container, ``shop.orders()`` returns it, and builds it and
    what it needs first if need be, each once, dependencies first, under the
    container's lock.

    Arguments are checked against the signature by mypy and pyright. They are
    handed over as they are, never copied; lists, tuples and dicts are searched
    for what other components provide.

    Args:
        cls: A class, or a function that returns the component.
        args: Its positional arguments.
        kwargs: Its keyword arguments.

    Raises:
        DeclarationError: *cls* cannot be called.
    """

    def __init__(self, cls: Callable[P, T_co], /, *args: P.args, **kwargs: P.kwargs) -> None:
        caller = sys._getframe(1)
        self.place: str = f"{caller.f_code.co_filename}:{caller.f_lineno}"
        self.path: str = describe(cls)
        self.hooks: tuple[Hook[Any], ...] = ()
        self.unheard: tuple[AnyChannel, ...] = ()
        self.home: Home | None = None
        self._instance: object = _UNBUILT
        if not callable(cls):
            raise DeclarationError(repr(cls), self.place, "it builds nothing: give a class or a function")
        providers.Singleton.__init__(self._provider)
        self._provider.set_provides(cls)
        self._provider.set_args(*(_injection(value) for value in args))
        self._provider.set_kwargs(**{name: _injection(value) for name, value in kwargs.items()})

    def on(self: Component[Owner], *hooks: Hook[Owner]) -> Component[Owner]:
        """
        Let methods of the component listen, without a change to its class.

        ``Component(Scheduler).on(START.calls(Scheduler.run))``; each call adds to
        those before.

        Returns:
            The component itself.
        """
        self.hooks += hooks
        return self

    def without(self, *channels: AnyChannel) -> Self:
        """
        Say that no method of the component listens to *channels*, whatever its name or mark.

        Returns:
            The component itself.
        """
        self.unheard += channels
        return self

    @property
    def provided(self) -> T_co:
        """
        The component as an argument of another's declaration.

        Checkers see an instance. In the body of a container there is none yet,
        so that it can be handed on, and so can its attributes and items, as in
        ``settings.provided.database_url`` or ``bus.provided[order_placed]``.
        Whatever else is done with it raises `DeclarationError`.
        """
        argument: Any = Provided(self)
        return argument  # type: ignore[no-any-return]  # it stands in for the instance

    def __call__(self) -> T_co:
        """
        Return the component, built on the first call.

        Raises:
            OutsideContainer: It is called on the class of a container.
            InvalidContainer: Components need each other in a circle.
            Exception: What a constructor raised, with a note that names the component.
        """
        if self.home is None:
            raise OutsideContainer(self.path, self.place)
        instance: Any = providers.Singleton.__call__(self._provider)
        return instance  # type: ignore[no-any-return]  # what the declared callable returned

    @property
    def _provider(self) -> providers.Singleton[Any]:
        provider: Any = self
        return provider  # type: ignore[no-any-return]  # it is one, unknown to checkers

    def _provide(self, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        if self.home is None:
            raise OutsideContainer(self.path, self.place)
        if self._instance is _UNBUILT:
            self._build(self.home)
        return self._instance

    def _build(self, home: Home) -> None:
        """Build what the component needs and then itself: the container library would recurse."""
        unbuilt: list[object] = [self]
        with home.lock:
            order, circles = dependencies_first(
                unbuilt, lambda node: [] if isinstance(node, Component) and node.is_built else needs(node)
            )
            if circles:
                raise InvalidContainer(home.name, [cycle_fault(circle) for circle in circles])
            for needed in order:
                if not isinstance(needed, Component) or needed.is_built or needed.overriding is not None:
                    continue
                needed.home = home
                home.building = needed.path
                began = time.monotonic()
                try:
                    needed._instance = super(Component, needed)._provide((), {})
                except Exception as error:
                    error.add_note(f"raised while {needed.path} was built ({needed.place})")
                    raise
                home.building = ""
                home.announce(needed, time.monotonic() - began)

    @property
    def is_built(self) -> bool:
        """Whether there is an instance already."""
        return self._instance is not _UNBUILT

    @property
    def builds(self) -> Callable[..., object]:
        """The class or function that was declared."""
        builds: Any = self._provider.provides
        return builds  # type: ignore[no-any-return]  # checked when it was declared

    @property
    def arguments(self) -> tuple[int, tuple[str, ...]]:
        """How many positional arguments were declared, and the names of the others."""
        return len(self._provider.args), tuple(self._provider.kwargs)

    @property
    def overriding(self) -> object:
        """The provider that stands in for the component, or None."""
        return self._provider.last_overriding

    def reset(self) -> object:
        """Forget the instance; the next call builds a new one."""
        self._instance = _UNBUILT
        return super().reset()

    # The container library copies every provider into each container, and
    # knows nothing of what this class adds.
    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        known: Self | None = memo.get(id(self))
        if known is not None:
            return known
        copied = type(self).__new__(type(self))
        memo[id(self)] = copied
        providers.Singleton.__init__(copied._provider)
        copied.place, copied.path = self.place, self.path
        copied.hooks, copied.unheard = self.hooks, self.unheard
        copied.home, copied._instance = None, _UNBUILT
        theirs, ours = self._provider, copied._provider
        ours.set_provides(
            providers.deepcopy(theirs.provides, memo) if is_provider(theirs.provides) else theirs.provides
        )
        ours.set_args(*providers.deepcopy(list(theirs.args), memo))
        ours.set_kwargs(**providers.deepcopy(dict(theirs.kwargs), memo))
        for overriding in theirs.overridden:
            ours.override(providers.deepcopy(overriding, memo))
        return copied

    def __repr__(self) -> str:
        return f"<Component {self.path} ({self.place})>"


class Provided:
    """
    What a component will provide, in the body of a container where it does not exist yet.

    It knows attribute and item access and refuses everything else, so that a
    slip such as ``f"{settings.provided.url}"`` is an error where it is written.
    """

    # Dunder names, so that no attribute of an instance is hidden by one of ours.
    __slots__ = ("__provider__", "__text__")

    def __init__(self, provider: Any, text: str | None = None) -> None:
        self.__provider__ = provider
        if text is None:
            text = f"{getattr(provider, 'path', 'a provider')}.provided"
        self.__text__ = text

    def __getattr__(self, name: str) -> Provided:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return Provided(providers.AttributeGetter(self.__provider__, name), f"{self.__text__}.{name}")

    def __getitem__(self, item: Any) -> Provided:
        return Provided(providers.ItemGetter(self.__provider__, item), f"{self.__text__}[{item!r}]")

    def __refuse(self, *args: object, **kwargs: object) -> Any:
        caller = sys._getframe(1)
        raise DeclarationError(
            self.__text__,
            f"{caller.f_code.co_filename}:{caller.f_lineno}",
            "there is no instance yet where a container is declared; "
            "hand it to a component, or to a function that Component(function, ...) calls",
        )

    __call__ = __str__ = __format__ = __bool__ = __iter__ = __len__ = __contains__ = __refuse
    __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = __hash__ = __enter__ = __refuse
    __int__ = __float__ = __add__ = __radd__ = __or__ = __sub__ = __mul__ = __truediv__ = __mod__ = __refuse

    def __repr__(self) -> str:
        return f"<{self.__text__}>"


def provided(provider: Callable[[], T], /) -> T:
    """
    Hand what any provider of dependency-injector provides to a component.

    ``Component(Database, provided(config.url.as_(str)))``: same as the property
    of that name of `Component`, for the library's own providers, typed where
    they are.
    """
    argument: Any = Provided(provider)
    return argument  # type: ignore[no-any-return]  # it stands in for what is provided


def is_provider(value: object) -> bool:
    """Whether the container library would call *value* instead of handing it over."""
    return isinstance(value, providers.Provider)


def needs(node: object) -> list[object]:
    """
    Return the providers that a call of the provider *node* will call, in order of declaration.

    Those that are handed over uncalled (delegates, a container's own provider)
    are none of them: they are needed later, and may close a circle.
    """
    provider: providers.Provider[Any] = node  # type: ignore[assignment]  # nodes are providers
    if provider.last_overriding is not None:
        # Not `related`, which goes on giving what the overridden one needed.
        return [provider.last_overriding]
    return declared_needs(node)


def declared_needs(node: object) -> list[object]:
    """Same as `needs`, but as if *node* were not overridden."""
    provider: providers.Provider[Any] = node  # type: ignore[assignment]  # nodes are providers
    if isinstance(provider, (providers.Delegate, providers.Self, providers.Container, providers.DependenciesContainer)):
        return []
    return [other for other in provider.related if not providers.is_delegated(other)]


def cycle_fault(circle: Sequence[object]) -> CycleFault:
    """Tell of *circle* by the components along it."""
    members = [
        member for member in circle if isinstance(member, Component) and not isinstance(member.overriding, Component)
    ]
    if not members:
        return CycleFault([repr(member) for member in circle], "declared with dependency-injector's own providers")
    return CycleFault([member.path for member in members], members[0].place)


def _injection(value: object) -> object:
    """Return the provider of one argument of a declaration."""
    if type(value) is Provided:
        return value.__provider__
    if is_provider(value):
        return value
    kind = type(value)
    if isinstance(value, (list, tuple)) and kind in (list, tuple):
        if any(_is_lazy(member) for member in value):
            members = providers.List(*map(_injection, value))
            return members if kind is list else providers.Callable(tuple, members)
    elif isinstance(value, dict) and kind is dict and any(map(_is_lazy, value.values())):
        return providers.Dict({key: _injection(member) for key, member in value.items()})
    # As an Object it comes out as itself, where a bare value would be copied.
    return providers.Object(value)


def _is_lazy(value: object) -> bool:
    if type(value) in (list, tuple):
        assert isinstance(value, (list, tuple))
        return any(map(_is_lazy, value))
    if isinstance(value, dict) and type(value) is dict:
        return any(map(_is_lazy, value.values()))
    return type(value) is Provided
