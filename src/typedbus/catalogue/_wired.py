"""What the components of containers do with channels, without building a component."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import attrs

from typedbus._base.shown_files import shown_file
from typedbus._base.signatures import call_of, called_by, unparametrised
from typedbus._base.static import is_a
from typedbus._bus.builtin import LIFECYCLE_CHANNELS
from typedbus._channels.channel import DEFAULT_PRIORITY, AnyChannel
from typedbus._container.body import inner_of, members_of
from typedbus._container.component import Component
from typedbus._container.container import Container
from typedbus._container.core import analysis_of, components_of, core_of, run_on_first, scoped_of
from typedbus._container.descriptions import class_of
from typedbus._container.providers import is_provider, items_read
from typedbus.catalogue._model import Port, PortKind, Use
from typedbus.catalogue._uses import Held

_PORTS: Final[dict[str, PortKind]] = {
    "event": "event",
    "signal": "signal",
    "ask": "ask",
    "gather": "gather",
    "Consumer": "consumer",
    "Receiver": "receiver",
    "Responder": "responder",
}


@attrs.frozen
class Listening:
    """A method of a component that listens to a channel; *function* is its module and qualified name."""

    channel: AnyChannel
    use: Use
    function: tuple[str, str]


@attrs.frozen
class Wired:
    """
    What the components of containers do with channels.

    Attributes:
        listening: The methods that listen.
        holding: The components that are given a bound channel, by channel.
        ports: The remote ports, by channel.
        held: The attributes and parameters that have a bound channel.
        classes: The classes of the containers, with their bases.
    """

    listening: Sequence[Listening]
    holding: Sequence[tuple[AnyChannel, Use]]
    ports: Sequence[tuple[AnyChannel, Port]]
    held: Held
    classes: frozenset[type]

    @classmethod
    def of(cls, containers: Sequence[Container]) -> Wired:
        """Inspect *containers*, which run together on the bus of the first."""
        if len(containers) > 1:
            run_on_first([core_of(container) for container in containers])
        listening: list[Listening] = []
        holding: list[tuple[AnyChannel, Use]] = []
        ports: list[tuple[AnyChannel, Port]] = []
        held: dict[tuple[object, str], list[tuple[AnyChannel, str]]] = defaultdict(list)
        for container in containers:
            listening += _listening(container)
            for component in [*components_of(container), *scoped_of(container)]:
                arguments = dict(_arguments(component))
                kind = port_kind(component.builds)
                channels = [channel for passed in arguments.values() for channel in passed]
                if kind is not None:
                    stream, group = (_text(component.passed[1].get(name)) for name in ("stream", "group"))
                    ports += [(channel, Port(kind, component.path, stream, group)) for channel in channels]
                    continue
                file, line = split_place(component.place)
                use = Use("holds", file, line, component.path)
                holding += [(channel, use) for channel in dict.fromkeys(channels)]
                for owner, names in _homes(component):
                    for parameter, passed in arguments.items():
                        for name in names.get(parameter, ()):
                            held[owner, name] += [(channel, component.path) for channel in passed]
        bases = frozenset(base for container in containers for base in _container_classes(container))
        return cls(listening, holding, ports, {key: tuple(value) for key, value in held.items()}, bases)


def _container_classes(container: object) -> Iterator[type]:
    """Yield the classes of *container* and of its nested containers, with their bases."""
    yield from type(container).__mro__
    for member in members_of(container).values():
        if (nested := inner_of(member)) is not None:
            yield from _container_classes(nested)


def port_kind(builds: object) -> PortKind | None:
    """Return the kind of the port that the class or function *builds* makes; None for any other."""
    builds = unparametrised(called_by(builds))
    if (getattr(builds, "__module__", "") or "").split(".")[:2] != ["typedbus", "nats"]:
        return None
    return _PORTS.get(getattr(builds, "__name__", ""))


def split_place(place: str) -> tuple[str, int]:
    """Return the file and the line of *place*."""
    file, _, line = place.rpartition(":")
    return (shown_file(file), int(line)) if line.isdecimal() else (place, 0)


def _listening(container: Container) -> Iterator[Listening]:
    core, analysis = core_of(container), analysis_of(container)
    for component in analysis.components_in(core):
        for hook in analysis.listening(component)[1]:
            if hook.channel in LIFECYCLE_CHANNELS:
                continue
            owner = class_of(component)
            function: Any = getattr(owner, hook.attribute, hook.method) if hook.attribute else hook.method
            function = inspect.unwrap(called_by(function))
            file, line = split_place(component.place)
            if (code := getattr(function, "__code__", None)) is not None:
                file, line = shown_file(code.co_filename), code.co_firstlineno
            priority = DEFAULT_PRIORITY if hook.priority is None else hook.priority
            name = hook.attribute or getattr(function, "__name__", "")
            where = (getattr(function, "__module__", ""), getattr(function, "__qualname__", ""))
            yield Listening(hook.channel, Use("listens", file, line, component.path, name, priority), where)


def _arguments(component: Component[object]) -> Iterator[tuple[str, list[AnyChannel]]]:
    """Yield each parameter of *component* that receives channels, bound or not, with the channels."""
    positional, named = component.passed
    signature = call_of(component.builds).signature
    names = [] if signature is None else [*signature.parameters]
    given = {names[at] if at < len(names) else str(at): value for at, value in enumerate(positional)} | named
    for name, value in given.items():
        if channels := list(_channels_in(value)):
            yield name, channels


def _channels_in(value: object) -> Iterator[AnyChannel]:
    items = [value, *items_read(value, lambda node: isinstance(node, Component))]
    yield from (item for item in items if is_a(item, AnyChannel))


def _homes(component: Component[object]) -> Iterator[tuple[object, dict[str, list[str]]]]:
    """
    Yield the class or the function of *component*, and the names there of each parameter.

    In a class these are the attributes that `__init__` assigns the parameter to, or the field of an attrs class or
    dataclass, and the name of the parameter itself, for code in `__init__`.
    """
    builds = unparametrised(called_by(component.builds))
    names: dict[str, list[str]] = defaultdict(list)
    if not is_a(builds, type):
        signature = call_of(builds).signature
        for name in () if signature is None else signature.parameters:
            names[name].append(name)
        yield builds, names
        return
    for name in _fields(builds):
        names[name.lstrip("_")].append(name)
        names[name].append(name)
    for parameter, attribute in _assignments(vars(builds).get("__init__") or getattr(builds, "__init__", None)):
        names[parameter].append(attribute)
    for base in builds.__mro__:
        yield base, names


def _fields(cls: type) -> Iterable[str]:
    if attrs.has(cls):
        return [field.name for field in attrs.fields(cls)]
    return getattr(cls, "__dataclass_fields__", ())


def _assignments(init: Callable[..., object] | None) -> Iterator[tuple[str, str]]:
    """Yield the parameters and attributes of ``self.attribute = parameter`` in *init*; a parameter also under its own name."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(init)))  # type: ignore[arg-type]  # it raises for None
    except (OSError, TypeError, SyntaxError):
        return
    for node in ast.walk(tree):
        match node:
            case ast.arg(arg=name):
                yield name, name
            case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                yield from _pairs(targets, values)
            case ast.Assign(targets=targets, value=value):
                yield from _pairs(targets, [value] * len(targets))
            case ast.AnnAssign(target=target, value=ast.expr() as value):
                yield from _pairs([target], [value])
            case _:
                pass


def _pairs(targets: Sequence[ast.expr], values: Sequence[ast.expr]) -> Iterator[tuple[str, str]]:
    for target, value in zip(targets, values, strict=False):
        match target, value:
            case ast.Attribute(value=ast.Name(id="self"), attr=attribute), ast.Name(id=parameter):
                yield parameter, attribute
            case _:
                pass


def _text(value: object) -> str:
    """Return a name, or the name of the `Stream`; "" for None and for a provider."""
    if isinstance(value, str):
        return value
    name = getattr(value, "name", "")
    return name if isinstance(name, str) and not is_provider(value) else ""
