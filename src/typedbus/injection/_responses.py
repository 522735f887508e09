"""The statuses of HTTP responses, as both middlewares read them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from typedbus._container.scope import Scope
from typedbus.injection._errors import FailedResponse

#: The statuses of responses without a body.
EMPTY: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


def check_status(request: Scope, status: int | None) -> None:
    """Let the scope *request* fail if *status* reports an error of the server; None if the response has not begun."""
    if status is not None and status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        request.failed_with(FailedResponse(status, is_complete=True))
