"""Buttons in Slack: https://docs.slack.dev/reference/interaction-payloads/block_actions-payload. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import parse_qs

from orchestration.notifications.channels.slack_blocks import ACKNOWLEDGE, ESCALATE
from orchestration.web.vendor_answers.answer import ExternalAnswer, UnreadableAnswerError, VendorVerb

_VERBS: Mapping[str, VendorVerb] = MappingProxyType(
    {ACKNOWLEDGE: VendorVerb.ACKNOWLEDGE, ESCALATE: VendorVerb.ESCALATE}
)


def read_answer(body: bytes) -> ExternalAnswer | None:
    """What a person did; None for an interaction that is none of that, such as the button that opens the page. Raises
    UnreadableAnswerError."""
    try:
        (text,) = parse_qs(body.decode(), max_num_fields=10)["payload"]
        payload = json.loads(text)
        kind, user = payload["type"], payload["user"]
        action = payload["actions"][0] if kind == "block_actions" else {}
        verb, incident = _VERBS.get(action.get("action_id", "")), action.get("value")
        if verb is None:
            return None
        if not isinstance(incident, str):
            raise TypeError("no value")
        return ExternalAnswer(
            # Slack has no id for an interaction; the same press is the same body, and another has another time.
            event=hashlib.sha256(body).hexdigest()[:40],
            incident=incident,
            verb=verb,
            user=str(user["id"]),
            user_name=str(user.get("username") or user.get("name") or ""),
            reply_url=str(payload.get("response_url") or ""),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableAnswerError("expected an interaction payload of Slack") from error
