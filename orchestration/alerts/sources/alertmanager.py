"""Prometheus Alertmanager's webhook, version 4. Pure.

The payload: https://prometheus.io/docs/alerting/latest/configuration/#webhook_config. Keys that newer releases add
(`notification_reason`, `routeLabels`) are ignored. Alertmanager repeats itself by design, at every `group_interval` and
`repeat_interval`; the fingerprint with `startsAt` makes a repetition known as one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestration.alerts.fingerprint import fingerprint
from orchestration.alerts.inbound import InboundAlert, severity_of
from orchestration.alerts.payload import PayloadRefusedError, items, mapping, read_each, status, texts, when
from orchestration.alerts.source import AlertSource, InboundBatch, InboundRequest
from orchestration.alerts.text_templates import storable_text

# Grafana writes "1", and means the same. People give its contact points the address of either endpoint.
_VERSIONS = ("4", "1")
# Alertmanager's has the labels of the group in it, and is no longer than they are.
_LONGEST_GROUP = 1000


def read_group(request: InboundRequest) -> InboundBatch:
    """The alerts of a delivery. Raises PayloadRefusedError."""
    payload = mapping(request.payload(), "the body")
    version = payload.get("version")
    if version not in _VERSIONS:
        raise PayloadRefusedError(f'expected "version": "4" of the Alertmanager webhook, got {version!r}')
    alerts = items(payload.get("alerts"), "alerts", request.settings.max_alerts)
    # `max_alerts` of a receiver makes Alertmanager leave alerts out; it says only how many, not which.
    truncated = payload.get("truncatedAlerts", 0)
    group = payload.get("groupKey")
    known = storable_text(group)[:_LONGEST_GROUP] if isinstance(group, str) else ""
    read, refused = read_each(alerts, "alerts", lambda alert, place: read_alert(alert, place, request, known))
    return InboundBatch(read, truncated if isinstance(truncated, int) and truncated > 0 else 0, refused)


ALERTMANAGER = AlertSource(
    name="alertmanager",
    summary="Prometheus Alertmanager, webhook version 4",
    read=read_group,
    documentation="https://prometheus.io/docs/alerting/latest/configuration/#webhook_config",
)


def read_alert(alert: Mapping[str, Any], place: str, request: InboundRequest, sender_group: str = "") -> InboundAlert:
    """One alert. Raises PayloadRefusedError."""
    labels = texts(alert.get("labels"), f"{place}.labels")
    annotations = texts(alert.get("annotations") or {}, f"{place}.annotations")
    name = labels.pop("alertname", "") or "unnamed"
    # By its own status: that of the group is "firing" as long as any alert in it fires.
    firing = status(alert.get("status"), f"{place}.status")
    given = when(alert.get("startsAt"), f"{place}.startsAt")
    started = given or request.received_at
    # Of an alert that fires, `endsAt` is Go's zero time, the year 1, which `when` reads as no time.
    ended = when(alert.get("endsAt"), f"{place}.endsAt") or request.received_at
    return InboundAlert(
        name=name[:128],
        fingerprint=_fingerprint(alert.get("fingerprint")) or fingerprint(name, labels),
        firing=firing,
        at=started if firing else ended,
        start_known=given is not None,
        labels=labels,
        # Annotation names are a convention only; `summary` and `description` are those of the Prometheus documentation,
        # `message` is common in older rule sets.
        title=annotations.get("title") or annotations.get("summary") or name,
        summary=annotations.get("description") or annotations.get("message") or annotations.get("summary", ""),
        severity=severity_of(labels, request.settings),
        details={**annotations, **_addresses(alert)},
        drill=labels.get("drill") == "true",
        sender_group=sender_group,
    )


def _addresses(alert: Mapping[str, Any]) -> dict[str, str]:
    """The addresses that stand beside the labels: `generatorURL`, and those that Grafana adds.

    https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/
    """
    given = {name: alert.get(name) for name in ("generatorURL", "dashboardURL", "panelURL", "silenceURL")}
    return {name: storable_text(value) for name, value in given.items() if isinstance(value, str) and value}


def _fingerprint(value: object) -> str:
    """The sender's fingerprint; empty where it has none that can be stored as one."""
    good = isinstance(value, str) and value.isascii() and value.isalnum() and len(value) <= 64
    return str(value) if good else ""
