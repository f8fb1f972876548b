"""The table of the drills of everyone."""

from __future__ import annotations

from typing import Any

from benchmarks import peers
from benchmarks.drilled import ground, ours
from benchmarks.drilled.model import FAULTS, Fault, Outcome
from benchmarks.drilled.table import markdown
from orchestration.drills import catalogue

TITLES = {"ours": "ours", "other": "Other"}
FIRST, SECOND = Fault("first", "the first fault"), Fault("second", "the second fault")
FIGURES: dict[str, Any] = {
    "ending": "repaired",
    "run": "succeeded",
    "steps_lost": 0,
    "steps_repeated": 0,
    "model_calls_repeated": 1,
    "misses": [],
}


def rows(*outcomes: Outcome) -> list[list[str]]:
    """The table's cells, without its head."""
    made = markdown([FIRST, SECOND], outcomes, TITLES).splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in made]


def test_a_fault_is_named_once_and_everyone_follows_in_order() -> None:
    made = rows(Outcome("other", "1", "first"), Outcome("ours", "2", "first"), Outcome("other", "1", "second"))
    assert [row[:2] for row in made] == [["the first fault", "ours"], ["", "Other"], ["the second fault", "Other"]]


def test_what_did_not_happen_is_a_dash() -> None:
    (row,) = rows(Outcome("ours", "1", "first", person="start it again"))
    assert row[2:] == ["—", "—", "no", "0", "0", "0", "start it again"]


def test_a_peers_notes_stand_beside_its_end() -> None:
    (row,) = rows(
        Outcome("other", "1", "first", detected=0.52, resolved=1.0, finished=True, finished_after=2.04, notes=("but",))
    )
    assert row[2:5] == ["0.5 s", "1.0 s", "yes, 2.0 s; but"]


def test_a_head_has_a_cell_for_each_of_a_row() -> None:
    head, line, row = markdown([FIRST], [Outcome("ours", "1", "first")], TITLES).splitlines()
    assert head.count("|") == line.count("|") == row.count("|")


def test_a_repaired_drill_of_ours_asks_nothing_of_a_person() -> None:
    figures = {**FIGURES, "severity": "P2", "detected_after": 0.5, "resolved_after": 4.1, "level_called": 0}
    made = ours.outcome(FIRST, {**figures, "approval_asked_for": []})
    assert (made.detected, made.resolved, made.finished, made.calls_repeated) == (0.5, 4.1, True, 1)
    assert (made.sign, made.person, made.notes) == ("incident P2", "nothing", ())


def test_a_drill_of_ours_that_calls_a_person_says_so() -> None:
    figures = {**FIGURES, "severity": "P1", "detected_after": 0.5, "level_called": 4, "run": "cancelled"}
    made = ours.outcome(FIRST, {**figures, "approval_asked_for": ["run.cancel"], "misses": ["late: 3 s"]})
    assert (made.finished, made.resolved) == (False, None)
    assert made.person == "is called (level 4), approve run.cancel"
    assert made.notes == ("not as expected: late: 3 s",)


def test_an_absorbed_drill_of_ours_is_shown_as_such() -> None:
    made = ours.outcome(FIRST, {**FIGURES, "ending": "absorbed"})
    (row,) = rows(made)
    assert row[2:5] == ["absorbed", "—", "yes"]


def test_every_fault_is_a_drill_of_ours() -> None:
    assert [drill.name for drill in catalogue.find([fault.name for fault in FAULTS])] == [one.name for one in FAULTS]


def test_every_peer_has_an_environment_and_a_program() -> None:
    programs = ground.ROOT / "benchmarks" / "contenders"
    for one in ground.PEERS.values():
        assert one.environment in peers.REQUIREMENTS
        assert (programs / f"{one.module}.py").is_file()
