"""Errors over HTTP: a status for each kind, and nothing of what went wrong inside."""

from __future__ import annotations

import json

import pytest
from sqlalchemy.exc import OperationalError

from orchestration.config.findings import ConfigurationError
from orchestration.errors import ConflictError, NotFoundError, OrchestratorError, UsageError
from orchestration.incidents.model import IncidentRefusedError, Refusal
from orchestration.security.sign_in_locks import LockedError, SignInError
from orchestration.storage.database import StorageError
from orchestration.web.problems import NotAllowedError, of_error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFoundError("x"), 404),
        (UsageError("x"), 422),
        (ConfigurationError("file", ()), 422),
        (ConflictError("x"), 409),
        (IncidentRefusedError(Refusal.ALREADY_DONE, "x"), 409),
        (NotAllowedError("x"), 403),
        (SignInError("x"), 401),
        (LockedError(90.2), 429),
        (StorageError("x"), 503),
        (OperationalError("SELECT secret", {}, Exception("secret")), 503),
        (OrchestratorError("x"), 422),
        (RuntimeError("secret"), 500),
    ],
)
def test_each_kind_of_error_has_its_status(error: Exception, status: int) -> None:
    answer = of_error(error)
    body = json.loads(bytes(answer.body))
    assert (answer.status_code, body["status"]) == (status, status)
    assert body["title"]
    assert answer.media_type == "application/problem+json"
    assert "secret" not in str(body)


def test_a_refusal_names_its_reason_and_a_lock_its_end() -> None:
    refused = of_error(IncidentRefusedError(Refusal.NOT_OPEN, "x"))
    assert json.loads(bytes(refused.body))["reason"] == "not-open"
    assert of_error(LockedError(90.2)).headers["retry-after"] == "90"
    assert of_error(SignInError("x")).headers["www-authenticate"] == "Bearer"
    assert of_error(StorageError("x")).headers["retry-after"] == "5"
