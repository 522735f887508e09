"""The data of a catalogue. Places are relative to the working directory, with forward slashes."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import attrs

How: TypeAlias = Literal["publishes", "holds", "listens", "watches", "passes"]
PortKind: TypeAlias = Literal["event", "signal", "ask", "gather", "consumer", "receiver", "responder"]
Verdict: TypeAlias = Literal["dead", "never published", "publish not seen", "never listened to"]

#: The ports that send what is published here, and those that publish here what others send.
SENDING: Final = ("event", "signal", "ask", "gather")
RECEIVING: Final = ("consumer", "receiver", "responder")


@attrs.frozen
class Parameter:
    """
    A parameter of a channel.

    Attributes:
        name: Its name; ``arg0`` and so on where the declaration names none.
        kind: "positional_only", "positional_or_keyword", "keyword_only", "var_positional" or "var_keyword".
        type: Its annotation, with the full names of classes; "" if it has none.
        default: The source of its default; None if it has none.
    """

    name: str
    kind: str
    type: str
    default: str | None = None


@attrs.frozen
class Field:
    """A field of a class, with the source of its default; None if it has none."""

    name: str
    type: str
    default: str | None = None


@attrs.frozen
class PayloadType:
    """
    A class with fields that is an argument or a result of a channel, or is in a field of such a class.

    Attributes:
        name: Its full name.
        fields: Its fields; the members of an enum, with their values as types.
        is_enum: Whether it is an enum.
    """

    name: str
    fields: tuple[Field, ...] = ()
    is_enum: bool = False


@attrs.frozen
class Use:
    """
    A place that uses a channel.

    Attributes:
        how: "publishes"; "holds", a component or a variable that has the bound channel, usually to publish;
            "listens"; "watches"; "passes", a function that is given the channel.
        file: The file.
        line: The line; the declaration of the component for a component that holds the channel.
        component: The path of the component, if the place belongs to one.
        name: The function around the place, or the listener.
        priority: The priority of a listener of a component; None elsewhere.
    """

    how: How
    file: str
    line: int
    component: str = ""
    name: str = ""
    priority: int | None = None


@attrs.frozen
class Port:
    """
    A component that connects a channel to other processes.

    Attributes:
        kind: "event", "signal", "ask" or "gather" for a port that sends; "consumer", "receiver" or "responder" for a
            component that calls the listeners with what arrives.
        component: The path of the component.
        stream: The name of the stream; "" if it has none.
        group: The group of processes that share the messages; "" if it has none.
    """

    kind: PortKind
    component: str
    stream: str = ""
    group: str = ""


@attrs.frozen
class CatalogueChannel:
    """
    A channel of a code base.

    Attributes:
        key: Its module and attribute, ``module:attribute``, which is unique.
        name: Its name.
        file: The file of its declaration.
        line: The line of its declaration.
        doc: The docstring of its declaration.
        deprecated: What to use instead; "" if it is not deprecated.
        is_async: Whether a publish is awaited.
        parameters: Its parameters; None if only type checkers know them.
        result: The type of the result of a listener; "" if it is unknown.
        aliases: The other modules and attributes that export the channel.
        uses: All places that use it: publishers first, and listeners in running order.
        ports: Its remote ports.
    """

    key: str
    name: str
    file: str
    line: int
    doc: str = ""
    deprecated: str = ""
    is_async: bool = False
    parameters: tuple[Parameter, ...] | None = None
    result: str = ""
    aliases: tuple[str, ...] = ()
    uses: tuple[Use, ...] = ()
    ports: tuple[Port, ...] = ()

    @property
    def signature(self) -> str:
        """Its parameters and its result, as in the declaration of a function."""
        if self.parameters is None:
            return "(...)"
        parts: list[str] = []
        previous = ""
        for parameter in self.parameters:
            if previous == "positional_only" != parameter.kind:
                parts.append("/")
            if parameter.kind == "keyword_only" and previous not in ("keyword_only", "var_positional"):
                parts.append("*")
            prefix = {"var_positional": "*", "var_keyword": "**"}.get(parameter.kind, "")
            text = f"{prefix}{parameter.name}{': ' * bool(parameter.type)}{parameter.type}"
            if parameter.default is not None:
                text += f" = {parameter.default}"
            parts.append(text)
            previous = parameter.kind
        if previous == "positional_only":
            parts.append("/")
        return f"({', '.join(parts)})" + (f" -> {self.result}" if self.result else "")

    def used(self, *hows: How) -> tuple[Use, ...]:
        """Return the uses of these kinds."""
        return tuple(use for use in self.uses if use.how in hows)

    @property
    def shown_uses(self) -> tuple[Use, ...]:
        """The uses, without the holders whose publishes are found."""
        publishers = {use.component for use in self.used("publishes")}
        return tuple(use for use in self.uses if use.how != "holds" or use.component not in publishers)

    @property
    def is_remote(self) -> bool:
        """Whether it has a remote port."""
        return bool(self.ports)

    @property
    def verdict(self) -> Verdict | None:
        """
        What the uses say about the need for the channel; None if it is published and listened to.

        A use that passes the channel to a function may publish and listen.
        """
        if self.used("passes"):
            return None
        listens = bool(self.used("listens", "watches")) or any(port.kind in SENDING for port in self.ports)
        publishes = bool(self.used("publishes")) or any(port.kind in RECEIVING for port in self.ports)
        if publishes:
            return None if listens else "never listened to"
        if self.used("holds"):
            return "publish not seen" if listens else "never listened to"
        return "never published" if listens else "dead"


@attrs.frozen
class Dynamic:
    """A place that takes a channel from a variable, so that its uses of channels are unknown."""

    file: str
    line: int
    source: str


@attrs.frozen
class Unread:
    """A module that could not be imported, with the reason; its uses are missing."""

    module: str
    reason: str
