"""
Components: their declaration, their construction (once), and the hooks that are declared for them.

A `Component` is a singleton provider of dependency-injector with a typed interface.
A provider's type parameter is invariant and its arguments are unchecked. For type
checkers, a component is therefore a provider of `Any`, and a covariant class of its
own whose constructor takes the arguments of the component's class.
"""

from __future__ import annotations

import contextlib
import threading
import time
import types
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, ParamSpec, Self

from dependency_injector import providers
from typing_extensions import TypeVar

from typedbus._base.errors import ComponentDisabled, DeclarationError, OutsideContainer
from typedbus._base.failures import describe
from typedbus._base.limits import checked_limit
from typedbus._base.ordering import dependencies_first
from typedbus._base.places import calling_place
from typedbus._base.restart import Restart
from typedbus._channels.channel import AnyChannel, Hook
from typedbus._container.closing import closing_hook
from typedbus._container.component_faults import cycle_fault, reference_faults
from typedbus._container.construction import Construction, Entered, await_end, check_callable
from typedbus._container.faults import InvalidContainer
from typedbus._container.injection import argument
from typedbus._container.providers import (
    OWN,
    IfEnabled,
    Selected,
    copy_of,
    cover,
    foreseen,
    injected,
    is_provider,
    needs,
    providers_among,
)
from typedbus._container.references import Every, Reference
from typedbus._container.replaceable import Home, Replaceable
from typedbus._container.stand_ins import Provided, lazy

P = ParamSpec("P")
T_co = TypeVar("T_co", covariant=True)
Owner = TypeVar("Owner")

_UNBUILT: Final = object()
#: The attributes of a declaration that its copies share unchanged.
_DECLARED: Final = frozenset({"place", "path", "hooks", "unheard", "closing", "limit", "policy", "reason"})


class Component(Replaceable, Generic[T_co]):
    """
    The declaration of a component: the class or function that builds it, and the arguments.

    In the body of a container ``orders = Component(Orders, database.provided)``
    declares one `Orders`, built with the database. On an instance of the
    container, ``shop.orders()`` returns it; if necessary, the call first builds it
    and the components it needs, each once, dependencies first. It may be called
    from any thread; a thread that asks for a component which another thread is
    constructing waits for it.

    Arguments are checked against the signature by mypy and pyright. They are
    passed as they are, never copied; lists, tuples and dicts are searched for
    values that other components provide.

    A function may return an object that another component built. Its methods
    are subscribed once, for the component that built it.

    Args:
        cls: A class, or a function that returns the component.
        _args: Its positional arguments.
        _kwargs: Its keyword arguments.

    Raises:
        DeclarationError: *cls* cannot be called.
    """

    #: The channels to which no method of the component listens by its name.
    unnamed: ClassVar[tuple[AnyChannel, ...]] = ()
    place: str
    path: str
    # Defaults on the class, which few declarations change; attributes for each component would take time and memory.
    hooks: tuple[Hook[Any], ...] = ()
    unheard: tuple[AnyChannel, ...] = ()
    #: The hook of `closed_by`.
    closing: Hook[Any] | None = None
    limit: float | None = None
    #: The policy of `supervised`.
    policy: Restart | None = None
    #: The provider of the condition for taking part; None if the component always takes part.
    condition: object = None
    reason: str = ""
    home: Home | None = None
    #: The container class whose body declares the component.
    owner: type | None = None
    _instance: object = _UNBUILT
    #: Present while a thread constructs the component.
    _construction: Construction

    def __init__(self, cls: Callable[P, T_co], /, *_args: P.args, **_kwargs: P.kwargs) -> None:
        self.place = calling_place()
        self.path = describe(cls)
        check_callable(cls, self.place)
        # This calls `set_provides` and `set_args` of `Arguments`, which replace stand-ins.
        providers.Singleton.__init__(self._provider, cls, *_args)
        if _kwargs:
            # Call the library's method, since a constructor's parameter may be named `provides` or `self`.
            named = {name: argument(value) for name, value in _kwargs.items()}
            providers.Singleton.set_kwargs(self._provider, **named)

    def on(self: Component[Owner], *hooks: Hook[Owner]) -> Component[Owner]:
        """
        Make methods of the component listen to channels, without a change to its class.

        ``Component(Scheduler).on(START.calls(Scheduler.run))``; each call adds to
        the hooks of earlier calls.

        Returns:
            The component itself.
        """
        self.hooks += hooks
        self._invalidate()
        return self

    def without(self, *channels: AnyChannel) -> Self:
        """
        Declare that no method of the component listens to *channels*, whatever its name or mark.

        Returns:
            The component itself.
        """
        self.unheard += channels
        self._invalidate()
        return self

    def closed_by(self, function: Callable[[T_co], object], /) -> Self:
        """
        Call *function* with the instance when the bus exits, as in ``Component(create_engine, url).closed_by(Engine.dispose)``.

        For an object that is built without I/O, and that must be closed. The function is a hook of `EXIT`: it is
        called after the component's own `exit`, and after the exit of every component that needs this one; at the
        stop, if the component needs a `Resource`. An async function is awaited on the event loop of the bus. If
        *function* is a method, an override in the class of the instance is called instead. An override of the
        component is not closed by it.

        Returns:
            The component itself.

        Raises:
            DeclarationError: *function* cannot be called, or the component has such a function already.
        """
        if self.closing is not None:
            reason = f"it is closed by {describe(self.closing.method)} already; give one function that does all of it"
            raise DeclarationError(self.path, self.place, reason)
        if not callable(function):
            raise DeclarationError(self.path, self.place, f"closed_by takes a function, and was given {function!r}")
        self.closing = closing_hook(function)
        self._invalidate()
        return self

    def within(self, seconds: float) -> Self:
        """
        Limit how long the component's hooks of one start, one stop or one exit may take together.

        A hook that exceeds the limit is abandoned, as described in `Limits`; the
        hooks therefore run in a separate thread. Building the component is counted only if
        it is a part of the start: for a `Resource`, and a component that needs one.

        Returns:
            The component itself.

        Raises:
            LimitError: *seconds* is not a number above 0.
        """
        self.limit = checked_limit(self.path, seconds)
        return self

    def supervised(self, policy: Restart, /) -> Self:
        """
        Call the runs of the component again by *policy*, instead of the policies of their marks.

        ``Component(Consumer).supervised(Restart("always"))``; a run is a method that listens to `RUN`.

        Returns:
            The component itself.

        Raises:
            DeclarationError: *policy* is not a `Restart`.
        """
        if not isinstance(policy, Restart):
            raise DeclarationError(self.path, self.place, f"supervised takes a Restart, and was given {policy!r}")
        self.policy = policy
        return self

    def enabled(self, condition: bool, /, *, reason: str) -> Self:
        """
        Set whether the component takes part, as in ``.enabled(settings.provided.metrics, reason="metrics = false")``.

        *condition* may be a value that another component provides, which is then
        built first. It is evaluated when the component would be built: at the first
        start, and at the first start after each exit; at each start for a `Resource`,
        and a component that needs one. A component that is not enabled is neither
        built nor started; an enabled component that needs it is a fault. An override
        of the component takes part whatever the condition is.

        Args:
            condition: A bool, or the stand-in for a bool.
            reason: Why the component is disabled, if *condition* is false; for reports, pictures and errors.

        Returns:
            The component itself.
        """
        self.condition, self.reason = argument(condition), reason
        self._invalidate()
        return self

    @property
    def provided(self) -> T_co:  # type: ignore[override]  # typed as the instance, which is why it is here
        """
        The component as an argument of another's declaration.

        Type checkers see an instance. In the body of a container no instance exists
        yet: the value can only be passed on, as can its attributes and items, as in
        ``settings.provided.database_url`` or ``bus.provided[order_placed]``.
        Any other use raises `DeclarationError`.
        """
        argument: Any = Provided(self)
        return argument  # type: ignore[no-any-return]  # it stands in for the instance

    @property
    def optional(self) -> T_co | None:
        """
        The component as an argument of another's declaration, or None if it takes no part.

        Pass ``sms.optional`` to a parameter ``Sms | None`` if `sms` is enabled on a
        condition. The component that receives it starts after `sms` if `sms` takes
        part, and needs no condition of its own.
        """
        argument: Any = Provided(IfEnabled(_none, self), f"{self.path}.optional")
        return argument  # type: ignore[no-any-return]  # it stands in for the instance

    @property
    def lazy(self) -> Callable[[], T_co]:
        """
        The component itself as an argument of another's declaration, to be called when it is needed.

        Pass ``session.lazy`` to a parameter ``Callable[[], Session]``. It does not
        affect the start order and may close a cycle: the component that receives it
        must not call it in its constructor. Lists, tuples and dicts may hold it,
        as they may hold `provided`.
        """
        return lazy(self)

    def __call__(self) -> T_co:  # type: ignore[override]  # arguments come from the declaration alone
        """
        Return the component; the first call builds it.

        Raises:
            OutsideContainer: It is called on the class of a container.
            ComponentDisabled: The component, or a component that it needs, is not enabled.
            ConstructionCycle: A constructor asked for the component that it constructs, or for one that needs it.
            InvalidContainer: Components need each other in a cycle, or a `Choice` has no branch for its key.
            Exception: The exception of a constructor, with a note that names the component.
        """
        if self.home is None:
            raise OutsideContainer(self.path, self.place, self.is_in_library)
        ours: Any = self
        if isinstance(override := ours.last_overriding, Component) and override.home is None:
            override.home = self.home
        instance: T_co = providers.Singleton.__call__(ours)
        return instance

    def _provide(self, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        if self.home is None:
            raise OutsideContainer(self.path, self.place, self.is_in_library)
        if self._instance is _UNBUILT:
            self._build(self.home)
        return self._instance

    def _build(self, home: Home) -> None:
        """Build the components that this one needs, then this one; not recursively, unlike the container library."""
        unbuilt: list[object] = [self]
        order, circles = dependencies_first(unbuilt, _needed_now)
        if circles:
            raise InvalidContainer(home.name, [cycle_fault(circle) for circle in circles])
        if any(isinstance(node, Reference) and node.is_unresolved for node in order):
            users = [node for node in order if isinstance(node, Component)]
            raise InvalidContainer(home.name, [fault for user in users for fault in reference_faults(user)])
        for needed in order:
            if not isinstance(needed, Component) or needed.is_built or needed.overriding is not None:
                continue
            if needed.home is None:
                needed.home = home
            with Entered(needed, needed.path, needed.place, self.path):
                takes_part, reason = needed.participation()
                if not takes_part:
                    raise ComponentDisabled(needed.path, needed.place, reason)
                needed.before_construction()
                needed._construct(needed.home, self.path)  # noqa: SLF001  # another component of this class

    def _construct(self, home: Home, asked: str) -> None:
        """
        Call the constructor and keep the instance, unless another thread is doing so or has done so.

        The arguments are evaluated before the component is claimed: a provider
        among them may take a lock whose holder waits for this component. Two
        threads that arrive at once may therefore both evaluate the arguments;
        only one of them uses the result.
        """
        is_assembly = home.assembling == threading.get_ident()
        if is_assembly:
            home.building = self
        began = time.monotonic()
        try:
            args, kwargs = self._injected()
            attributes = self._injected_attributes()
            while not self.is_built:
                own = Construction(self.path, self.place)
                current = self.__dict__.setdefault("_construction", own)
                if current is not own:
                    if current.is_abandoned:
                        self.__dict__.pop("_construction", None)
                    else:
                        await_end(current, asked)
                    continue
                try:
                    if not self.is_built:
                        home.constructing(self)
                        instance = self.builds(*args, **kwargs)
                        for name, value in attributes.items():
                            setattr(instance, name, value)
                        self._instance = instance
                        home.constructed(self, instance, time.monotonic() - began)
                finally:
                    del self._construction
                    own.end()
        except Exception as error:
            error.add_note(f"raised while {self.path} was built ({self.place})")
            raise
        if is_assembly:
            home.building = None

    def _injected(self) -> tuple[list[object], dict[str, object]]:
        """Return the values of the arguments, by position and by name."""
        args, kwargs = self._provider.args, self._provider.kwargs
        return [injected(value) for value in args], {name: injected(value) for name, value in kwargs.items()}

    def _injected_attributes(self) -> dict[str, object]:
        """Return the values of the attributes."""
        return {name: injected(value) for name, value in self._provider.attributes.items()}

    def before_construction(self) -> None:
        """Called before the arguments are built; a subclass may raise."""

    def is_enabled(self) -> bool:
        """Whether it takes part; builds what its condition, and the keys of choices that may select it, need."""
        return bool(self.participation()[0])

    def foreseen(self) -> bool | None:
        """Whether it takes part, or None if that is known only after its condition has been built."""
        return self.participation(is_foreseen=True)[0]

    def participation(self, *, is_foreseen: bool = False) -> tuple[bool | None, str]:
        """
        Return whether the component takes part, and the reason if it does not or may not.

        A built component takes part until its instance is dropped: it may have to clean up at the exit.
        Otherwise its condition decides, and then the choices of which it is a branch.

        Args:
            is_foreseen: Build nothing; the first result is None if a component must be built to find out.
        """
        override = self.overriding
        if isinstance(override, Component):
            return override.participation(is_foreseen=is_foreseen)
        if override is not None or (self.is_built and not is_foreseen):
            return True, ""
        allowed: bool | None = True
        if self.condition is not None:
            condition: Any = self.condition
            # If this raises, the reported fault is that the component needs one that is not enabled.
            with contextlib.suppress(ComponentDisabled):
                if not is_foreseen:
                    allowed = bool(condition())
                elif self.home is None:
                    allowed = foreseen(condition)
                else:
                    allowed = self.home.foreseen(condition)
        if allowed is False or self.home is None:
            return allowed, "" if allowed else self.reason
        chosen, reason = self.home.choice_of(self, is_foreseen=is_foreseen)
        return (chosen, reason) if allowed or chosen is False else (None, self.reason)

    @property
    def related(self) -> Iterator[providers.Provider[object]]:
        """The providers that it refers to; the container library reads this property."""
        ours: Any = self
        # The library's own `related` would access the declared callable to check whether it is a provider.
        values = (self.condition, ours.provides, *ours.args, *ours.kwargs.values(), *ours.attributes.values())
        return chain(providers_among(values), ours.overridden)

    @property
    def is_built(self) -> bool:
        """Whether the instance exists."""
        return self._instance is not _UNBUILT

    @property
    def builds(self) -> Callable[..., object]:
        """The class or function that was declared."""
        builds: Any = self._provider.provides
        return builds  # type: ignore[no-any-return]  # checked when it was declared

    @property
    def arguments(self) -> tuple[int, tuple[str, ...]]:
        """The number of declared positional arguments, and the names of the keyword arguments."""
        return len(self._provider.args), tuple(self._provider.kwargs)

    @property
    def passed(self) -> tuple[tuple[object, ...], dict[str, object]]:
        """The declared arguments, by position and by name, with the values of the library's `Object` providers."""
        positional, named = self._provider.args, self._provider.kwargs
        return tuple(map(_plain, positional)), {name: _plain(value) for name, value in named.items()}

    def forget(self) -> None:
        """Drop the instance; the next call builds a new one."""
        self._instance = _UNBUILT
        if self.home is not None:
            self.home.forget_plans()

    def _change(self) -> None:
        if self._instance is not _UNBUILT:
            raise DeclarationError(self.path, self.place, "it is built already; change its declaration before that")
        self._invalidate()

    def _invalidate(self) -> None:
        if self.home is not None:
            self.home.invalidate()

    # The container library copies every provider into each container, but not
    # the attributes that this class adds.
    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        copy: Self | None = memo.get(id(self))
        if copy is not None:
            return copy
        copied = memo[id(self)] = type(self).__new__(type(self))
        if OWN not in memo:
            copied.is_in_library = True
        theirs, ours = self._provider, copied._provider  # noqa: SLF001  # another component of this class
        providers.Singleton.__init__(ours)
        # Most attributes have the class's default.
        for name in _DECLARED & vars(self).keys():
            setattr(copied, name, vars(self)[name])
        if self.condition is not None:
            copied.condition = providers.deepcopy(self.condition, memo)
        # Call the library's methods: the methods of this class have already checked these arguments.
        base = providers.Singleton
        provides = theirs.provides
        base.set_provides(ours, providers.deepcopy(provides, memo) if is_provider(provides) else provides)
        base.set_args(ours, *[copy_of(argument, memo) for argument in theirs.args])
        if named := theirs.kwargs:
            base.set_kwargs(ours, **{name: copy_of(argument, memo) for name, argument in named.items()})
        if attributes := theirs.attributes:
            base.set_attributes(ours, **{name: copy_of(argument, memo) for name, argument in attributes.items()})
        for override in theirs.overridden:
            cover(ours, providers.deepcopy(override, memo))
        return copied

    def __repr__(self) -> str:
        return f"<Component {self.path} ({self.place})>"

    if not TYPE_CHECKING:
        # The library's version drops the type argument, which `validate()` reads from the annotation of a component.
        __class_getitem__ = classmethod(types.GenericAlias)


def _plain(value: Any) -> object:
    plain: object = value.provides if type(value) is providers.Object else value
    return plain


def _none() -> None:
    """Do nothing: the function that the container library requires of a provider."""


def _needed_now(node: object) -> list[object]:
    """Return the providers that must be called for *node*; builds the conditions and keys that decide this."""
    if isinstance(node, Component):
        return [] if node.is_built else needs(node)
    if isinstance(node, Every):
        return node.enabled()
    if isinstance(node, Selected):
        branch = node.branch_of(node.key())
        return [node.key] if branch is None else [node.key, branch]
    return [] if isinstance(node, IfEnabled) and not node.is_enabled() else needs(node)
