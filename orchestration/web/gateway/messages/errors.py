"""Errors in the format of Anthropic's API: https://platform.claude.com/docs/en/api/errors."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from orchestration.errors import OrchestratorError
from orchestration.web.gateway.errors import error_body, wait_headers
from orchestration.web.gateway.json_bytes import JsonResponse

# With Anthropic's own status of an overload, its clients raise an exception of its own.
_NO_ROUTE, _OVERLOADED = 503, 529
_TYPES = {
    401: "authentication_error", 402: "billing_error", 403: "permission_error", 404: "not_found_error",
    413: "request_too_large", 429: "rate_limit_error", 504: "timeout_error", _OVERLOADED: "overloaded_error",
}  # fmt: skip


def messages_error(error: OrchestratorError) -> tuple[int, dict[str, Any]]:
    """The status and the body of the response to an error. Pure."""
    status, body = error_body(error)
    status = _OVERLOADED if status == _NO_ROUTE else status
    return status, messages_refusal(status, body["error"]["message"])


def messages_refusal(status: int, message: str) -> dict[str, Any]:
    """The body of an error with this status."""
    kind = _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": message}}


def messages_error_response(error: OrchestratorError, now: float) -> Response:
    """The response to an error; `now` is monotonic."""
    status, body = messages_error(error)
    return JsonResponse(body, status, wait_headers(error, now))
