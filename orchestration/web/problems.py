"""Errors over HTTP: problem details (RFC 9457), with a status for each kind of error of ours. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse

from orchestration.alerts.payload import PayloadRefusedError
from orchestration.config.findings import ConfigurationError
from orchestration.errors import ConflictError, NotFoundError, OrchestratorError, UsageError
from orchestration.incidents.model import IncidentRefusedError
from orchestration.security.access import LockedError, SignInError
from orchestration.storage.database import StorageError

_TITLES = {
    400: "The request cannot be read",
    401: "Sign in first",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible here",
    409: "Not possible in this state",
    413: "Too much",
    421: "Not this server",
    422: "The request is wrong",
    428: "A condition is missing",
    429: "Too many",
    500: "A fault of ours",
    503: "Not available now",
}
_AGAIN_SECONDS = 5


class NotAllowedError(OrchestratorError):
    """Known, and not allowed to do this."""


class NotSignedInError(OrchestratorError):
    """Nobody whom we know."""


def problem(status: int, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> JSONResponse:
    """The answer that says what is wrong."""
    body = {"type": "about:blank", "title": _TITLES.get(status, "Error"), "status": status, "detail": detail, **more}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def status_of(error: Exception) -> int:
    """The status that stands for an error; 500 for one that is not for users."""
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
    """The answer for an error."""
    status = status_of(error)
    more: dict[str, Any] = {}
    headers = {}
    if isinstance(error, IncidentRefusedError):
        more["reason"] = error.reason.value
    if isinstance(error, ConfigurationError):
        more["findings"] = [finding.as_json() for finding in error.findings]
    if isinstance(error, LockedError):
        headers["Retry-After"] = str(max(1, round(error.seconds)))
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status == 503:
        headers["Retry-After"] = str(_AGAIN_SECONDS)
        return problem(status, "the database does not answer; try again in a moment", headers=headers)
    detail = str(error) if isinstance(error, OrchestratorError | PayloadRefusedError) else "the log says what happened"
    return problem(status, detail, headers=headers, **more)
