"""Errors in the format of OpenAI's API, so that its clients raise the exceptions that their users expect."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from orchestration.errors import NotFoundError, OrchestratorError
from orchestration.providers.failures import (
    BudgetExceededError,
    FailureKind,
    NoRouteError,
    RequestRefusedError,
    StreamInterruptedError,
)
from orchestration.web.gateway.budget_headers import budget_headers
from orchestration.web.gateway.json_bytes import JsonResponse

# What OpenAI calls the errors of a status: https://platform.openai.com/docs/guides/error-codes.
_TYPES = {401: "invalid_request_error", 403: "invalid_request_error", 429: "rate_limit_error"}
_CODES = {401: "invalid_api_key", 403: "permission_denied", 404: "unknown_url", 405: "method_not_allowed"}


class BadRequestError(OrchestratorError):
    """A request that the endpoint refuses, with the HTTP status and the code for the client. `wait` is the time in
    seconds after which the request may be repeated; 0 if it is no use."""

    def __init__(self, message: str, status: int = 400, code: str = "invalid_request_error", wait: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.wait = wait


def error_body(error: OrchestratorError) -> tuple[int, dict[str, Any]]:
    """The status and the body of the response to an error. Pure.

    The status decides what OpenAI's clients do: they repeat a request after 408, 409, 429 and 5xx, and give up after
    any other 4xx (https://github.com/openai/openai-python#retries). So only a request that can never succeed gets a
    4xx."""
    status, kind, code = 500, "server_error", "server_error"
    match error:
        case BadRequestError():
            status, kind, code = error.status, "invalid_request_error", error.code
        case NotFoundError():
            status, kind, code = 404, "invalid_request_error", "model_not_found"
        case RequestRefusedError():
            status, kind, code = 400, "invalid_request_error", error.kind.value
            if error.kind is FailureKind.CONTENT_FILTER:
                kind = "content_filter"
            elif error.failure.overflow is not None:
                # The code by which clients know that a shorter conversation would do.
                code = "context_length_exceeded"
        case BudgetExceededError():
            status, kind, code = 429, "insufficient_quota", "insufficient_quota"
        case StreamInterruptedError():
            status, kind, code = 502, "server_error", "broken_off"
        case NoRouteError():
            status, kind, code = 503, "server_error", "no_route"
        case _:
            pass
    return status, {"error": {"message": str(error), "type": kind, "param": None, "code": code}}


def openai_refusal(status: int, message: str) -> dict[str, Any]:
    """The body of the response to a request that is refused before it is read: unknown address, no key."""
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": _CODES.get(status)}}


def error_response(error: OrchestratorError, now: float) -> Response:
    """The response to an error; `now` is monotonic."""
    status, body = error_body(error)
    return JsonResponse(body, status, wait_headers(error, now))


def wait_headers(error: OrchestratorError, now: float) -> Mapping[str, str]:
    """The header that says when the request may be repeated, as far as that is known; `now` is monotonic."""
    # `Retry-After` has whole seconds (RFC 9110, 10.2.3). Rounded down, the client would come back too early.
    if isinstance(error, BadRequestError) and error.wait:
        return {"Retry-After": str(math.ceil(error.wait))}
    if isinstance(error, BudgetExceededError):
        # The clients of OpenAI and Anthropic repeat a 429 unless this header says that it is no use.
        return {"x-should-retry": "false", **budget_headers(error.standings)}
    if isinstance(error, NoRouteError) and error.retry_at is not None:
        return {"Retry-After": str(max(1, math.ceil(error.retry_at - now)))}
    return {}
