from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from orchestration.domain.playbook_state import ActionState
from orchestration.playbooks.repeated_checks import folded
from orchestration.storage.playbooks import ActionRun

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)
ASKED = ({"routes.usable": {"empty": False}, "routes.load": {"below": 5}}, {"routes.broken": True})
CHECK = ActionRun(
    "k", "run", "inc-1", "verify", "routes", "provider.chain", "reads", "auto", ActionState.DONE, NOON, "p"
)
FINDINGS = st.fixed_dictionaries(
    {"usable": st.sampled_from([[], ["first"], ["second"]]), "load": st.floats(0, 10), "broken": st.booleans()},
    optional={"milliseconds": st.integers(0, 10_000)},
)


def recorded(checks: list[ActionRun]) -> list[ActionRun]:
    rows: list[ActionRun] = []
    for check in checks:
        kept = folded(rows[-1] if rows else None, check, ASKED)
        rows[-1 if rows and kept.key == rows[-1].key else len(rows) :] = [kept]
    return rows


@given(st.lists(FINDINGS, min_size=1, max_size=60))
def test_there_is_one_record_for_each_change_of_the_answer(found: list[dict[str, object]]) -> None:
    checks = [
        replace(
            CHECK,
            key=f"k-{number}",
            findings=findings,
            started_at=NOON + timedelta(seconds=number),
            finished_at=NOON + timedelta(seconds=number + 0.5),
        )
        for number, findings in enumerate(found)
    ]
    answers = [(one["usable"], bool(one["usable"]) and float(one["load"]) < 5, one["broken"]) for one in found]  # type: ignore[arg-type]
    expected = [len(list(group)) for _, group in groupby(answers)]
    rows = recorded(checks)
    assert [row.count for row in rows] == expected
    assert [row.key for row in rows] == [f"k-{sum(expected[:number])}" for number in range(len(expected))]
    assert rows[-1].finished_at == checks[-1].finished_at
    assert rows[-1].findings == checks[-1].findings


def test_a_check_that_fails_with_another_duration_each_time_is_one_record() -> None:
    failed = [
        replace(CHECK, key=f"k-{n}", state=ActionState.FAILED, summary=f"no answer after {n}.2 s") for n in range(9)
    ]
    assert [row.count for row in recorded([CHECK, *failed])] == [1, 9]
