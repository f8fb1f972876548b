"""A webhook for senders of one's own: `{"alerts": [{"name": …, "status": "firing", "labels": {…}}]}`. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from orchestration.alerts.fingerprint import fingerprint
from orchestration.alerts.inbound import InboundAlert, scenario_of, severity_of
from orchestration.alerts.payload import PayloadRefusedError, items, mapping, status, texts, when
from orchestration.alerts.text_templates import sound
from orchestration.config.alerting import IntakeSettings


def read_generic(payload: object, settings: IntakeSettings, now: datetime) -> tuple[list[InboundAlert], int]:
    """The notices of a body: one alert, or several under `alerts`. Nothing is ever cut off. Raises RefusedError.

    Of an alert, `name` must be there. `status` is `firing` unless it says `resolved`; `severity`, `scenario`,
    `summary`, `description`, `startsAt` and `endsAt` may be there.
    """
    whole = mapping(payload, "the body")
    alerts = items(whole.get("alerts", [whole]), "alerts", settings.max_alerts)
    return [_notice(mapping(one, f"alerts[{at}]"), at, settings, now) for at, one in enumerate(alerts)], 0


def _notice(alert: Mapping[str, Any], at: int, settings: IntakeSettings, now: datetime) -> InboundAlert:
    name = alert.get("name")
    if not isinstance(name, str) or not name.strip():
        raise PayloadRefusedError(f"expected a text in alerts[{at}].name, got {name!r}")
    labels = texts(alert.get("labels") or {}, f"alerts[{at}].labels")
    for key, label in (("severity", settings.severity_label), ("scenario", "scenario")):
        if isinstance(alert.get(key), str):
            labels.setdefault(label, sound(alert[key]))
    firing = status(alert.get("status", "firing"), f"alerts[{at}].status")
    moment = when(alert.get("startsAt" if firing else "endsAt"), f"alerts[{at}].{'startsAt' if firing else 'endsAt'}")
    named = {key: value for key, value in labels.items() if key not in (settings.severity_label, "scenario")}
    return InboundAlert(
        name=sound(name)[:128],
        fingerprint=fingerprint(name, named),
        firing=firing,
        at=(moment or now).astimezone(UTC),
        labels=labels,
        title=sound(alert.get("summary") or name),
        summary=sound(alert.get("description") or alert.get("summary") or ""),
        severity=severity_of(labels, settings),
        scenario=scenario_of(name, labels, settings),
        drill=labels.get("drill") == "true",
    )
