"""What differs between two catalogues, and whom it breaks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import attrs

from typedbus.catalogue._model import CatalogueChannel, Field, Parameter, PayloadType

if TYPE_CHECKING:
    from typedbus.catalogue import Catalogue

_BY_POSITION: Final = ("positional_only", "positional_or_keyword")
#: Each pair of a type and a wider one that is not its base class.
_WIDER: Final = {("bool", "int"), ("int", "float"), ("float", "complex"), ("bool", "float")}


@attrs.frozen
class Change:
    """
    A difference between two catalogues.

    Attributes:
        key: The key of the channel, or the name of the class.
        text: What has changed.
        breaks_publishers: Whether code that publishes on the channel may fail, or is refused by type checkers.
        breaks_listeners: The same for listeners.
        file: The file of the declaration; "" if the channel is gone.
        line: Its line; 0 if the channel is gone.
    """

    key: str
    text: str
    breaks_publishers: bool = False
    breaks_listeners: bool = False
    file: str = ""
    line: int = 0

    @property
    def breaks(self) -> str:
        """Whom it breaks: "publishers and listeners", "publishers", "listeners" or ""."""
        broken = ["publishers"] * self.breaks_publishers + ["listeners"] * self.breaks_listeners
        return " and ".join(broken)


def changes(old: Catalogue, new: Catalogue) -> tuple[Change, ...]:
    """
    Return the changes from *old* to *new* in the channels, and in the classes of their arguments and results.

    Publishers, listeners and places are not compared. A channel whose key has changed is the same if the new one has
    the old key as an alias.
    """
    homes = {key: channel for channel in new.channels for key in (*channel.aliases, channel.key)}
    known = {key for channel in old.channels for key in (channel.key, *channel.aliases)}
    found: list[Change] = []
    for before in old.channels:
        after = homes.get(before.key)
        if after is None:
            text = "the channel is gone, or has another module or name"
            found.append(Change(before.key, text, breaks_publishers=True, breaks_listeners=True))
        else:
            found += (
                attrs.evolve(change, key=before.key, file=after.file, line=after.line)
                for change in _channel_changes(before, after)
            )
    found += (
        Change(channel.key, "the channel is new", file=channel.file, line=channel.line)
        for channel in new.channels
        if not known & {channel.key, *channel.aliases}
    )
    types = {one.name: one for one in new.types}
    as_argument, as_result = _used_types(new)
    for before_type in old.types:
        after_type = types.get(before_type.name)
        if after_type is not None:
            found += _type_changes(
                before_type, after_type, before_type.name in as_argument, before_type.name in as_result
            )
    return tuple(found)


def _channel_changes(old: CatalogueChannel, new: CatalogueChannel) -> Iterator[Change]:
    if old.name != new.name:
        yield Change("", f"its name was {old.name!r}, and is {new.name!r}")
    if old.is_async != new.is_async:
        kind = "AsyncChannel" if new.is_async else "Channel"
        yield Change("", f"it is now of the class {kind}", breaks_publishers=True, breaks_listeners=not new.is_async)
    if not old.deprecated and new.deprecated:
        yield Change("", f"it is deprecated: {new.deprecated}")
    if old.parameters is None or new.parameters is None:
        if old.parameters is not new.parameters:
            yield Change("", "its parameters are known to type checkers alone in one of the versions")
    else:
        yield from _parameter_changes(old.parameters, new.parameters)
    if old.result != new.result:
        wider, narrower = is_wider(new.result, old.result), is_wider(old.result, new.result)
        yield Change(
            "",
            f"its result was {old.result or 'unknown'}, and is {new.result or 'unknown'}{_direction(wider, narrower)}",
            breaks_publishers=not narrower,
            breaks_listeners=not wider,
        )


def _parameter_changes(old: Sequence[Parameter], new: Sequence[Parameter]) -> Iterator[Change]:
    before, after = {one.name: one for one in old}, {one.name: one for one in new}
    if all(one.kind == "positional_only" for one in (*old, *new)):
        # Names of such parameters are not part of any call.
        pairs = list(zip(old, new, strict=False))
        removed, added = old[len(new) :], new[len(old) :]
    else:
        pairs = [(one, after[one.name]) for one in old if one.name in after]
        removed, added = (
            [one for one in old if one.name not in after],
            [one for one in new if one.name not in before],
        )
        order = [
            [one.name for one in group if one.kind in _BY_POSITION and one.name in before.keys() & after.keys()]
            for group in (old, new)
        ]
        if order[0] != order[1]:
            yield Change(
                "",
                f"its parameters were in the order {', '.join(order[0])}, and are {', '.join(order[1])}",
                breaks_publishers=True,
                breaks_listeners=True,
            )
    for one in removed:
        yield Change("", f"the parameter {one.name} is gone", breaks_publishers=True, breaks_listeners=True)
    for one in added:
        is_optional = one.default is not None or one.kind.startswith("var_")
        # A listener without the new parameter does not fit: the bus passes the default to each listener.
        yield Change(
            "",
            f"the parameter {one.name}{f' with the default {one.default}' if one.default is not None else ''} is new",
            breaks_publishers=not is_optional,
            breaks_listeners=True,
        )
    for was, now in pairs:
        yield from _changed_parameter(was, now)


def _changed_parameter(was: Parameter, now: Parameter) -> Iterator[Change]:
    name = now.name
    if was.kind != now.kind:
        is_opened = was.kind == "positional_only" and now.kind == "positional_or_keyword"
        is_closed = was.kind == "positional_or_keyword" and now.kind == "positional_only"
        yield Change(
            "",
            f"the parameter {name} was {was.kind.replace('_', ' ')}, and is {now.kind.replace('_', ' ')}",
            breaks_publishers=not is_opened,
            breaks_listeners=not is_closed,
        )
    if was.type != now.type:
        wider, narrower = is_wider(now.type, was.type), is_wider(was.type, now.type)
        yield Change(
            "",
            f"the parameter {name} was of the type {was.type or 'unknown'}, and is of {now.type or 'unknown'}{_direction(wider, narrower)}",
            breaks_publishers=not wider,
            breaks_listeners=not narrower,
        )
    if was.default != now.default:
        if now.default is None:
            yield Change("", f"the parameter {name} has no default any more", breaks_publishers=True)
        elif was.default is None:
            yield Change("", f"the parameter {name} has the default {now.default}")
        else:
            yield Change("", f"the default of the parameter {name} was {was.default}, and is {now.default}")


def _type_changes(old: PayloadType, new: PayloadType, is_argument: bool, is_result: bool) -> Iterator[Change]:
    """Yield the changes of a class. Publishers make arguments and read results; listeners do the reverse."""

    def change(text: str, *, makers: bool = False, readers: bool = False) -> Change:
        return Change(
            new.name,
            text,
            breaks_publishers=(makers and is_argument) or (readers and is_result),
            breaks_listeners=(readers and is_argument) or (makers and is_result),
        )

    before: Mapping[str, Field] = {one.name: one for one in old.fields}
    after: Mapping[str, Field] = {one.name: one for one in new.fields}
    if new.is_enum:
        # Code that names a member fails without it; a reader that handles each member does not know a new one.
        yield from (
            change(f"the member {name} is gone", makers=True, readers=True) for name in before if name not in after
        )
        yield from (change(f"the member {name} is new", readers=True) for name in after if name not in before)
        return
    for name, field in before.items():
        if name not in after:
            yield change(f"the field {name} is gone", makers=True, readers=True)
        elif field.type != after[name].type:
            wider, narrower = is_wider(after[name].type, field.type), is_wider(field.type, after[name].type)
            yield change(
                f"the field {name} was of the type {field.type}, and is of {after[name].type}{_direction(wider, narrower)}",
                makers=not wider,
                readers=not narrower,
            )
        if name in after and field.default is not None and after[name].default is None:
            yield change(f"the field {name} has no default any more", makers=True)
    for name, field in after.items():
        if name not in before:
            is_optional = field.default is not None
            yield change(f"the field {name} is new" + " with a default" * is_optional, makers=not is_optional)


def _direction(wider: bool, narrower: bool) -> str:
    return " (wider)" if wider else " (narrower)" if narrower else ""


def is_wider(type_: str, than: str) -> bool:
    """Return whether *type_* accepts every value of *than*, as far as the texts show it: a union with more members."""
    members, fewer = _members(type_), _members(than)
    return all(any(one == other or (one, other) in _WIDER for other in members) for one in fewer)


def _members(text: str) -> list[str]:
    """Return the members of a union."""
    members, depth = [""], 0
    for character in text:
        depth += {"[": 1, "]": -1}.get(character, 0)
        if character == "|" and not depth:
            members.append("")
        else:
            members[-1] += character
    return [member.strip() for member in members]


def _used_types(catalogue: Catalogue) -> tuple[set[str], set[str]]:
    """Return the names of the classes in arguments, and in results, with the classes in their fields."""
    fields = {one.name: " ".join(field.type for field in one.fields) for one in catalogue.types}

    def reached(texts: list[str]) -> set[str]:
        found: set[str] = set()
        while texts:
            for name in set(re.findall(r"[\w.]+", texts.pop())) - found:
                if name in fields:
                    found.add(name)
                    texts.append(fields[name])
        return found

    parameters = [one.type for channel in catalogue.channels for one in channel.parameters or ()]
    return reached(parameters), reached([channel.result for channel in catalogue.channels])
