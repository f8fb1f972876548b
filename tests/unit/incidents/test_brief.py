"""What a person is told first of an incident: the facts, and what came of each attempt."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from orchestration.domain.incident_status import IncidentStatus
from orchestration.incidents import lifecycle
from orchestration.incidents.brief import AttemptOutcome, briefing
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.mitigation import (
    BeginMitigation,
    BeginVerification,
    RecordFailedMitigation,
    RecordProof,
)
from orchestration.incidents.commands.note import RecordLikelyCauses
from orchestration.incidents.commands.option_request import TryOption
from orchestration.incidents.model import Incident, IncidentRefusedError, TimelineEntry
from orchestration.incidents.report import BlastRadius, Facts
from tests.support.incidents import ADA, MACHINE, NOON, a_report, after, declared, turned

RESTART, REROUTE = "Begin again", "Go elsewhere"


def done(*commands: Callable[[IncidentChange], None], incident: Incident | None = None) -> Incident:
    """An incident for which automation has done that."""
    found = incident or declared().incident
    for command in commands:
        found = turned(found, command, actor=MACHINE).incident
    return found


def outcomes(incident: Incident) -> list[tuple[str, AttemptOutcome]]:
    return [(attempt.action, attempt.outcome) for attempt in briefing(incident).attempts]


def test_each_attempt_says_what_came_of_it() -> None:
    begun = done(BeginMitigation(RESTART).apply)
    assert outcomes(begun) == [(RESTART, AttemptOutcome.UNDER_WAY)]
    watched = done(BeginVerification().apply, incident=begun)
    assert outcomes(watched) == [(RESTART, AttemptOutcome.BEING_VERIFIED)]
    failed = done(RecordFailedMitigation("no", RESTART).apply, BeginMitigation(REROUTE).apply, incident=watched)
    assert outcomes(failed) == [(RESTART, AttemptOutcome.DID_NOT_HELP), (REROUTE, AttemptOutcome.UNDER_WAY)]
    again = done(
        RecordFailedMitigation("no", REROUTE).apply,
        BeginMitigation(RESTART).apply,
        BeginVerification().apply,
        RecordProof(RESTART).apply,
        incident=failed,
    )
    assert outcomes(again) == [
        (RESTART, AttemptOutcome.DID_NOT_HELP),
        (REROUTE, AttemptOutcome.DID_NOT_HELP),
        (RESTART, AttemptOutcome.HELPED),
    ]


def test_what_a_person_tried_and_nobody_judged_is_no_success() -> None:
    found = turned(declared().incident, BeginMitigation(RESTART).apply, actor=ADA).incident
    found = turned(found, BeginMitigation(REROUTE).apply, actor=ADA).incident
    assert outcomes(found) == [(RESTART, AttemptOutcome.UNKNOWN), (REROUTE, AttemptOutcome.UNDER_WAY)]


def test_the_likely_causes_are_those_of_the_last_ranking_and_of_the_present_trouble() -> None:
    rankings = (RecordLikelyCauses(("a (80 of 100)",)), RecordLikelyCauses(("b (90 of 100)", "a")))
    ranked = done(*(each.apply for each in rankings), incident=declared(a_report(causes=("one",))).incident)
    assert briefing(ranked).causes == ("b (90 of 100)", "a")
    other = a_report(title="another", causes=("other",))
    assert briefing(turned(ranked, partial(lifecycle.absorb, report=other), at=after(minutes=1)).incident).causes == ()
    # One that an earlier release has ranked has them on the timeline alone.
    old = [TimelineEntry(NOON, "noted", "x", {"likely_causes": ["c"]})]
    assert briefing(declared().incident, old).causes == ("c",)
    assert briefing(declared().incident, [*old, TimelineEntry(NOON, "cause-added", "x")]).causes == ()


def test_the_affected_are_counted_also_where_their_names_are_unknown() -> None:
    radius = BlastRadius(agents=("executor",), runs=("run-1", "run-2"))
    brief = briefing(declared(a_report(Facts(runs_affected=7, agents_failing=1), blast_radius=radius)).incident)
    assert [(one.kind, one.names, one.count) for one in brief.affected] == [
        ("run", ("run-1", "run-2"), 7),
        ("agent", ("executor",), 1),
    ]


def test_the_lines_come_in_the_order_in_which_a_person_needs_them() -> None:
    found = done(RecordLikelyCauses(("a",)).apply, BeginMitigation(RESTART).apply)
    lines = list(briefing(found).lines(after(minutes=5)))
    assert [line.label for line in lines] == ["what", "since", "why P2", "impact", "likely", "tried", "now", "now"]
    assert lines[1].text == "2026-03-03 12:00:00 UTC (5 min ago); detected by monitoring; when it began is not known"
    assert briefing(found).headline == "P2 MITIGATING: executor fails"


def test_an_option_is_asked_for_by_a_person_and_while_it_is_open() -> None:
    found = declared().incident
    asked = turned(found, TryOption("restart").apply)
    assert (asked.incident.requested_option, asked.incident.requested_by) == ("restart", "ada")
    assert asked.incident.responses == found.responses + 1
    assert [entry.kind for entry in asked.entries] == ["option-requested"]
    assert asked.incident.status is IncidentStatus.DETECTED
    with pytest.raises(IncidentRefusedError, match="only a person"):
        turned(found, TryOption("restart").apply, actor=MACHINE)
