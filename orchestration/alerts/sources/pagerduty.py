"""Events in the form of PagerDuty's Events API v2, so that whatever can page PagerDuty can page this system. Pure.

The payload: https://developer.pagerduty.com/docs/events-api-v2/trigger-events/. The integration key, `routing_key`, is
our token.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from orchestration.alerts.inbound import InboundAlert, severity_of
from orchestration.alerts.payload import PayloadRefusedError, mapping, texts, when
from orchestration.alerts.source import AlertSource, InboundBatch, InboundRequest, Receipt, read_json
from orchestration.alerts.text_templates import storable_text
from orchestration.alerts.webhook_auth import UNAUTHENTICATED, WebhookAuth

_ACTIONS = ("trigger", "acknowledge", "resolve")
# PagerDuty refuses longer events, so no sender makes one.
_MOST_BYTES = 512 * 1024
_LONGEST_KEY = 255


@dataclass(frozen=True, slots=True)
class RoutingKeyAuth:
    """Accepts the token as the event's `routing_key`, or in the header that all sources accept."""

    token: str | None
    secret: str | None
    replay_seconds: float

    def precheck(self, headers: Mapping[str, str], now: float) -> None:
        """Refuse every request while no token is configured; the key is in the body. Raises PayloadRefusedError."""
        if not self.token:
            WebhookAuth(None, None, self.replay_seconds).precheck(headers, now)

    def verify(self, headers: Mapping[str, str], body: bytes, now: float) -> None:
        """Check the key. Raises PayloadRefusedError."""
        self.precheck(headers, now)
        if WebhookAuth(self.token, None, self.replay_seconds).has_token(headers):
            return
        event = read_json(body)
        given = event.get("routing_key") if isinstance(event, dict) else None
        same = hmac.compare_digest(str(given or "").encode("utf-8", "replace"), (self.token or "").encode())
        if not (self.token and same):
            raise PayloadRefusedError("routing_key is not the token of this intake", UNAUTHENTICATED)


def read_event(request: InboundRequest) -> InboundBatch:
    """The alert of an event. An acknowledgement is accepted and changes nothing: who acknowledged is not known here.
    Raises PayloadRefusedError."""
    event = mapping(request.payload(), "the body")
    action = event.get("event_action")
    if action not in _ACTIONS:
        raise PayloadRefusedError(f"expected one of {', '.join(_ACTIONS)} in event_action, got {action!r:.80}")
    key = event.get("dedup_key") or ""
    if not isinstance(key, str) or len(key) > _LONGEST_KEY:
        raise PayloadRefusedError(f"expected a text of at most {_LONGEST_KEY} characters in dedup_key")
    if action != "trigger" and not key:
        raise PayloadRefusedError(f"expected a dedup_key, which says what to {action}")
    if action == "acknowledge":
        return InboundBatch(key=key)
    alert = _trigger(event, key, request) if action == "trigger" else _resolve(key, request)
    return InboundBatch((alert,), key=key or alert.fingerprint)


def _trigger(event: Mapping[str, Any], key: str, request: InboundRequest) -> InboundAlert:
    payload = mapping(event.get("payload"), "payload")
    summary = payload.get("summary")
    if not isinstance(summary, str) or not summary.strip():
        raise PayloadRefusedError("expected a text in payload.summary")
    named = {label: payload.get(field) for label, field in _LABELS.items()}
    labels = texts({label: text for label, text in named.items() if isinstance(text, str) and text}, "payload")
    if isinstance(payload.get("severity"), str):
        labels[request.settings.severity_label] = storable_text(payload["severity"])[:200]
    given = when(payload.get("timestamp"), "payload.timestamp")
    # An event without a key is an alert of its own, each time that it is sent.
    identity = key or f"{summary} {request.received_at.isoformat()}"
    return InboundAlert(
        name=(labels.get("class") or labels.get("group") or "event")[:128],
        fingerprint=_fingerprint(identity),
        firing=True,
        at=given or request.received_at,
        start_known=given is not None,
        labels=labels,
        title=storable_text(summary)[:1024],
        summary=storable_text(summary),
        severity=severity_of(labels, request.settings),
        details=dict(_details(event, payload)),
    )


def _resolve(key: str, request: InboundRequest) -> InboundAlert:
    return InboundAlert("event", _fingerprint(key), firing=False, at=request.received_at, labels={}, start_known=False)


def _details(event: Mapping[str, Any], payload: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    custom = payload.get("custom_details")
    if isinstance(custom, dict):
        plain = {str(name): one if isinstance(one, str) else json.dumps(one) for name, one in custom.items()}
        yield from texts(plain, "payload.custom_details").items()
    elif custom:
        yield "custom_details", storable_text(custom if isinstance(custom, str) else json.dumps(custom))
    for number, link in enumerate(event.get("links") or () if isinstance(event.get("links"), list) else ()):
        if isinstance(link, dict) and isinstance(link.get("href"), str):
            yield storable_text(str(link.get("text") or f"link {number + 1}")), storable_text(link["href"])
    if isinstance(event.get("client_url"), str):
        yield storable_text(str(event.get("client") or "client")), storable_text(event["client_url"])


def _fingerprint(key: str) -> str:
    return sha256(key.encode("utf-8", "replace")).hexdigest()[:32]


def _answer(receipt: Receipt) -> Mapping[str, Any]:
    return {"status": "success", "message": "Event processed", "dedup_key": receipt.key}


def _refusal(reason: str) -> Mapping[str, Any]:
    return {"status": "invalid event", "message": "Event object is invalid", "errors": [reason]}


# PagerDuty's names for what our labels say; `source` is the machine, and here the name of the sender.
_LABELS = {"host": "source", "service": "component", "group": "group", "class": "class"}

PAGERDUTY = AlertSource(
    name="pagerduty",
    summary="tools that can page PagerDuty (Events API v2)",
    read=read_event,
    path="pagerduty/v2/enqueue",
    documentation="https://developer.pagerduty.com/docs/events-api-v2/overview/",
    authentication=RoutingKeyAuth,
    success_status=202,
    answer=_answer,
    refusal=_refusal,
    at_root="/v2/enqueue",
    max_bytes=_MOST_BYTES,
)
