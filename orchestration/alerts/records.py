"""Conversion of alerts and groups to database rows and back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from orchestration.alerts.facts import facts_from_json, facts_to_json
from orchestration.alerts.model import Alert
from orchestration.alerts.stages import NotifiedState, NotifyDecision, NotifyReason
from orchestration.domain.duty import DutyRequest
from orchestration.domain.scenario import Scenario
from orchestration.storage.alerts import AlertRow, GroupRow

_DUTY = TypeAdapter(DutyRequest)


def to_row(alert: Alert, decision: NotifyDecision | None) -> AlertRow:
    """An alert as a row, with the latest decision about it."""
    return AlertRow(
        id=alert.id,
        fingerprint=alert.fingerprint,
        name=alert.name,
        status=alert.status,
        source=alert.source,
        scenario=alert.scenario.value,
        group_key=alert.group,
        labels=alert.labels,
        value=alert.value,
        state={
            "details": dict(alert.details),
            "subject": alert.subject,
            "title": alert.title,
            "summary": alert.summary,
            "facts": facts_to_json(alert.facts),
            "evidence": dict(alert.evidence),
            "seen_at": alert.seen_at.isoformat(),
            "clear_since": None if alert.clear_since is None else alert.clear_since.isoformat(),
            "flips": [flip.isoformat() for flip in alert.flips],
            "flapping": alert.flapping,
            "since_known": alert.since_known,
            "unobserved": alert.unobserved,
            "expires": None if alert.expires is None else alert.expires.isoformat(),
            "duties": [_DUTY.dump_python(duty, mode="json") for duty in alert.duties],
            "sender_group": alert.sender_group,
            "storm": alert.storm,
            "grouped_at": None if alert.grouped_at is None else alert.grouped_at.isoformat(),
            "ahead": alert.ahead,
        },
        since=alert.since,
        updated_at=alert.updated_at,
        starts_at=alert.starts_at,
        ends_at=alert.ends_at,
        verdict="" if decision is None else decision.reason.value,
        muted_by="" if decision is None else decision.by,
        drill=alert.drill,
    )


def from_row(row: AlertRow) -> Alert:
    """The reverse of `to_row`. Raises ValueError, KeyError or TypeError for a row that is not one of ours."""
    state = row.state
    return Alert(
        id=row.id,
        name=row.name,
        fingerprint=row.fingerprint,
        status=row.status,
        scenario=Scenario(row.scenario),
        since=row.since,
        seen_at=datetime.fromisoformat(state["seen_at"]),
        updated_at=row.updated_at,
        labels={str(name): str(value) for name, value in row.labels.items()},
        details=state["details"],
        value=row.value,
        subject=state["subject"],
        title=state["title"],
        summary=state["summary"],
        facts=facts_from_json(state["facts"]),
        evidence=state["evidence"],
        source=row.source,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        clear_since=_time(state["clear_since"]),
        flips=tuple(datetime.fromisoformat(flip) for flip in state["flips"]),
        flapping=state["flapping"],
        since_known=state.get("since_known", True),  # rows of earlier releases do not say
        drill=row.drill,
        **_later(state, row.starts_at),
    )


def _later(state: Mapping[str, Any], starts_at: datetime | None) -> dict[str, Any]:
    """The fields that are not in rows of earlier releases."""
    return {
        "unobserved": state.get("unobserved", False),
        "expires": _time(state.get("expires")),
        "duties": tuple(_DUTY.validate_python(duty) for duty in state.get("duties", ())),
        "sender_group": state.get("sender_group", ""),
        "storm": state.get("storm", ""),
        # Those of earlier releases have their group.
        "grouped_at": _time(state["grouped_at"]) if "grouped_at" in state else starts_at,
        "ahead": state.get("ahead", 0),
    }


def decision_of(row: AlertRow) -> NotifyDecision | None:
    """The latest decision about an alert; None where there was none, or none that this release knows."""
    known = row.verdict in set(NotifyReason)
    return NotifyDecision(row.id, NotifyReason(row.verdict), row.muted_by) if known else None


def group_to_row(key: str, state: NotifiedState) -> GroupRow:
    """What was reported of a group, as a row."""
    counts = {"total": state.total, "told": state.told}
    return GroupRow(key, {"alerts": sorted(state.alerts), "facts": facts_to_json(state.facts), **counts}, state.at)


def group_from_row(row: GroupRow) -> NotifiedState:
    """The reverse of `group_to_row`."""
    reported: Mapping[str, Any] = row.reported
    alerts, facts = frozenset(reported["alerts"]), facts_from_json(reported["facts"])
    total = reported.get("total", len(alerts))  # rows of earlier releases do not say
    return NotifiedState(row.reported_at, alerts, facts, total, reported.get("told", total))


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
