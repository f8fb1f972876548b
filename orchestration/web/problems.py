"""Errors over HTTP as problem details (RFC 9457), with a status for each class of error. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse

from orchestration.alerts.payload import PayloadRefusedError
from orchestration.config.findings import ConfigurationError
from orchestration.errors import ConflictError, NotFoundError, OrchestratorError, UsageError
from orchestration.incidents.model import IncidentRefusedError
from orchestration.security.sign_in_locks import LockedError, SignInError
from orchestration.storage.database import StorageError

_TITLES = {
    400: "Malformed request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Not possible in this state",
    413: "Request too large",
    415: "Unsupported encoding",
    421: "Wrong host name",
    422: "Invalid request",
    428: "Precondition required",
    429: "Too many requests",
    500: "Internal error",
    503: "Temporarily unavailable",
}
_RETRY_AFTER_SECONDS = 5


class NotAllowedError(OrchestratorError):
    """The principal does not have the necessary role or scope."""


class NotSignedInError(OrchestratorError):
    """The request has no principal."""


def problem(status: int, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> JSONResponse:
    """The response that describes a problem."""
    body = {"type": "about:blank", "title": _TITLES.get(status, "Error"), "status": status, "detail": detail, **more}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def status_of(error: Exception) -> int:
    """The HTTP status of an error; 500 for one that users are not meant to see."""
    # In order: several of these classes are subclasses of later ones.
    statuses: tuple[tuple[type[Exception], int], ...] = (
        (NotFoundError, 404),
        (PayloadRefusedError, 413),
        (UsageError, 422),
        (LockedError, 429),
        (NotSignedInError, 401),
        (SignInError, 401),
        (NotAllowedError, 403),
        (ConflictError, 409),
        (StorageError, 503),
        (SQLAlchemyError, 503),
        (OrchestratorError, 422),
    )
    return next((status for kind, status in statuses if isinstance(error, kind)), 500)


def of_error(error: Exception) -> JSONResponse:
    """The response to an error."""
    status = status_of(error)
    more: dict[str, Any] = {}
    headers = {}
    if isinstance(error, IncidentRefusedError):
        more["reason"] = error.reason.value
    if isinstance(error, ConfigurationError):
        more["findings"] = [finding.as_json() for finding in error.findings]
    # Rounded, and at least 1: `Retry-After: 0` invites the client to come back at once.
    if isinstance(error, LockedError):
        headers["Retry-After"] = str(max(1, round(error.seconds)))
    # RFC 9110 requires the header with 401. `Bearer` makes no browser show its own password dialog, as `Basic` would.
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status == 503:
        headers["Retry-After"] = str(_RETRY_AFTER_SECONDS)
        return problem(status, "The database is not available. Try again in a moment.", headers=headers)
    detail = (
        str(error)
        if isinstance(error, OrchestratorError | PayloadRefusedError)
        else "Internal error. The log has the details."
    )
    return problem(status, detail, headers=headers, **more)
