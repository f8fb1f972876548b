"""What there is to say about an incident at one moment. Every text and payload is made from this and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from orchestration.config.response import Scenario, Severity


class NoticeKind(StrEnum):
    """Why somebody is told. `initial`, `escalation` and `at-risk` are pages: they stop at the acknowledgement."""

    INITIAL = "initial"
    ESCALATION = "escalation"
    UPDATE = "update"
    AT_RISK = "at-risk"
    APPROVAL = "approval"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    CANCELLED = "cancelled"
    REMINDER = "reminder"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Notice:
    """An incident as it is told. None and empty stand for what is not known, and are shown as "Unknown".

    `status` is in the playbook's capitals (INVESTIGATING, MITIGATING, VERIFYING, RESOLVED …). `tried` is what the
    system has done so far, `to_do` the commands that a person would use next, one line each. `reason` says why this
    notice is sent when its kind does not tell (the rule that escalated). `drill` marks a rehearsal in every text.
    """

    kind: NoticeKind
    incident_id: str
    severity: Severity
    scenario: Scenario
    title: str
    status: str
    impact: str = ""
    started_at: datetime | None = None
    detected_at: datetime | None = None
    eta: datetime | None = None
    details: str = ""
    next_update: datetime | None = None
    duration: timedelta | None = None
    root_cause: str = ""
    resolution: str = ""
    review: str = ""
    reason: str = ""
    tried: tuple[str, ...] = ()
    to_do: tuple[str, ...] = ()
    url: str = ""
    drill: bool = False
