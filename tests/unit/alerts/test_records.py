"""What is kept comes back as it was, from this release and from others."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.alerts.facts import facts_from_json, facts_to_json, merge_facts, worse
from orchestration.alerts.records import decision_of, from_row, group_from_row, group_to_row, to_row
from orchestration.alerts.stages import NotifiedState, NotifyDecision, NotifyReason
from orchestration.domain.severity import Severity
from orchestration.incidents.report import Facts
from orchestration.storage.alerts import AlertRow
from tests.unit.alerts.samples import NOON, alert, at


def values_of(kind: str) -> st.SearchStrategy[Any]:
    """Values of a field of the facts, by its written type."""
    base: st.SearchStrategy[Any] = st.booleans()
    if kind.startswith("int"):
        base = st.integers(0, 9)
    elif kind.startswith("float"):
        base = st.floats(0, 9)
    elif kind.startswith("Severity"):
        base = st.sampled_from(Severity)
    return st.none() | base if "None" in kind else base


FACTS = st.builds(Facts, **{field.name: values_of(str(field.type)) for field in dataclasses.fields(Facts)})


def through_json(row: AlertRow) -> AlertRow:
    return dataclasses.replace(row, state=json.loads(json.dumps(row.state)), labels=json.loads(json.dumps(row.labels)))


@given(FACTS, st.booleans(), st.booleans(), st.dictionaries(st.text(), st.text(), max_size=3))
def test_an_alert_comes_back_as_it_was(facts: Facts, firing: bool, flapping: bool, labels: dict[str, str]) -> None:
    one = alert(
        firing=firing,
        facts=facts,
        flapping=flapping,
        labels=labels,
        details={"run": "1"},
        evidence={"lines": [1, None, {"a": "b"}]},
        flips=(at(1), at(2.5)),
        starts_at=at(-3),
        clear_since=None if firing else at(-1),
    )
    assert from_row(through_json(to_row(one, None))) == one


@given(FACTS)
def test_facts_come_back_and_names_of_another_release_are_left_out(facts: Facts) -> None:
    kept = json.loads(json.dumps(facts_to_json(facts)))
    assert facts_from_json({**kept, "of_another_release": 1}) == facts


def test_a_decision_that_this_release_does_not_know_is_none() -> None:
    row = to_row(alert(), NotifyDecision("a-1", NotifyReason.SILENCED, "silence-1"))
    assert decision_of(row) == NotifyDecision("a-1", NotifyReason.SILENCED, "silence-1")
    assert decision_of(dataclasses.replace(row, verdict="of another release")) is None


def test_what_was_reported_of_a_group_survives_being_stored() -> None:
    told = NotifiedState(NOON, frozenset({"b", "a"}), Facts(breach=True))
    assert group_from_row(group_to_row("key", told)) == told


@pytest.mark.parametrize("state", [{}, {"seen_at": "never"}])
def test_a_row_that_is_not_one_of_ours_is_refused(state: dict[str, Any]) -> None:
    with pytest.raises((ValueError, KeyError)):
        from_row(dataclasses.replace(to_row(alert(), None), state=state))


@given(FACTS, FACTS)
def test_merged_facts_are_at_least_as_bad_as_each(first: Facts, second: Facts) -> None:
    merged = merge_facts([first, second])
    assert merged == merge_facts([second, first])
    for one in (first, second):
        assert not worse(one, merged)
        assert merge_facts([merged, one]) == merged


def test_without_any_alert_there_are_no_facts() -> None:
    assert merge_facts([]) == Facts()
