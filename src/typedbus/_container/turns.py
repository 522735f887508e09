"""
Components that are built during a start, at their turn: resources, and the components that need one.

An assembly subscribes the steps of a turn before anything is built, from the hooks of the declared
class. The first step of `START` builds the component, or opens a resource; the component's
own hooks of `START` follow. The steps of `STOP` are called in the reverse order: the
hooks of `STOP`; those of `EXIT`, since the next start builds the component again; at last
the step that drops the instance, and closes a resource.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import attrs

from typedbus._base.coroutines import is_async_callable
from typedbus._base.failures import place_of
from typedbus._base.limits import StartNode
from typedbus._base.thread_calls import call_in_thread
from typedbus._bus.builtin import EXIT, RUN, START, STOP, HookResult
from typedbus._bus.bus import Bus
from typedbus._bus.listeners import Listeners
from typedbus._channels.channel import Channel, Hook
from typedbus._channels.subscriptions import Subscription, add
from typedbus._container.awaited import AwaitedRun, begin_awaited
from typedbus._container.body import Declarations
from typedbus._container.closing import closing_hooks
from typedbus._container.component import Component
from typedbus._container.faults import InvalidContainer
from typedbus._container.hooks import hooks_of
from typedbus._container.replaceable import Home
from typedbus._container.resource import Resource
from typedbus._container.resource_opening import ResourceOpening
from typedbus._container.subscribers import StepSubscription, Subscriber
from typedbus._container.validation.hooks import hook_faults

#: The channels whose hooks are steps of a turn.
_OF_TURN: Final = (START, STOP, EXIT)


class Step:
    """A step of *turn*, as a listener of `START` or `STOP`; *place* is that of the function that it calls."""

    def __init__(self, turn: Turn, name: str, call: Callable[[], object], place: str) -> None:
        # The bus stops the objects whose listeners of `START` have returned.
        self.__self__ = turn
        self.__name__ = name
        self.place = place
        self._call = call

    def __call__(self) -> object:
        """Carry out the step."""
        return self._call()


class AsyncStep:
    """The same as `Step`, for the event loop of the bus."""

    def __init__(self, turn: Turn, name: str, call: Callable[[], Awaitable[object]], place: str) -> None:
        self.__self__ = turn
        self.__name__ = name
        self.place = place
        self._call = call

    async def __call__(self) -> None:
        """Carry out the step."""
        await self._call()


AnyStep: TypeAlias = Step | AsyncStep | AwaitedRun


@attrs.define(eq=False)
class Turn:
    """
    A component in one start, from the assembly until the stop.

    Attributes:
        bus: The bus.
        home: The container of the component.
        component: The component.
        node: Its start node.
        position: The place of its subscriptions in the running order, which is reserved in the assembly: the order
            does not depend on which component is built first.
        instance: The component, or the object that a resource provides; None unless it is built.
    """

    bus: Bus
    home: Home
    component: Component[Any]
    node: StartNode
    position: int
    _phase: int
    #: The declared class, None if it is not known, and its hooks.
    _expected: tuple[type | None, Sequence[Hook[object]]]
    #: Drops the instances of the library's providers that were built with the component.
    _drop_users: Callable[[], object]
    instance: object = attrs.field(default=None, init=False)
    #: The hooks of the instance that may be called, by their keys.
    _keys: frozenset[object] = attrs.field(default=frozenset(), init=False)
    #: Whether a hook of `START` has returned, or there is none.
    _has_started: bool = attrs.field(default=False, init=False)
    _subscriptions: list[Subscription] = attrs.field(factory=list, init=False)
    #: The steps of `STOP` for hooks that the assembly could not foresee; a partial restart may build another instance.
    _unforeseen: Sequence[Subscription] = attrs.field(default=(), init=False)
    #: The subscriptions on other channels.
    _subscriber: Subscriber | None = attrs.field(default=None, init=False)
    #: Opens and closes a resource; a `ResourceTask` if it is async.
    _opening: Any = attrs.field(default=None, init=False)

    def subscribe(self) -> None:
        """Subscribe the steps of the turn."""
        component, place = self.component, self.component.place
        first: AnyStep
        last: AnyStep
        if not isinstance(component, Resource):
            first, last = Step(self, "build", self._build, place), Step(self, "drop", self._drop, place)
        elif self._is_async:
            first, last = (
                AsyncStep(self, "open", self._open_async, place),
                AsyncStep(self, "close", self._close_async, place),
            )
        else:
            first, last = Step(self, "open", self._open, place), Step(self, "close", self._close, place)
        hooks = self._expected[1]
        self._subscriptions.append(self._add(START, first))
        for hook in hooks:
            if hook.channel is START:
                self._subscriptions.append(self._add(START, self._step_of(hook), hook))
        for hook in filter(_is_awaited_run, hooks):
            step = AwaitedRun(self.bus, self, hook, functools.partial(self._run_of, hook))
            self._subscriptions.append(self._add(START, step, hook))
        self._subscriptions.append(self._add(STOP, last))
        self._subscriptions += self._add_stops(hooks)

    def _add_stops(self, hooks: Sequence[Hook[object]]) -> list[Subscription]:
        """Subscribe the steps of `STOP` for *hooks*; they are called in the reverse order."""
        return [
            self._add(STOP, self._step_of(hook), hook)
            for channel in (EXIT, STOP)
            for hook in hooks
            if hook.channel is channel
        ]

    def _add(self, channel: Channel[[], HookResult], step: AnyStep, hook: Hook[object] | None = None) -> Subscription:
        subscription = StepSubscription(self.bus[channel], step, self._phase, self, hook)
        subscription.position = self.position
        return add(subscription)

    def _step_of(self, hook: Hook[object]) -> AnyStep:
        name, place = getattr(hook.method, "__name__", "listener"), place_of(hook.method)
        closing = self.component.closing
        closes_on_loop = closing is not None and hook.method is closing.method and self._is_async
        if closes_on_loop or is_async_callable(hook.method):
            return AsyncStep(self, name, functools.partial(self._call_async, hook), place)
        return Step(self, name, functools.partial(self._call, hook), place)

    def cancel(self) -> None:
        """End the subscriptions."""
        for subscription in (*self._subscriptions, *self._unforeseen):
            subscription.cancel()
        if self._subscriber is not None:
            self._subscriber.cancel()

    # The steps of `START`.

    def _build(self) -> None:
        self._begin(self.component(), self._drop)

    def _open(self) -> None:
        self._opening = ResourceOpening(self._resource, self.bus)
        try:
            instance = self._opening.open()
        except Exception as error:
            self._resource.note_opening(error)
            raise
        self._begin(instance, self._close)

    def _begin(self, instance: object, end: Callable[[], object]) -> None:
        """Make *instance* the component; *end* is the last step of `STOP`, for a failure."""
        with contextlib.ExitStack() as undoing:
            undoing.callback(end)
            starts, exits = self._take(instance)
            for hook in exits:
                undoing.callback(self._call, hook)
            for hook in starts:
                self._call(hook)
            undoing.pop_all()

    async def _open_async(self) -> None:
        from typedbus._container.resource_task import ResourceTask  # the caller has imported asyncio

        self._opening = ResourceTask(self._resource, self.bus)
        try:
            instance = await self._opening.open()
        except Exception as error:
            self._resource.note_opening(error)
            raise
        async with contextlib.AsyncExitStack() as undoing:
            undoing.push_async_callback(self._close_async)
            starts, exits = self._take(instance)
            for hook in exits:
                undoing.push_async_callback(call_in_thread, self._call, hook)
            for hook in starts:
                await call_in_thread(self._call, hook)
            undoing.pop_all()

    @property
    def _resource(self) -> Resource[Any]:
        assert isinstance(self.component, Resource)
        return self.component

    @property
    def _is_async(self) -> bool:
        """Whether it is a resource that is opened on the event loop, to which its object belongs."""
        return isinstance(self.component, Resource) and self.component.form.is_async

    def _take(self, instance: object) -> tuple[list[Hook[object]], list[Hook[object]]]:
        """
        Make *instance* the component, and subscribe its listeners of other channels.

        Return two lists: its hooks of `START` that the assembly could not foresee, because a function returned an
        instance of another class; and, if there are any, its hooks of `EXIT`, to be called if one of them fails.
        """
        component = self.component
        if isinstance(component, Resource):
            component.hold(instance)
        self.instance = instance
        if isinstance(instance, Declarations):
            return [], []
        expected = {_key_of(hook) for hook in self._expected[1]}
        hooks = hooks_of_instance(self.home, self.bus, component, instance, self._expected)
        unforeseen = [hook for hook in hooks if _key_of(hook) not in expected]
        self._keys = frozenset(map(_key_of, hooks))
        self._has_started = not any(hook.channel is START for hook in hooks)
        self._unforeseen = self._add_stops(unforeseen)
        self._subscriber = Subscriber(self.bus, component, instance, self.node, self._phase, self.position)
        if hooks or component.unheard:
            self._subscriber.claim()
        self._subscriber.subscribe([hook for hook in hooks if hook.channel not in _OF_TURN])
        starts = [hook for hook in unforeseen if hook.channel is START]
        starts += filter(_is_awaited_run, unforeseen)
        return starts, [hook for hook in hooks if hook.channel is EXIT and starts]

    # The steps for hooks.

    def _call(self, hook: Hook[object]) -> object:
        if not self._is_called(hook):
            return None
        listener = hook.bind(self.instance)
        if hook.channel is RUN:
            begin_awaited(self.bus, listener)
            return None
        result: Any = listener()
        if is_async_callable(listener):
            # The method of a subclass is async.
            result = self.bus.run_on_loop(result).result()
        self._has_started = self._has_started or hook.channel is START
        return result

    def _run_of(self, hook: Hook[object]) -> Callable[..., object] | None:
        """Return the listener of the run *hook*, or None if the instance does not have it."""
        return hook.bind(self.instance) if self._is_called(hook) else None

    async def _call_async(self, hook: Hook[object]) -> None:
        if self._is_called(hook):
            result = hook.bind(self.instance)()
            if inspect.isawaitable(result):
                await result
            self._has_started = self._has_started or hook.channel is START

    def _is_called(self, hook: Hook[object]) -> bool:
        # As for every component, `stop` is not called if `start` has failed.
        return _key_of(hook) in self._keys and (hook.channel is not STOP or self._has_started)

    # The last step of `STOP`.

    def _drop(self) -> None:
        """Forget the instance, and everything that was built with it outside the start graph."""
        if self._subscriber is not None:
            self._subscriber.cancel()
        for subscription in self._unforeseen:
            subscription.cancel()
        instance, self.instance = self.instance, None
        try:
            self._drop_users()
        finally:
            # A later start may have built it again, if this is called in the thread of a late start.
            if self.component.is_built and self.component() is instance:
                self.component.forget()

    def _close(self) -> None:
        try:
            self._drop()
        finally:
            if self._opening is not None:
                self._opening.close()

    async def _close_async(self) -> None:
        try:
            self._drop()
        finally:
            if self._opening is not None:
                await self._opening.close()


def forget_turns(homes: Sequence[Home]) -> dict[int, int]:
    """End the turns of the last start of the containers *homes*; return their positions, by the id of the component."""
    positions: dict[int, int] = {}
    for home in homes:
        turns = [subscriber for subscriber in home.subscribers.values() if isinstance(subscriber, Turn)]
        for turn in turns:
            turn.cancel()
            turn.component.forget()
            positions[id(turn.component)] = turn.position
            del home.subscribers[id(turn.component)]
    return positions


def kept_positions(components: Sequence[Component[object]], earlier: Mapping[int, int]) -> Mapping[int, int]:
    """
    Return the *earlier* positions if all of *components* have one, in their order; otherwise none.

    So a start after a stop does not change the running order of listeners.
    """
    positions = [earlier.get(id(component), -1) for component in components]
    return earlier if -1 not in positions and positions == sorted(positions) else {}


def _is_awaited_run(hook: Hook[object]) -> bool:
    return hook.channel is RUN and hook.awaited


def _key_of(hook: Hook[object]) -> object:
    """Return a key that is equal for the hook of a declared class and for that of a subclass which overrides the method."""
    return hook.attribute or hook.method, hook.channel


def hooks_of_instance(
    home: Home,
    bus: Bus,
    component: Component[object],
    instance: object,
    expected: tuple[type | None, Sequence[Hook[object]]],
) -> Sequence[Hook[object]]:
    """
    Return which methods of *instance* listen as *component*; *expected* is its declared class with the hooks of that.

    Raises:
        InvalidContainer: A method that is known only now does not fit its channel.
    """
    first = Subscriber.of(bus, instance)
    is_alias = first is not None and first.component is not component
    cls, (expected_class, hooks) = type(instance), expected
    if is_alias:
        # The component that built the object has already subscribed its methods, by its own declaration.
        declared = [hook for hook in component.hooks if hook.channel not in component.unheard]
        hooks = [*closing_hooks(component), *declared]
    elif type(instance) is Listeners:
        # Constructors may have imported modules that register functions.
        hooks = hooks_of(component, cls, instance)
    elif cls is not expected_class:
        # The class of an object that a function returns may be known only now.
        hooks = hooks_of(component, cls)
    if hooks is not expected[1]:
        misfits = hook_faults(component, cls, hooks)
        if misfits:
            raise InvalidContainer(home.name, misfits)
    return hooks
