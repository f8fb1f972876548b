"""A notice: the state of an incident at one moment. Every text and payload is made from it, and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity


class NoticeKind(StrEnum):
    """The reason for a notice. `initial`, `escalation` and `at-risk` are pages, which stop at the acknowledgement."""

    INITIAL = "initial"
    ESCALATION = "escalation"
    UPDATE = "update"
    AT_RISK = "at-risk"
    APPROVAL = "approval"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    CANCELLED = "cancelled"
    MERGED = "merged"
    REMINDER = "reminder"
    TEST = "test"
    REPORT = "report"
    ACTION_ITEM = "action-item"

    @property
    def is_page(self) -> bool:
        """Whether it must not be sent any more once the incident is acknowledged."""
        return self in (NoticeKind.INITIAL, NoticeKind.ESCALATION, NoticeKind.AT_RISK)

    @property
    def closes(self) -> bool:
        """Whether it ends the incident, so that nothing about it is firing any more."""
        return self in (NoticeKind.RESOLVED, NoticeKind.CANCELLED, NoticeKind.MERGED)


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice about an incident. None and empty values are unknown, and are shown as "Unknown".

    `status` is one of the playbook's words in capitals (INVESTIGATING, MITIGATING, VERIFYING, RESOLVED …).
    `severity_reason` is why it has its severity, `origin` who has noticed it, `causes` are the likely ones, the
    likeliest first. `tried` is what the system has done so far and what came of it, `to_do` the commands to use next,
    one in each line. `reason` is why this notice is sent if its kind does not say so, such as the rule that escalated.
    `drill` marks a drill in every text. `labels` are those of the incident's alerts, with its scenario and severity;
    `item` is the number of the action item that the notice is about, and `item_done` whether it is done.
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
    eta_basis: str = ""
    details: str = ""
    next_update: datetime | None = None
    duration: timedelta | None = None
    root_cause: str = ""
    resolution: str = ""
    review: str = ""
    reason: str = ""
    severity_reason: str = ""
    origin: str = ""
    causes: tuple[str, ...] = ()
    tried: tuple[str, ...] = ()
    to_do: tuple[str, ...] = ()
    url: str = ""
    drill: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    item: int | None = None
    item_done: bool = False

    @property
    def is_over(self) -> bool:
        """Whether the incident has ended."""
        return self.duration is not None

    def as_json(self) -> dict[str, Any]:
        """The notice as JSON values: times in RFC 3339, UTC; the duration in seconds."""
        return {one.name: _plain(getattr(self, one.name)) for one in fields(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Notice:
        """The notice that `as_json` was made from. Unknown keys are ignored: they come from a newer release."""
        known = {one.name: data[one.name] for one in fields(cls) if one.name in data}
        for name in ("started_at", "detected_at", "eta", "next_update"):
            if known.get(name) is not None:
                known[name] = datetime.fromisoformat(known[name])
        if known.get("duration") is not None:
            known["duration"] = timedelta(seconds=known["duration"])
        words = {
            "kind": NoticeKind,
            "severity": Severity,
            "scenario": Scenario,
            "causes": tuple,
            "tried": tuple,
            "to_do": tuple,
        }
        return cls(**known | {name: make(known[name]) for name, make in words.items() if name in known})


def _plain(value: object) -> object:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case timedelta():
            return value.total_seconds()
        case StrEnum():
            return value.value
        case tuple():
            return list(value)
        case Mapping():
            return dict(value)
        case _:
            return value
