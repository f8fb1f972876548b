"""Errors in the format of OpenAI's API, so that its clients raise the exceptions that their users expect."""

from __future__ import annotations

import math
from typing import Any

from starlette.responses import JSONResponse, Response

from orchestration.errors import NotFoundError, OrchestratorError
from orchestration.providers.failures import (
    BudgetExceededError,
    FailureKind,
    NoRouteError,
    RequestRefusedError,
    StreamInterruptedError,
)


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
        case BudgetExceededError():
            status, kind, code = 429, "insufficient_quota", "insufficient_quota"
        case StreamInterruptedError():
            status, kind, code = 502, "server_error", "broken_off"
        case NoRouteError():
            status, kind, code = 503, "server_error", "no_route"
        case _:
            pass
    return status, {"error": {"message": str(error), "type": kind, "param": None, "code": code}}


def error_response(error: OrchestratorError, now: float) -> Response:
    """The response to an error; `now` is monotonic."""
    status, body = error_body(error)
    headers = {}
    # `Retry-After` has whole seconds (RFC 9110, 10.2.3). Rounded down, the client would come back too early.
    if isinstance(error, BadRequestError) and error.wait:
        headers["Retry-After"] = str(math.ceil(error.wait))
    if isinstance(error, NoRouteError) and error.retry_at is not None:
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_at - now)))
    return JSONResponse(body, status, headers)
