"""Prometheus Alertmanager's webhook, version 4, read into notices. Pure.

Keys of newer releases are let through. Each alert is judged by its own status, not by that of its group; `endsAt` of
one that fires is the year 1 and means nothing. Alertmanager repeats itself, which changes nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from orchestration.alerts.fingerprint import fingerprint
from orchestration.alerts.inbound import InboundAlert, scenario_of, severity_of
from orchestration.alerts.payload import PayloadRefusedError, items, mapping, status, texts, when
from orchestration.alerts.text_templates import sound
from orchestration.config.alerting import IntakeSettings

_VERSION = "4"


def read_alertmanager(payload: object, settings: IntakeSettings, now: datetime) -> tuple[list[InboundAlert], int]:
    """The notices of a delivery, and how many alerts the sender cut off. Raises RefusedError."""
    whole = mapping(payload, "the body")
    version = whole.get("version")
    if version != _VERSION:
        raise PayloadRefusedError(f'expected "version": "4" of the Alertmanager webhook, got {version!r}')
    alerts = items(whole.get("alerts"), "alerts", settings.max_alerts)
    cut_off = whole.get("truncatedAlerts", 0)
    notices = [_notice(mapping(one, f"alerts[{at}]"), at, settings, now) for at, one in enumerate(alerts)]
    return notices, cut_off if isinstance(cut_off, int) and cut_off > 0 else 0


def _notice(alert: Mapping[str, Any], at: int, settings: IntakeSettings, now: datetime) -> InboundAlert:
    labels = texts(alert.get("labels"), f"alerts[{at}].labels")
    annotations = texts(alert.get("annotations") or {}, f"alerts[{at}].annotations")
    name = labels.pop("alertname", "") or "unnamed"
    firing = status(alert.get("status"), f"alerts[{at}].status")
    begun = when(alert.get("startsAt"), f"alerts[{at}].startsAt") or now
    ended = when(alert.get("endsAt"), f"alerts[{at}].endsAt") or now
    return InboundAlert(
        name=name[:128],
        fingerprint=_fingerprint(alert.get("fingerprint")) or fingerprint(name, labels),
        firing=firing,
        at=(begun if firing else ended).astimezone(UTC),
        labels=labels,
        title=annotations.get("title") or annotations.get("summary") or name,
        summary=annotations.get("description") or annotations.get("message") or annotations.get("summary", ""),
        severity=severity_of(labels, settings),
        scenario=scenario_of(name, labels, settings),
        details={**annotations, "generatorURL": sound(alert.get("generatorURL") or "")},
        drill=labels.get("drill") == "true",
    )


def _fingerprint(value: object) -> str:
    """What the sender says, where that can be one; else nothing."""
    good = isinstance(value, str) and value.isascii() and value.isalnum() and len(value) <= 64
    return str(value) if good else ""
