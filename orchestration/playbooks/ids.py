"""The identifiers of response flows, which tell them from those of runs. Pure."""

from __future__ import annotations

_PREFIX = "response-"


def response_id(incident_id: str, number: int, further: int = 0) -> str:
    """The flow of the response to an incident; `number` counts how often it was reopened, and `further` the responses
    since then that had to follow because the problem returned."""
    return f"{_PREFIX}{incident_id}-{number}" + (f"-{further}" if further else "")


def is_response(flow_id: str) -> bool:
    """Whether a flow is a response. The control process recovers those; workers recover all others."""
    return flow_id.startswith(_PREFIX)
