"""Counting incidents together: what is counted, what is merged, and what is kept."""

from __future__ import annotations

import pytest

from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.storage.distributions import RELATIVE_ERROR
from orchestration.storage.incidents.aggregates import IncidentSelection
from orchestration.storage.incidents.tallies import MEASURES, Tally, TallyCell, merged, split, tally

ROWS = [(30.0, 60.0, None, 600.0, 630.0), (-5.0, None, None, None, None), (None, 90.0, 2.0, 1200.0, None)]


def of_rows() -> Tally:
    return tally(ROWS, ["proof", None, "person"], recurred=1)


def kept(one: Tally) -> Tally:
    again = Tally()
    again.add_bytes(one.to_bytes())
    return again


def test_what_is_unknown_is_left_out_and_what_is_negative_is_counted_apart() -> None:
    one = of_rows()
    assert (one.total, one.resolved, one.recurred) == (3, 2, 1)
    assert one.invalid == [1, 0, 0, 0, 0]
    assert one.values == [[30.0], [60.0, 90.0], [2.0], [600.0, 1200.0], [630.0]]


def test_of_nothing_but_rows_every_value_is_known() -> None:
    assert [each.n for each in of_rows().distributions()] == [1, 2, 1, 2, 1]
    assert of_rows().distributions()[3].at(1) == 1200.0


def test_what_was_kept_has_the_same_numbers_and_sums_and_nearly_the_same_values() -> None:
    again = kept(of_rows())
    assert again.invalid == [1, 0, 0, 0, 0]
    assert again.sums == [30.0, 150.0, 2.0, 1800.0, 630.0]
    assert [each.n for each in again.distributions()] == [1, 2, 1, 2, 1]
    assert again.distributions()[3].at(1) == pytest.approx(1200.0, rel=RELATIVE_ERROR)


def test_what_was_kept_and_what_is_known_exactly_are_counted_together() -> None:
    both = merged([kept(of_rows()), of_rows()])
    assert (both.invalid[0], both.total) == (2, 3)  # how many there are is kept elsewhere
    resolve = both.distributions()[3]
    assert (resolve.n, resolve.total) == (4, 3600.0)
    assert resolve.at(3) == pytest.approx(1200.0, rel=RELATIVE_ERROR)


def test_merging_changes_neither_of_the_two() -> None:
    one, other = of_rows(), of_rows()
    merged([one, other])
    assert one == other == of_rows()


def test_targets_are_merged_too() -> None:
    both = merged([Tally(met=[1, 2], breached=[0, 3]), Tally(met=[4, 0], breached=[1, 1])])
    assert (both.met, both.breached) == ([5, 2], [1, 4])


def test_tallies_are_split_by_each_part_of_their_cells() -> None:
    cells = {
        TallyCell("P1", "agent-failure", "2026-03"): Tally(total=1),
        TallyCell("P0", "agent-failure", "2026-04"): Tally(total=2),
        TallyCell("P1", "workflow-stuck", "2026-04"): Tally(total=4),
    }
    totals = {by: {name: each.total for name, each in split(cells, by).items()} for by in TallyCell._fields}
    assert totals["severity"] == {"P0": 2, "P1": 5}
    assert totals["scenario"] == {"agent-failure": 3, "workflow-stuck": 4}
    assert totals["month"] == {"2026-03": 1, "2026-04": 6}
    assert list(split(cells, "severity")) == ["P0", "P1"]
    assert len(Tally().values) == len(MEASURES)


def test_a_selection_has_what_its_kinds_say() -> None:
    cell = TallyCell("P1", "agent-failure", "2026-03")
    assert IncidentSelection().has(cell)
    assert IncidentSelection(severities=(Severity.P1,), scenario=Scenario.AGENT_FAILURE).has(cell)
    assert not IncidentSelection(severities=(Severity.P0,)).has(cell)
    assert not IncidentSelection(scenario=Scenario.WORKFLOW_STUCK).has(cell)
