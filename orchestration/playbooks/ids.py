"""The identifiers of response flows, which tell them from those of runs. Pure."""

from __future__ import annotations

_PREFIX = "response-"


def response_id(incident_id: str, number: int) -> str:
    """The flow of the response to an incident; `number` counts how often it was reopened."""
    return f"{_PREFIX}{incident_id}-{number}"


def is_response(flow_id: str) -> bool:
    """Whether a flow is a response. The control process recovers those; workers recover all others."""
    return flow_id.startswith(_PREFIX)
