"""The webhook for senders that have no format of their own. Pure.

`{"alerts": [{"name": …, "status": "firing", "labels": {…}}]}`, or one such alert by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestration.alerts.fingerprint import fingerprint
from orchestration.alerts.inbound import InboundAlert, severity_of
from orchestration.alerts.payload import PayloadRefusedError, items, mapping, read_each, status, texts, when
from orchestration.alerts.source import AlertSource, InboundBatch, InboundRequest
from orchestration.alerts.text_templates import storable_text

_LONGEST_GROUP = 1000


def read_webhook(request: InboundRequest) -> InboundBatch:
    """The alerts of a body: one, or several under `alerts`. Raises PayloadRefusedError.

    Each needs a `name`. `status` is `firing` unless it is `resolved`; `severity`, `summary`, `description`, `links`,
    `group`, `startsAt` and `endsAt` are optional. `scenario` is kept as a label, and decides nothing.
    """
    payload = mapping(request.payload(), "the body")
    alerts = items(payload.get("alerts", [payload]), "alerts", request.settings.max_alerts)
    read, refused = read_each(alerts, "alerts", lambda alert, place: read_alert(alert, place, request))
    return InboundBatch(read, refused=refused)


WEBHOOK = AlertSource(name="webhook", summary="tools of your own, in a format of ours", read=read_webhook)


def read_alert(alert: Mapping[str, Any], place: str, request: InboundRequest) -> InboundAlert:
    """One alert. Raises PayloadRefusedError."""
    name = alert.get("name")
    if not isinstance(name, str) or not name.strip():
        raise PayloadRefusedError(f"expected a text in {place}.name, got {name!r}")
    settings = request.settings
    labels = texts(alert.get("labels") or {}, f"{place}.labels")
    for key, label in (("severity", settings.severity_label), ("scenario", "scenario")):
        if isinstance(alert.get(key), str):
            labels.setdefault(label, storable_text(alert[key]))
    firing = status(alert.get("status", "firing"), f"{place}.status")
    key = "startsAt" if firing else "endsAt"
    given = when(alert.get(key), f"{place}.{key}")
    at = given or request.received_at
    # Without severity and scenario, so that a sender may leave them out, or change them, when the alert is over.
    identifying = {key: text for key, text in labels.items() if key not in (settings.severity_label, "scenario")}
    return InboundAlert(
        name=storable_text(name)[:128],
        fingerprint=fingerprint(name, identifying),
        firing=firing,
        at=at,
        start_known=given is not None,
        labels=labels,
        title=storable_text(alert.get("summary") or name),
        summary=storable_text(alert.get("description") or alert.get("summary") or ""),
        severity=severity_of(labels, settings),
        details=_links(alert.get("links")),
        drill=labels.get("drill") == "true",
        sender_group=storable_text(alert["group"])[:_LONGEST_GROUP] if isinstance(alert.get("group"), str) else "",
    )


def _links(value: object) -> dict[str, str]:
    """The addresses by name. Anything else under `links` is the sender's own, and ignored."""
    given = value.items() if isinstance(value, dict) else ()
    return {storable_text(name): storable_text(url) for name, url in given if isinstance(url, str)}
