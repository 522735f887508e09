"""Errors about channels, listeners and watchers."""

from __future__ import annotations

from typedbus._base.structured import StructuredError, computed


class ChannelError(StructuredError, TypeError):
    """Raised for an object that cannot be used as a channel, or as the name or the signature of a channel."""

    given: object
    reason: str

    def __str__(self) -> str:
        return f"{self.given!r} {self.reason}"


class ChannelNameError(ChannelError, LookupError):
    """
    Raised by `Bus.channel` for a name that no channel of the bus has, or that several have.

    Attributes:
        given: The name.
        similar: The similar names of channels, if no channel has the name.
        places: File and line of each channel of that name, if there are several; "unknown place" for a channel that
            was not declared with a function.
    """

    similar: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    reason: str = computed()

    def __post_init__(self) -> None:
        if self.places:
            places = "" if set(self.places) == {"unknown place"} else f" ({', '.join(self.places)})"
            self.reason = (
                f"is the name of {len(self.places)} channels of this bus{places}; "
                "give them different names, or index the bus with the channel object"
            )
            return
        similar = f"similar names are {', '.join(map(repr, self.similar))}; " if self.similar else ""
        self.reason = (
            f"is not the name of a channel of this bus; {similar}"
            "a bus has the built-in channels, and those that were looked up with bus[channel]"
        )


class ListenerError(StructuredError, TypeError):
    """
    Raised by `subscribe` for a listener that cannot be called or would not be awaited, or an invalid priority.

    `@on` and `channel.calls` raise it for an invalid priority, and `@on` for an object that takes no mark.
    """

    channel: str
    listener: object
    reason: str

    def __str__(self) -> str:
        return f"cannot subscribe {self.listener!r} to channel {self.channel!r}: {self.reason}"


class NotAMethod(StructuredError, TypeError):
    """
    Raised by `@on` over a function outside the body of a class: no component has it, so no publish would call it.

    Attributes:
        channel: The name of the channel.
        function: The name of the function.
        place: The file and line of the function.
    """

    channel: str
    function: str
    place: str

    def __str__(self) -> str:
        name = self.function.rpartition(".")[2]
        return (
            f"{self.function} ({self.place}) is a function outside a class, and `@on` marks methods of components: "
            f"no publish on channel {self.channel!r} would call it; use `@listeners.on(...)` of a `Listeners` object, "
            f"or `bus[channel].subscribe({name})`"
        )


class WatcherError(ListenerError):
    """
    Raised by `watch` for a watcher that cannot be called or would not be awaited, or a channel that cannot be watched.

    Attributes:
        channel: The name of the channel; "" for a watcher of all channels.
        listener: The watcher.
        reason: Why, and what to do instead.
    """

    def __str__(self) -> str:
        watched = f"channel {self.channel!r}" if self.channel else "a bus"
        return f"cannot watch {watched} with {self.listener!r}: {self.reason}"


class ObserveError(StructuredError, ValueError):
    """
    Raised by `Bus.observe` for a channel that cannot be observed, such as `START`, or an unknown level.

    Attributes:
        channel: The name of the channel; "" for an error of the level.
        reason: Why, and what to do instead.
    """

    channel: str
    reason: str

    def __str__(self) -> str:
        observed = f"channel {self.channel!r}" if self.channel else "channels"
        return f"cannot observe {observed}: {self.reason}"


class RegistrationError(StructuredError, TypeError):
    """
    Raised by `Listeners.on` for a function that cannot listen to the channel, or listens to it already.

    Attributes:
        function: The name of the function.
        place: File and line of ``@listeners.on``.
        channel: The name of the channel.
        reason: The problem, and the way out.
    """

    function: str
    place: str
    channel: str
    reason: str

    def __str__(self) -> str:
        return f"{self.function} ({self.place}) cannot listen to channel {self.channel!r}: {self.reason}"


class ListenerCancelled(StructuredError, RuntimeError):
    """
    The failure of a listener of an async channel that ended with `asyncio.CancelledError` on its own.

    Its publisher was not cancelled: the listener awaited, for example, a task that other code had cancelled. The
    `CancelledError` is the cause.
    """

    def __str__(self) -> str:
        return (
            "the listener ended with CancelledError although its publisher was not cancelled: a task or future that it "
            "awaited was cancelled; catch CancelledError around that await"
        )
