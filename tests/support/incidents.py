"""Incidents for tests: settings with somebody at each level, reports, turns, and a planner of one row per contact."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from orchestration.config.response import Contact, ResponseSettings
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.incidents import conditions, lifecycle
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.lifecycle import DetectionSnapshot
from orchestration.incidents.model import Actor, Incident, person
from orchestration.incidents.report import BlastRadius, Facts, TroubleReport
from orchestration.notifications.notice import Notice, NoticeKind
from orchestration.storage.outbox import OutboxRow

NOON = datetime(2026, 3, 3, 12, 0, tzinfo=UTC)  # a Tuesday
ADA, MACHINE = person("ada"), Actor("playbook")
ONE_AGENT = Facts(agents_failing=1, agents_total=4)
ALL_AGENTS = Facts(agents_failing=4, agents_total=4)
HALF = Facts(agents_failing=2, agents_total=4)
PAGES = (NoticeKind.INITIAL, NoticeKind.ESCALATION, NoticeKind.AT_RISK)


def after(**span: float) -> datetime:
    """Noon and so much more."""
    return NOON + timedelta(**span)


def some_settings(**values: Any) -> ResponseSettings:
    people = (("ada", 1), ("ben", 2), ("cleo", 3), ("sec", 4))
    contacts = tuple(Contact(id=name, level=level) for name, level in people)
    return ResponseSettings(**{"contacts": contacts, **values})


def a_report(facts: Facts = ONE_AGENT, at: datetime = NOON, **values: Any) -> TroubleReport:
    standard = {
        "key": "agent:executor",
        "scenario": Scenario.AGENT_FAILURE,
        "title": "executor fails",
        "summary": "3 of its last 4 steps failed",
        "fingerprints": ("f-1",),
        "blast_radius": BlastRadius(agents=("executor",)),
    }
    return TroubleReport(**{**standard, "facts": facts, "at": at, **values})  # type: ignore[arg-type]


def declared(
    report: TroubleReport | None = None, settings: ResponseSettings | None = None, now: datetime | None = None
) -> IncidentChange:
    """A turn in which an incident has just begun."""
    chosen = report or a_report()
    turn = lifecycle.declare(
        "inc-1", chosen, DetectionSnapshot(settings or some_settings(), "p", "agent-failure"), now or chosen.at
    )
    turn.finish()
    return turn


def turned(
    incident: Incident,
    handling: Callable[[IncidentChange], None],
    *,
    at: datetime = NOON,
    actor: Actor = ADA,
    settings: ResponseSettings | None = None,
) -> IncidentChange:
    """A turn in which that has been done."""
    turn = IncidentChange(incident, settings or some_settings(), at, actor)
    handling(turn)
    turn.finish()
    return turn


def cleared(at: datetime, key: str = "agent:executor") -> Callable[[IncidentChange], None]:
    """The observation that the alerts of that key are gone."""
    return partial(conditions.clear, key=key, at=at, observed=True)


def said(turn: IncidentChange) -> list[tuple[str, str, tuple[str, ...]]]:
    """Whom a turn tells, how, and in which step."""
    return [(each.kind.value, each.step, tuple(contact.id for contact in each.contacts)) for each in turn.notifications]


def plan(
    notice: Notice, contacts: Sequence[Contact], settings: ResponseSettings, step: str, now: datetime
) -> tuple[OutboxRow, ...]:
    """A row for each contact; one for the log where there is none."""
    return tuple(
        OutboxRow(
            key=f"{notice.incident_id}:{step}:{name}",
            incident_id=notice.incident_id,
            kind=notice.kind.value,
            contact=name,
            channel="log",
            address=None,
            payload={"title": notice.title, "status": notice.status, "reason": notice.reason},
            stops_on_acknowledge=notice.kind in PAGES,
            created_at=now,
            due_at=now,
        )
        for name in ([contact.id for contact in contacts] or ["log"])
    )


SEVERITIES = tuple(Severity)
