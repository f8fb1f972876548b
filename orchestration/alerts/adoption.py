"""Alerts from a report that was journalled: the process that had them in memory may have died before it could store
them. Without them nobody would observe that what they are about is over, and their incident could never end. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestration.alerts.fingerprint import fingerprint
from orchestration.alerts.model import Alert
from orchestration.domain.alert_status import AlertStatus
from orchestration.ids import new_id
from orchestration.incidents.report import OWN_SOURCE, TroubleReport


def alerts_of(report: TroubleReport) -> Iterator[Alert]:
    """The alerts of our own rules that a report was about, as far as it names them."""
    if report.source != OWN_SOURCE:
        return
    subject = report.key.removeprefix("drill:").partition(":")[2]
    for evidence in report.evidence:
        if isinstance(evidence.get("name"), str) and isinstance(evidence.get("labels"), dict):
            yield _alert(report, evidence, subject)


def _alert(report: TroubleReport, evidence: dict[str, Any], subject: str) -> Alert:
    labels = {str(name): str(value) for name, value in evidence["labels"].items()}
    value = evidence.get("value")
    return Alert(
        id=str(evidence.get("alert") or new_id("alert", report.at.timestamp())),
        name=evidence["name"],
        fingerprint=fingerprint(evidence["name"], {**labels, "drill": "true"} if report.drill else labels),
        status=AlertStatus.FIRING,
        scenario=report.scenario,
        since=report.started_at or report.at,
        seen_at=report.at,
        updated_at=report.at,
        labels=labels,
        value=float(value) if isinstance(value, int | float) else 1.0,
        subject=subject,
        title=report.title,
        summary=str(evidence.get("summary") or report.summary),
        facts=report.facts,
        starts_at=report.at,
        drill=report.drill,
        duties=report.duties,
    )
