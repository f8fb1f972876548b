"""What falls due, and what is owed after the end."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest

from orchestration.config.escalation import EscalationLevel, EscalationSettings
from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.incidents import notices, timers
from orchestration.incidents.commands.closure import Close
from orchestration.incidents.commands.mitigation import BeginMitigation, BeginVerification
from orchestration.incidents.commands.resolution import Resolve
from orchestration.incidents.commands.review_field import WriteReview
from orchestration.incidents.commands.severity_change import ChangeSeverity
from orchestration.incidents.escalation import IncidentTimer, due_times, missing_fields
from orchestration.incidents.impact import affected
from orchestration.incidents.model import Incident, IncidentRefusedError, Refusal, ReviewField
from orchestration.incidents.next_commands import diagnostic_command
from orchestration.incidents.report import BlastRadius, Facts, TroubleReport
from tests.support.incidents import (
    ALL_AGENTS,
    MACHINE,
    NOON,
    a_report,
    after,
    cleared,
    declared,
    said,
    some_settings,
    turned,
)

SETTINGS = some_settings()
OLLAMA = BlastRadius(providers=("ollama",))
TWO_LEVELS = some_settings(
    escalation=EscalationSettings(
        levels=(EscalationLevel(level=1, after=600), EscalationLevel(level=2, after=1200)), repeat=2
    )
)


def resolved(report: TroubleReport | None = None, at: datetime = NOON) -> Incident:
    return turned(declared(report).incident, Resolve(resolution="mended", anyway=True).apply, at=at).incident


def test_unanswered_pages_go_up_and_round_and_then_end() -> None:
    incident = declared(settings=TWO_LEVELS).incident
    seen = []
    while (due := due_times(incident, TWO_LEVELS).get(IncidentTimer.PAGE)) is not None:
        turn = turned(
            incident, partial(timers.fire, timer=IncidentTimer.PAGE), at=due, actor=MACHINE, settings=TWO_LEVELS
        )
        incident = turn.incident
        seen += [(int((due - NOON).total_seconds()), *said(turn)[0][1:])] if said(turn) else []
    assert seen == [
        (600, "page-1-2", ("ben",)),
        (1800, "page-1-3", ("ada",)),
        (2400, "page-1-4", ("ben",)),
    ]


def test_after_a_downtime_each_level_still_gets_its_time() -> None:
    turn = turned(declared().incident, partial(timers.fire, timer=IncidentTimer.PAGE), at=after(hours=3))
    assert due_times(turn.incident, SETTINGS)[IncidentTimer.PAGE] == after(hours=3, minutes=20)


@pytest.mark.parametrize("timer", list(IncidentTimer))
def test_what_is_not_due_does_nothing(timer: IncidentTimer) -> None:
    assert not turned(declared().incident, partial(timers.fire, timer=timer), at=NOON).changed


def test_a_target_at_risk_and_breached_is_said_once_each() -> None:
    incident, told = declared().incident, []
    for timer, hours in ((IncidentTimer.RESPONSE_AT_RISK, 3), (IncidentTimer.RESPONSE_BREACHED, 4)):
        turn = turned(incident, partial(timers.fire, timer=timer), at=after(hours=hours))
        incident = turn.incident
        told += [each.reason for each in turn.notifications]
        assert not turned(incident, partial(timers.fire, timer=timer), at=after(hours=hours)).changed
    assert told == [
        "the response target (2026-03-03 16:00 UTC) is at-risk",
        "the response target (2026-03-03 16:00 UTC) is breached",
    ]


def test_a_target_that_was_breached_during_a_downtime_is_not_called_at_risk() -> None:
    turn = turned(declared().incident, partial(timers.fire, timer=IncidentTimer.RESPONSE_AT_RISK), at=after(hours=9))
    assert [each.reason for each in turn.notifications] == ["the response target (2026-03-03 16:00 UTC) is breached"]
    assert not turned(
        turn.incident, partial(timers.fire, timer=IncidentTimer.RESPONSE_BREACHED), at=after(hours=9)
    ).changed


def test_a_breached_resolution_goes_to_the_project_manager() -> None:
    # Nobody is paged any more: somebody has it, or all levels have been paged.
    incident = replace(declared().incident, page_due=None)
    turn = turned(incident, partial(timers.fire, timer=IncidentTimer.RESOLUTION_BREACHED), at=after(days=3))
    assert ("escalation", "rule-4", ("cleo",)) in said(turn)


def test_what_all_falls_due_while_the_machine_was_asleep_calls_one_level() -> None:
    incident, moment, told = declared().incident, after(days=3), set[str]()
    while due := [timer for timer, at in due_times(incident, SETTINGS).items() if at <= moment]:
        turn = turned(incident, partial(timers.fire, timer=due[0]), at=moment, actor=MACHINE)
        incident = turn.incident
        told |= {name for _, _, names in said(turn) for name in names}
    assert told == {"ada", "ben"}, "who had been told, and the next level"
    assert due_times(incident, SETTINGS)[IncidentTimer.PAGE] == moment + timedelta(minutes=20)


def test_a_rise_gives_the_new_targets_their_own_warnings() -> None:
    late = turned(
        declared().incident, partial(timers.fire, timer=IncidentTimer.RESPONSE_BREACHED), at=after(hours=4)
    ).incident
    risen = turned(late, ChangeSeverity(severity=Severity.P0, reason="worse").apply, at=after(hours=4)).incident
    assert due_times(risen, SETTINGS)[IncidentTimer.RESPONSE_BREACHED] == after(minutes=15)


def test_the_promised_word_is_given_and_the_next_one_promised() -> None:
    turn = turned(declared().incident, partial(timers.fire, timer=IncidentTimer.UPDATE), at=after(hours=9))
    assert said(turn) == [("update", "update-1", ("ada",))]
    notice = notices.notice(turn.incident, turn.notifications[0])
    assert notice.next_update == due_times(turn.incident, SETTINGS)[IncidentTimer.UPDATE] == after(hours=13)


def test_stability_resolves_and_says_so_to_everybody_who_was_told() -> None:
    incident = declared(a_report(ALL_AGENTS)).incident
    incident = turned(incident, BeginMitigation(text="restart").apply, actor=MACHINE).incident
    incident = turned(incident, cleared(after(minutes=2))).incident
    turn = turned(incident, partial(timers.fire, timer=IncidentTimer.STABILITY), at=after(minutes=2, seconds=30))
    assert turn.incident.status is IncidentStatus.RESOLVED
    assert said(turn) == [("resolved", "resolved-1", ("ada", "ben", "cleo", "sec"))]
    notice = notices.notice(turn.incident, turn.notifications[0])
    assert notice.resolution == "observed to be gone for 30 s after: restart"
    assert notice.duration == timedelta(minutes=2, seconds=30)
    assert (notice.status, notice.root_cause) == ("RESOLVED", "")
    assert notice.review.startswith("due 2026-03-10")


def test_what_was_verified_says_when() -> None:
    incident = turned(declared().incident, BeginMitigation(text="restart").apply).incident
    incident = turned(incident, BeginVerification(how="").apply, at=after(minutes=1)).incident
    done = turned(incident, Resolve(resolution="it holds", anyway=True).apply, at=after(minutes=2)).incident
    assert (done.mitigated_at, done.verified_at, done.resolved_at) == (
        after(minutes=1),
        after(minutes=2),
        after(minutes=2),
    )


def test_duties_and_the_watch_begin_with_the_resolution() -> None:
    assert due_times(resolved(), SETTINGS) == {
        IncidentTimer.RECORD: after(hours=12),
        IncidentTimer.REVIEW: after(days=3, hours=12),
        IncidentTimer.WATCH: after(days=30),
    }


def test_reminders_come_before_the_deadline_at_it_and_daily_after_until_the_fields_are_filled() -> None:
    incident, seen = resolved(), []
    for _ in range(4):
        due = due_times(incident, SETTINGS)[IncidentTimer.RECORD]
        turn = turned(incident, partial(timers.fire, timer=IncidentTimer.RECORD), at=due)
        incident = turn.incident
        seen.append((due, said(turn)[0][0], said(turn)[0][2]))
    assert [each[0] for each in seen] == [after(hours=12), after(hours=24), after(hours=48), after(hours=72)]
    assert {each[1:] for each in seen} == {("reminder", ("ada",))}
    filled = turned(incident, WriteReview(field=ReviewField.WORKAROUNDS, text="none").apply).incident
    assert IncidentTimer.RECORD not in due_times(filled, SETTINGS)


def test_nobody_is_reminded_of_a_drill() -> None:
    assert set(due_times(resolved(a_report(drill=True)), SETTINGS)) == {IncidentTimer.WATCH}


def test_it_closes_when_everything_is_written_and_not_before() -> None:
    incident = resolved()
    with pytest.raises(IncidentRefusedError, match="missing: workarounds, root-cause") as refused:
        turned(incident, Close().apply)
    assert refused.value.reason is Refusal.REVIEW_INCOMPLETE
    for field in missing_fields(incident):
        incident = turned(incident, WriteReview(field=field, text="written").apply).incident
    assert incident.status is IncidentStatus.IN_REVIEW
    assert set(due_times(incident, SETTINGS)) == {IncidentTimer.WATCH}
    closed = turned(incident, Close().apply, at=after(days=2)).incident
    assert (closed.status, closed.closed_at) == (IncidentStatus.CLOSED, after(days=2))


def test_a_security_alert_needs_its_own_section_and_a_p3_only_its_record() -> None:
    alert = resolved(a_report(scenario=Scenario.SECURITY_ALERT))
    assert ReviewField.SECURITY in missing_fields(alert)
    assert missing_fields(resolved(a_report(Facts(has_workaround=True)))) == (ReviewField.WORKAROUNDS,)


def test_an_open_incident_is_not_reviewed() -> None:
    with pytest.raises(IncidentRefusedError, match="only a resolved incident can be reviewed"):
        turned(declared().incident, WriteReview(field=ReviewField.RESOLUTION, text="x").apply)


def test_the_watch_ends_by_itself() -> None:
    turn = turned(resolved(), partial(timers.fire, timer=IncidentTimer.WATCH), at=after(days=30))
    assert [entry.kind for entry in turn.entries] == ["watch-ended"]
    assert IncidentTimer.WATCH not in due_times(turn.incident, SETTINGS)


def test_a_notice_says_what_is_known_and_what_to_do_now() -> None:
    turn = declared(a_report(started_at=after(minutes=-3)))
    notice = notices.notice(turn.incident, turn.notifications[0], "http://here/inc-1")
    assert (notice.status, notice.impact, notice.started_at) == (
        "INVESTIGATING",
        "agent executor (1 of 4 agents fail)",
        after(minutes=-3),
    )
    assert notice.to_do == ("orchestrator incidents ack inc-1", "orchestrator incidents show inc-1")
    assert (notice.eta, notice.duration, notice.url) == (None, None, "http://here/inc-1")
    assert notices.notice(declared().incident, turn.notifications[0]).started_at is None
    assert notices.duration(replace(turn.incident, resolved_at=after(minutes=2))) == timedelta(minutes=5)


@pytest.mark.parametrize(
    ("report", "impact", "command"),
    [
        (
            a_report(
                Facts(providers_down=1, providers_usable=0), scenario=Scenario.PROVIDER_UNAVAILABLE, blast_radius=OLLAMA
            ),
            "no model call to ollama succeeds; no other is left, so every run waits",
            "orchestrator providers probe ollama",
        ),
        (
            a_report(
                Facts(providers_down=1, providers_usable=2), scenario=Scenario.PROVIDER_UNAVAILABLE, blast_radius=OLLAMA
            ),
            "no model call to ollama succeeds; 2 of the fallback chain can take over",
            "orchestrator providers probe ollama",
        ),
        (
            a_report(
                Facts(agents_failing=1, agents_total=3), blast_radius=BlastRadius(agents=("executor",), runs=("run-1",))
            ),
            "agent executor (1 of 3 agents fail); run run-1 cannot be relied on to finish",
            "orchestrator runs show run-1",
        ),
        (
            a_report(
                Facts(resource_exhausted=True),
                scenario=Scenario.HIGH_RESOURCE_USAGE,
                blast_radius=BlastRadius(hosts=("web-1",)),
                labels={"path": "/var/my logs"},
            ),
            "everything that runs on web-1",
            "df -h '/var/my logs'",
        ),
        (
            a_report(Facts(database_unreachable=True), scenario=Scenario.CONTROL_PLANE, blast_radius=BlastRadius()),
            "all of it: without the database nothing new can be recorded",
            "orchestrator doctor",
        ),
        (
            a_report(Facts(secret_exposed=True), scenario=Scenario.SECURITY_ALERT, blast_radius=BlastRadius()),
            "",
            "orchestrator incidents show inc-1",
        ),
    ],
)
def test_the_first_word_says_whom_it_hurts_and_where_to_look(report: TroubleReport, impact: str, command: str) -> None:
    incident = declared(report).incident
    assert (affected(incident), diagnostic_command(incident)) == (impact, command)
