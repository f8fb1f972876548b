"""Webhooks v3 of PagerDuty: https://developer.pagerduty.com/docs/webhooks-overview. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from orchestration.web.vendor_answers.answer import ExternalAnswer, UnreadableAnswerError, VendorVerb

# The events of its family `incident` that a person causes.
_VERBS: Mapping[str, VendorVerb] = MappingProxyType(
    {
        "acknowledged": VendorVerb.ACKNOWLEDGE,
        "resolved": VendorVerb.RESOLVE,
        "escalated": VendorVerb.NOTE,
        "reassigned": VendorVerb.NOTE,
        "reopened": VendorVerb.NOTE,
        "unacknowledged": VendorVerb.NOTE,
    }
)
# Only people answer. What our own integration does there comes back as an event as well, and would be an echo.
_PERSON = "user_reference"


def read_answer(body: bytes) -> ExternalAnswer | None:
    """What a person did; None for an event that is none of that. Raises UnreadableAnswerError."""
    event = _mapping(_mapping(_json(body), "the body").get("event"), "event")
    family, _, kind = str(event.get("event_type")).partition(".")
    agent = event.get("agent")
    if family != "incident" or kind not in _VERBS or not isinstance(agent, dict) or agent.get("type") != _PERSON:
        return None
    data = _mapping(event.get("data"), "event.data")
    # The dedup key of our event; an incident that somebody has made by hand has one of its own.
    incident = data.get("incident_key")
    if not isinstance(incident, str):
        return None
    return ExternalAnswer(
        event=_text(event.get("id"), "event.id"),
        incident=incident,
        verb=_VERBS[kind],
        user=_text(agent.get("id"), "event.agent.id"),
        user_name=str(agent.get("summary") or ""),
        text=f"{kind} in PagerDuty",
    )


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UnreadableAnswerError("expected JSON") from error


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise UnreadableAnswerError(f"expected an object in {name}")
    return value


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise UnreadableAnswerError(f"expected a text in {name}")
    return value
