from __future__ import annotations

from typing import Any

import pytest

from orchestration.config.alerting import IntakeSettings
from orchestration.domain.severity import Severity
from tests.unit.config.conftest import Change, Judge


def alerting(**values: Any) -> Change:
    return lambda good: good.update(alerting=values)


def codes(judge: Judge, change: Change, variables: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    return [(finding.code.value, finding.path) for finding in judge(change, variables).findings]


WHOLE = {"signal": "queue", "scenario": "workflow-stuck", "threshold": 3}


@pytest.mark.parametrize(
    ("section", "code", "path"),
    [
        ({"rules": {"cpu-hi": {"threshold": 80}}}, "E030", "alerting.rules.cpu-hi"),
        ({"rules": {"mine": {"signal": "queue"}}}, "E030", "alerting.rules.mine"),
        ({"rules": {"mine": {**WHOLE, "where": ["a=b", "nonsense"]}}}, "E031", "alerting.rules.mine.where[1]"),
        ({"rules": {"cpu-high": {"match": ["a=~("]}}}, "E031", "alerting.rules.cpu-high.match[0]"),
        ({"inhibitions": [{"source": ["x"], "target": ["a=b"]}]}, "E031", "alerting.inhibitions[0].source[0]"),
        ({"rules": {"mine": {**WHOLE, "title": "{a.b}"}}}, "E032", "alerting.rules.mine.title"),
        ({"rules": {"mine": {**WHOLE, "summary": "{a"}}}, "E032", "alerting.rules.mine.summary"),
        ({"rules": {"mine": {**WHOLE, "subject": "{}"}}}, "E032", "alerting.rules.mine.subject"),
        ({"intake": {"tokenEnv": "NOT_SET"}}, "W020", "alerting.intake.tokenEnv"),
        ({"rules": {"mine": {**WHOLE, "limit": 1}}}, "W001", "alerting.rules.mine.limit"),
        ({"rules": {"mine": {**WHOLE, "aggregate": "median"}}}, "E006", "alerting.rules.mine.aggregate"),
        ({"rules": {"mine": {**WHOLE, "window": 0}}}, "E006", "alerting.rules.mine.window"),
        ({"inhibitions": [{"source": [], "target": ["a=b"]}]}, "E006", "alerting.inhibitions[0].source"),
    ],
)
def test_what_is_wrong_is_found_at_its_place(judge: Judge, section: dict[str, Any], code: str, path: str) -> None:
    assert codes(judge, alerting(**section)) == [(code, path)]


def test_a_name_that_is_nearly_one_of_ours_gets_a_hint(judge: Judge) -> None:
    (finding,) = judge(alerting(rules={"cpu-hihg": {"threshold": 80}})).findings
    assert finding.hint == 'Did you mean "cpu-high"?'


def test_what_is_right_has_no_finding(judge: Judge) -> None:
    section = {
        "rules": {"cpu-high": {"threshold": 80}, "disk-low": {"enabled": False}, "mine": {**WHOLE, "title": "{a}"}},
        "inhibitions": [{"source": ["alertname=mine"], "target": ["alertname=~agent.*"], "equal": ["host"]}],
        "intake": {"tokenEnv": "TOKEN", "severities": {"sev1": "P0"}, "scenarios": {"Disk": "high-resource-usage"}},
    }
    assert codes(judge, alerting(**section), ("TOKEN",)) == []


def test_own_words_for_severities_come_before_ours() -> None:
    settings = IntakeSettings(severities={"Critical": Severity.P2}, unknown_severity=Severity.P3)
    assert [settings.severity(word) for word in ("critical", "warning", "what")] == ["P2", "P2", "P3"]
