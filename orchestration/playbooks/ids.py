"""How the flows of responses are called, so that whoever takes up flows can tell them from runs. Pure."""

from __future__ import annotations

_PREFIX = "response-"


def response_id(incident_id: str, number: int) -> str:
    """The flow of the response to an incident; `number` counts how often it was reopened."""
    return f"{_PREFIX}{incident_id}-{number}"


def is_response(flow_id: str) -> bool:
    """Whether a flow is a response: those belong to the control process, all others to the workers."""
    return flow_id.startswith(_PREFIX)
