"""The exceptions of hosted applications, with their texts."""

from __future__ import annotations

from collections.abc import Sequence

from typedbus._base.structured import StructuredError
from typedbus._container.container import Container


class NotHosted(StructuredError, RuntimeError):
    """
    Raised for a request that comes before the bus is started.

    Attributes:
        containers: The names of the containers of the `Hosted`.
    """

    containers: str

    def __str__(self) -> str:
        return (
            f"a request arrived before {self.containers} was started, since the server did not run the ASGI lifespan; "
            "enable it, as with uvicorn --lifespan on, and make the Hosted the outermost application"
        )


class NotShared(StructuredError, RuntimeError):
    """
    Raised if a `Hosted` cannot share the bus of its containers, which other code has started.

    Attributes:
        containers: The names of the containers of the `Hosted`.
        reason: Why, and what to do about it.
    """

    containers: str
    reason: str

    def __str__(self) -> str:
        return f"the Hosted over {self.containers} cannot share the bus, which other code has started: {self.reason}"


def not_attached(containers: Sequence[Container]) -> str:
    """Return the reason of `NotShared` for *containers*, which were not attached to the bus at its start."""
    names = [type(container).__name__ for container in containers]
    return (
        f"{', '.join(names)} was not attached to it at the start; "
        f"give {'it' if len(names) == 1 else 'them'} also to the Hosted, running() or run() that starts the bus"
    )
