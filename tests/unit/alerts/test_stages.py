"""The stages: each on its own, and what holds for all of them whatever comes."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.alerts.facts import merge_facts
from orchestration.alerts.incident_reports import blast_radius_of, group_facts, report_of
from orchestration.alerts.inhibition import DEFAULTS, Inhibition, muted
from orchestration.alerts.model import Alert
from orchestration.alerts.silences import Silence
from orchestration.alerts.stages import STAGES, NotifiedState, NotifyReason, StageContext, cleared_groups, run_stages
from orchestration.config.matchers import parse_matchers
from orchestration.domain.alert_status import AlertStatus
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.incidents.report import Facts
from orchestration.storage.silences import SilenceKind
from tests.unit.alerts.samples import NOON, alert, at


def silence(*matchers: str, kind: str = "silence", start: float = -10, end: float = 10) -> Silence:
    return Silence(f"silence-{kind}", SilenceKind(kind), parse_matchers(matchers), at(start), at(end))


def decide(alerts: Sequence[Alert], **context: Any) -> dict[str, str]:
    whole = StageContext(NOON, tuple(alerts), **context)
    return {decision.alert: decision.reason.value for decision in run_stages(alerts, whole)[1]}


def known(*alerts: Alert, facts: Facts = Facts(), seconds: float = -5) -> dict[str, NotifiedState]:  # noqa: B008 (immutable)
    return {one.group: NotifiedState(at(seconds), frozenset(other.id for other in alerts), facts) for one in alerts}


def test_a_new_group_is_reported_and_a_known_one_is_not() -> None:
    first, second = alert(number=1), alert(number=2)
    assert decide([first]) == {"a-1": "new"}
    assert decide([first], notified=known(first)) == {"a-1": "unchanged"}
    assert decide([first, second], notified=known(first)) == {"a-1": "grew", "a-2": "grew"}
    assert decide([first], notified=known(first, seconds=-20_000)) == {"a-1": "repeated"}


def test_a_group_that_gets_worse_is_reported_and_one_that_gets_better_is_not() -> None:
    worse = alert(facts=Facts(agents_failing=2))
    assert decide([worse], notified=known(worse, facts=Facts(agents_failing=1))) == {"a-1": "worse"}
    assert decide([worse], notified=known(worse, facts=Facts(agents_failing=3))) == {"a-1": "unchanged"}


@pytest.mark.parametrize(
    ("old", "new", "is_worse"),
    [
        (Facts(failure_rate=0.5), Facts(failure_rate=0.6), False),
        (Facts(failure_rate=0.5), Facts(failure_rate=0.76), True),
        (Facts(latency_ratio=3.1), Facts(latency_ratio=3.9), False),
        (Facts(latency_ratio=3.1), Facts(latency_ratio=4.2), True),
        (Facts(providers_usable=2), Facts(providers_usable=0), True),
        (Facts(providers_usable=None), Facts(providers_usable=3), True),
        (Facts(has_workaround=True), Facts(has_workaround=False), True),
        (Facts(has_workaround=False), Facts(has_workaround=True), False),
        (Facts(declared=Severity.P2), Facts(declared=Severity.P1), True),
        (Facts(declared=Severity.P1), Facts(declared=Severity.P3), False),
        (Facts(), Facts(breach=True), True),
    ],
)
def test_fluctuating_values_are_not_reported_again_and_new_facts_are(old: Facts, new: Facts, is_worse: bool) -> None:
    one = alert(facts=new)
    assert (decide([one], notified=known(one, facts=old)) == {"a-1": "worse"}) is is_worse


def test_a_silence_needs_all_its_matchers_and_its_time() -> None:
    one = alert(labels={"host": "web-1", "agent": "planner"})
    assert decide([one], silences=[silence("host=~web-.*", 'agent!="x"')]) == {one.id: "silenced"}
    assert decide([one], silences=[silence("host=~web", "agent=planner")]) == {one.id: "new"}
    assert decide([one], silences=[silence("host=~web-.*", start=1)]) == {one.id: "new"}
    assert decide([one], silences=[silence("host=~web-.*", end=0)]) == {one.id: "new"}
    assert decide([one], silences=[silence()]) == {one.id: "new"}
    assert decide([one], silences=[silence("alertname=a", kind="maintenance")]) == {one.id: "maintenance"}


def test_the_end_of_a_reported_alert_passes_every_silence() -> None:
    ended, unreported = alert(firing=False), alert(number=2, firing=False)
    context = StageContext(NOON, (ended, unreported), [silence("alertname=a")], notified=known(ended))
    kept, decisions = run_stages(context.alerts, context)
    assert kept == (ended,)
    assert {one.alert: one.reason for one in decisions} == {
        "a-1": NotifyReason.RESOLVED,
        "a-2": NotifyReason.NEVER_REPORTED,
    }
    assert cleared_groups(context, kept) == (ended.group,)


def test_what_is_muted_still_fires_so_its_group_is_not_cleared() -> None:
    one = alert()
    context = StageContext(NOON, (one,), [silence("alertname=a")], notified=known(one))
    kept, _ = run_stages(context.alerts, context)
    assert (kept, cleared_groups(context, kept)) == ((), ())


def test_a_group_is_cleared_when_its_last_reported_alert_has_ended() -> None:
    ended, going = alert(firing=False), alert(number=2)
    both = known(ended, going)
    context = StageContext(NOON, (ended, going), notified=both)
    assert cleared_groups(context, run_stages(context.alerts, context)[0]) == ()
    muted_one = StageContext(NOON, (ended, going), [silence("n=2")], notified=known(ended))
    assert cleared_groups(muted_one, run_stages(muted_one.alerts, muted_one)[0]) == (ended.group,)


def test_a_flapping_alert_is_reported_again_only_if_it_gets_worse() -> None:
    one = alert(flapping=True, facts=Facts(runs_affected=1))
    assert decide([one]) == {"a-1": "new"}
    assert decide([one], notified=known(one, facts=Facts(runs_affected=1))) == {"a-1": "flapping"}
    assert decide([one], notified=known(one)) == {"a-1": "worse"}


CHAIN = [
    Inhibition(parse_matchers(["alertname=cause"]), parse_matchers(["alertname=middle"])),
    Inhibition(parse_matchers(["alertname=middle"]), parse_matchers(["alertname=end"]), ("run",)),
]


def test_what_follows_from_a_cause_is_muted_and_what_follows_from_that_too() -> None:
    found = [alert("cause"), alert("middle"), alert("end")]
    assert muted(found, CHAIN, NOON) == {"middle-1": "cause-1", "end-1": "cause-1"}
    assert decide(found, inhibitions=CHAIN) == {"cause-1": "new", "middle-1": "inhibited", "end-1": "inhibited"}


def test_labels_that_must_be_equal_may_be_missing_and_may_not_differ() -> None:
    middle = alert("middle", labels={"run": "1"})
    assert muted([middle, alert("end", labels={"run": "1"})], CHAIN, NOON) == {"end-1": "middle-1"}
    assert muted([middle, alert("end", labels={})], CHAIN, NOON) == {"end-1": "middle-1"}
    assert muted([middle, alert("end", labels={"run": "2"})], CHAIN, NOON) == {}


def test_a_cause_that_is_over_mutes_for_a_while_what_began_before() -> None:
    cause = dataclasses.replace(alert("cause"), status=AlertStatus.RESOLVED, ends_at=at(0))
    before, after = alert("middle", 1, since=at(-1)), alert("middle", 2, since=at(1))
    assert muted([cause, before, after], CHAIN, at(10)) == {"middle-1": "cause-1"}
    assert muted([cause, before, after], CHAIN, at(301)) == {}


def test_alerts_that_mute_each_other_in_a_circle_are_all_reported() -> None:
    circle = [
        Inhibition(parse_matchers([f"alertname={a}"]), parse_matchers([f"alertname={b}"])) for a, b in ("ab", "ba")
    ]
    assert decide([alert("a"), alert("b")], inhibitions=circle) == {"a-1": "new", "b-1": "new"}


def test_a_drill_mutes_nothing_real() -> None:
    assert muted([alert("cause", drill=True), alert("middle")], CHAIN, NOON) == {}


@pytest.mark.parametrize(
    ("source", "target", "labels"),
    [
        ("provider-down", "agent-failed", {"failure": "provider"}),
        ("no-provider", "run-failed", {"failure": "provider"}),
        ("provider-down", "provider-failing", {"provider": "x"}),
        ("database-down", "worker-lost", {}),
        ("database-down", "run-stalled", {}),
        ("worker-lost", "run-stalled", {"run": "1"}),
        ("secret-exposed", "secret-redacted", {"run": "1", "kind": "github-token"}),
    ],
)
def test_the_causes_that_are_known_without_configuration(source: str, target: str, labels: dict[str, str]) -> None:
    assert muted([alert(source, details=labels), alert(target, details=labels)], DEFAULTS, NOON) == {
        f"{target}-1": f"{source}-1"
    }


def test_a_provider_that_is_down_does_not_excuse_every_failure() -> None:
    assert muted([alert("provider-down"), alert("agent-failed", details={"kind": "bug"})], DEFAULTS, NOON) == {}


def test_a_secret_in_a_file_does_not_mute_another_that_was_redacted() -> None:
    kinds = [alert("secret-exposed", labels={"kind": "a"}), alert("secret-redacted", labels={"kind": "b"})]
    assert muted(kinds, DEFAULTS, NOON) == {}


# Whatever comes


def some_alerts() -> st.SearchStrategy[list[Alert]]:
    def build(values: tuple[int, bool, str, bool, bool, int]) -> Alert:
        number, firing, subject, drill, flapping, failing = values
        return alert(
            "abc"[number % 3],
            number,
            firing=firing,
            subject=subject,
            drill=drill,
            flapping=flapping,
            since=at(-number),
            facts=Facts(agents_failing=failing),
        )

    parts = (st.integers(0, 30), st.booleans(), st.sampled_from("xyz"), st.booleans(), st.booleans(), st.integers(0, 2))
    return st.lists(st.tuples(*parts).map(build), max_size=12, unique_by=lambda one: one.id)


SILENCES = st.lists(
    st.sampled_from([silence("alertname=a"), silence("n=~1.*"), silence("alertname=b", kind="maintenance")]), max_size=2
)
RULES = (
    Inhibition(parse_matchers(["alertname=a"]), parse_matchers(["alertname=b"])),
    Inhibition(parse_matchers(["alertname=b"]), parse_matchers(["alertname=~a|c"])),
)


@given(some_alerts(), SILENCES, st.randoms(use_true_random=False))
def test_the_order_in_which_alerts_come_does_not_matter(
    alerts: list[Alert], silences: list[Silence], order: random.Random
) -> None:
    context = StageContext(NOON, tuple(alerts), silences, RULES)
    shuffled = list(alerts)
    order.shuffle(shuffled)
    again = StageContext(NOON, tuple(shuffled), silences, RULES)
    kept, decisions = run_stages(alerts, context)
    kept_again, decisions_again = run_stages(shuffled, again)
    assert kept == kept_again
    assert set(decisions) == set(decisions_again)


@given(some_alerts(), SILENCES)
def test_no_alert_is_lost_each_has_one_decision_and_stages_only_take_away(
    alerts: list[Alert], silences: list[Silence]
) -> None:
    context = StageContext(NOON, tuple(alerts), silences, RULES)
    kept, decisions = run_stages(alerts, context)
    assert sorted(one.alert for one in decisions) == sorted(one.id for one in alerts)
    left = tuple(alerts)
    for stage in STAGES:
        after, made = stage(left, context)
        assert {one.id for one in after} <= {one.id for one in left}
        assert {one.id for one in left} - {one.id for one in after} <= {one.alert for one in made}
        left = after
    assert left == kept
    firing = [one for one in alerts if one.firing]
    if firing and firing == alerts and not silences:
        assert kept, "of what fires, at least a cause is reported"


@given(st.lists(st.tuples(some_alerts(), SILENCES), max_size=12))
def test_over_time_each_group_is_reported_before_it_is_cleared_and_never_twice_alike(
    rounds: list[tuple[list[Alert], list[Silence]]],
) -> None:
    """A small engine: it remembers what was reported as the real one does."""
    known: dict[str, NotifiedState] = {}
    for number, (alerts, silences) in enumerate(rounds):
        context = StageContext(at(number), tuple(alerts), silences, RULES, dict(known))
        kept, _ = run_stages(alerts, context)
        firing = {one.id for one in alerts if one.firing}
        for key in {one.group for one in kept if one.firing}:
            group = [one for one in kept if one.firing and one.group == key]
            before = known.get(key)
            ids = frozenset(one.id for one in group)
            facts = merge_facts([group_facts(group), *([before.facts] if before else [])])
            if before is not None:
                assert not ids <= before.alerts or facts != before.facts, "reported twice alike"
                ids |= before.alerts & firing
            known[key] = NotifiedState(at(number), ids, facts)
        for key in cleared_groups(context, kept):
            assert key in known, "cleared before it was reported"
            assert not known[key].alerts & firing
            del known[key]
    quiet = StageContext(at(99), (), notified=known)
    assert set(cleared_groups(quiet, ())) == set(known), "what was reported is cleared in the end"


class TestReport:
    def test_counts_the_agents_that_fail_and_names_whom_it_touches(self) -> None:
        group = [
            alert(
                "agent-failed",
                number,
                scenario=Scenario.AGENT_FAILURE,
                labels={"agent": name},
                details={"run": f"run-{number}"},
                title=f"Agent {name} fails",
                facts=Facts(agents_failing=1, agents_total=3),
            )
            for number, name in enumerate(("planner", "executor"))
        ]
        report = report_of(group, at(60))
        assert (report.facts.agents_failing, report.facts.agents_total) == (2, 3)
        assert report.title == "Agent planner fails (and 1 more)"
        assert report.blast_radius == blast_radius_of(group)
        assert (report.blast_radius.agents, report.blast_radius.runs) == (("planner", "executor"), ("run-0", "run-1"))
        assert report.labels == {"alertname": "agent-failed"}

    def test_a_report_never_begins_in_the_future(self) -> None:
        assert report_of([alert(since=at(60))], NOON).started_at == NOON

    def test_stays_short_with_many_alerts(self) -> None:
        report = report_of([alert(number=number, summary=f"line {number}") for number in range(500)], NOON)
        assert len(report.evidence) == 20
        assert report.summary.splitlines()[-1] == "and 490 more"
        assert len(report.fingerprints) == 500
