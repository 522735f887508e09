"""The exceptions of outbox and inbox."""

from __future__ import annotations

from typedbus._base.structured import StructuredError


class UnsupportedConnection(StructuredError, TypeError):
    """
    Raised for a connection on which outbox and inbox cannot execute statements.

    Attributes:
        given: The class of the connection, or its class and its database.
        remedy: The connections that can be used.
    """

    given: str
    remedy: str

    def __str__(self) -> str:
        return f"a connection of {self.given} is not supported: {self.remedy}"


class OutsideTransaction(StructuredError, RuntimeError):
    """
    Raised for a connection in autocommit mode that has no open transaction. Nothing was executed.

    The statement would be committed at once, although the other changes of the caller may still fail.

    Attributes:
        given: The class of the connection.
    """

    given: str

    def __str__(self) -> str:
        return (
            f"the {self.given} is in autocommit mode and has no open transaction, so the row would be committed without "
            "the changes that belong to it: begin a transaction first"
        )


class TableNameError(StructuredError, ValueError):
    """
    Raised for the name of a table that is not a plain identifier.

    Attributes:
        given: The name.
    """

    given: str

    def __str__(self) -> str:
        return (
            f"{self.given!r} is not the name of a table: use lower-case letters, digits and underscores, "
            "with a schema if needed, as in 'typedbus_outbox' or 'app.typedbus_outbox'"
        )


class InboxFault(StructuredError, ValueError):
    """
    Raised for an argument that an `Inbox` cannot use.

    Attributes:
        argument: The name of the argument.
        given: Its value.
        remedy: The values that can be used.
    """

    argument: str
    given: object
    remedy: str

    def __str__(self) -> str:
        return f"{self.argument}={self.given!r} cannot be used by an inbox: {self.remedy}"


class OutboxFault(StructuredError, ValueError):
    """
    Raised for an argument that an `Outbox` cannot use.

    Attributes:
        argument: The name of the argument.
        given: Its value.
        remedy: The values that can be used.
    """

    argument: str
    given: object
    remedy: str

    def __str__(self) -> str:
        return f"{self.argument}={self.given!r} cannot be used by an outbox: {self.remedy}"
