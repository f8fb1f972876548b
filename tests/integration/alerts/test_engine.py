"""The engine on a real database, with an incident service that records its calls."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from orchestration.alerts.correlation import failure_subject
from orchestration.alerts.signal import Signal
from orchestration.alerts.stages import NotifyReason
from orchestration.domain.alert_status import AlertStatus
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.storage.database import Database
from tests.support.alerts import NOON, Bench

DOWN = "provider-unavailable:ollama"


def test_a_provider_that_is_down_is_reported_at_the_first_evaluation_and_its_return_at_the_next(bench: Bench) -> None:
    bench.signal("provider_up", 0, provider="ollama")
    bench.evaluate()
    assert list(bench.reported()) == [("report", DOWN)]
    bench.signal("provider_up", 1, provider="ollama")
    bench.evaluate()
    assert list(bench.reported()) == [("clear", DOWN)]
    (row,) = bench.alerts.list()
    assert (row.status, row.verdict, row.ends_at) == (AlertStatus.RESOLVED, "resolved", NOON)


def test_a_report_has_the_cause_the_blast_radius_and_the_facts(bench: Bench) -> None:
    bench.signal("providers_usable", 1)
    bench.engine.add_signal(
        Signal("provider_up", NOON, 0, {"provider": "ollama"}, {"reason": "timeout", "detail": "5 s"})
    )
    bench.evaluate()
    (report,) = bench.reporter.reports
    assert (report.key, report.scenario, report.source) == (DOWN, Scenario.PROVIDER_UNAVAILABLE, "monitoring")
    assert report.title == "Provider ollama is unavailable"
    assert report.summary == "ollama does not answer: timeout, 5 s"
    assert (report.facts.providers_down, report.facts.providers_usable) == (1, 1)
    assert report.blast_radius.providers == ("ollama",)
    assert (report.at, report.started_at) == (NOON, NOON)
    assert report.evidence[0]["evidence"] == {"reason": "timeout", "detail": "5 s"}


@pytest.mark.parametrize("drill", [False, True])
@pytest.mark.parametrize("over", [False, True])
def test_a_journalled_report_of_a_process_that_is_gone_is_observed_to_its_end(
    bench: Bench, drill: bool, over: bool
) -> None:
    bench.signal("database_up", 0, drill=drill)
    bench.evaluate()
    (report,) = bench.reporter.reports
    key = "drill:control-plane:database" if drill else "control-plane:database"
    assert report.key == key
    # Nothing of it was stored: the database was away, and then the process was killed.
    bench.alerts.save([], [row.id for row in bench.alerts.list()])
    bench.alerts.save_groups([], [key])
    bench.restart()
    list(bench.reported())
    bench.engine.adopt(report)
    bench.wait(60, before_each=lambda: bench.signal("database_up", int(over), drill=drill))
    assert list(bench.reported()) == ([("clear", key)] if over else [])
    assert [row.id for row in bench.alerts.list()] == [report.evidence[0]["alert"]]


def test_an_unchanged_alert_is_reported_once_until_it_is_time_to_repeat_it(bench: Bench) -> None:
    bench.configuration = bench.configuration.model_validate({"alerting": {"repeatSeconds": 600}})
    still_down = lambda: bench.signal("provider_up", 0, provider="ollama")  # noqa: E731
    bench.wait(595, before_each=still_down)
    assert list(bench.reported()) == [("report", DOWN)]
    bench.wait(10, before_each=still_down)
    assert list(bench.reported()) == [("report", DOWN)]


def test_a_noisy_value_must_stay_high_and_a_short_peak_is_no_alert(bench: Bench) -> None:
    bench.wait(20, before_each=lambda: bench.signal("cpu_percent", 99, host="a"))
    bench.wait(60, before_each=lambda: bench.signal("cpu_percent", 20, host="a"))
    assert list(bench.reported()) == []
    assert bench.alerts.list() == ()
    bench.wait(120, before_each=lambda: bench.signal("cpu_percent", 99, host="a"))
    assert list(bench.reported()) == [("report", "high-resource-usage:a")]


def test_a_hold_goes_on_over_a_restart(bench: Bench) -> None:
    bench.signal("worker_up", 0, worker="w1")
    bench.evaluate()
    assert [row.status for row in bench.alerts.list()] == [AlertStatus.PENDING]
    bench.restart()
    bench.wait(14, step=7, before_each=lambda: bench.signal("worker_up", 0, worker="w1"))
    assert list(bench.reported()) == []
    bench.wait(1, before_each=lambda: bench.signal("worker_up", 0, worker="w1"))
    assert list(bench.reported()) == [("report", "control-plane:w1")]


def test_after_a_restart_nothing_is_reported_twice_and_no_end_is_lost(bench: Bench) -> None:
    bench.signal("provider_up", 0, provider="ollama")
    bench.evaluate()
    list(bench.reported())
    bench.restart()
    bench.now += timedelta(hours=1)
    bench.evaluate()
    bench.signal("provider_up", 0, provider="ollama")
    bench.evaluate()
    assert list(bench.reported()) == []
    bench.restart()
    bench.signal("provider_up", 1, provider="ollama")
    bench.evaluate()
    assert list(bench.reported()) == [("clear", DOWN)]
    bench.restart()
    bench.evaluate()
    assert list(bench.reported()) == []


def test_a_process_that_leads_again_continues_from_what_another_has_done(bench: Bench) -> None:
    bench.signal("provider_up", 0, provider="ollama")
    bench.evaluate()
    first = bench.engine
    bench.restart()  # another process leads, and sees the end
    bench.signal("provider_up", 1, provider="ollama")
    bench.signal("provider_up", 0, provider="openai")
    bench.evaluate()
    list(bench.reported())
    bench.engine = first
    bench.engine.reset()
    bench.evaluate()
    assert list(bench.reported()) == []
    assert [alert.labels["provider"] for alert in bench.engine.alerts if alert.firing] == ["openai"]
    bench.signal("provider_up", 1, provider="openai")
    bench.evaluate()
    assert list(bench.reported()) == [("clear", "provider-unavailable:openai")]


def test_no_alert_is_resolved_only_because_nothing_was_evaluated(bench: Bench) -> None:
    bench.signal("provider_up", 0, provider="ollama")
    bench.evaluate()
    bench.now += timedelta(hours=2)  # the machine slept
    bench.evaluate()
    assert list(bench.reported()) == [("report", DOWN)]
    bench.wait(605)
    assert list(bench.reported()) == [("silent", DOWN)]


@pytest.mark.parametrize(("away", "end"), [(timedelta(minutes=1), "clear"), (timedelta(days=3), "silent")])
def test_an_end_whose_report_fails_is_reported_again_even_after_a_restart(
    bench: Bench, away: timedelta, end: str
) -> None:
    """After days the observation is not remembered any more, and must not be made up."""
    bench.signal("provider_up", 0, provider="ollama")
    bench.evaluate()
    list(bench.reported())
    bench.reporter.broken = RuntimeError("the incident service is away")
    bench.signal("provider_up", 1, provider="ollama")
    bench.evaluate()
    assert bench.engine.errors.failing == {f"clear {DOWN}"}
    bench.restart()
    bench.now += away
    bench.reporter.broken = None
    bench.evaluate()
    assert list(bench.reported()) == [(end, DOWN)]


def test_a_report_that_fails_is_repeated_and_blocks_no_other(bench: Bench) -> None:
    bench.reporter.broken = RuntimeError("no")
    bench.signal("provider_up", 0, provider="ollama")
    bench.signal("provider_up", 0, provider="openai")
    bench.evaluate()
    bench.evaluate()
    assert bench.engine.errors.counts[f"report {DOWN}"] == 2
    bench.reporter.broken = None
    bench.evaluate()
    assert list(bench.reported()) == [("report", DOWN), ("report", "provider-unavailable:openai")]


def fail(bench: Bench, agent: str, run: str, failure: str = "unusable-answer", **labels: str) -> None:
    cause = failure_subject(agent, failure)
    labels = {"agent": agent, "failure": failure, "outcome": "failed", **labels}
    bench.signal("agent_finished", run=run, kind="x", cause=cause, **labels)


def succeed(bench: Bench, agent: str) -> None:
    bench.signal("agent_finished", agent=agent, run="run-9", outcome="succeeded", kind="", failure="")
    bench.signal("agent_succeeded", agent=agent)


def test_each_agent_and_class_of_failure_is_a_group_and_several_agents_make_each_worse(bench: Bench) -> None:
    bench.configuration = bench.configuration.model_validate({"agents": [{"id": "planner"}, {"id": "executor"}]})
    fail(bench, "planner", "run-1")
    bench.wait(5)
    fail(bench, "executor", "run-2", "time-limit")
    bench.wait(5)
    first, second = "agent-failure:planner: unusable-answer", "agent-failure:executor: time-limit"
    assert sorted(bench.reported()) == sorted([("report", first), ("report", first), ("report", second)])
    facts = {report.key: report.facts for report in bench.reporter.reports}
    assert {(one.agents_failing, one.agents_total) for one in facts.values()} == {(2, 2)}
    assert {report.key: report.blast_radius.agents for report in bench.reporter.reports} == {
        first: ("planner",),
        second: ("executor",),
    }
    succeed(bench, "planner")
    bench.wait(5)
    assert list(bench.reported()) == [("clear", first)]
    fail(bench, "executor", "run-3", "configuration")
    bench.wait(5)
    succeed(bench, "executor")
    bench.wait(5)
    third = "agent-failure:executor: configuration"
    assert sorted(bench.reported()) == [("clear", third), ("clear", second), ("report", third)]


def test_a_run_that_fails_with_its_agent_is_the_same_failure(bench: Bench) -> None:
    fail(bench, "planner", "run-1")
    cause = failure_subject("planner", "unusable-answer")
    bench.signal("run_finished", run="run-1", outcome="failed", agent="planner", failure="unusable-answer", cause=cause)
    bench.wait(5)
    assert {key for _, key in bench.reported()} == {"agent-failure:planner: unusable-answer"}
    (report, *_) = bench.reporter.reports[::-1]
    assert (report.title, report.blast_radius.runs) == ("Agent planner fails", ("run-1",))


def test_agents_that_fail_half_of_the_time_are_reported_as_a_sum_only_where_none_is_by_itself(bench: Bench) -> None:
    for number in range(6):
        if number % 2:
            fail(bench, f"a{number}", "run-1")
        else:
            succeed(bench, f"a{number}")
    bench.wait(5)
    assert "Many agents fail" not in {report.title for report in bench.reporter.reports}
    assert {report.facts.agents_failing for report in bench.reporter.reports} == {3}
    for number in range(6):
        succeed(bench, f"a{number}")
    bench.wait(5)
    bench.reporter.reports.clear()
    bench.now += timedelta(seconds=700)
    for number in range(6):
        fail(bench, f"a{number}", "run-1")
        succeed(bench, f"a{number}")
    bench.wait(5)
    (report,) = bench.reporter.reports
    assert (report.title, report.facts.failure_rate) == ("Many agents fail", 0.5)


def test_agents_that_work_again_are_not_counted_as_failing(bench: Bench) -> None:
    for outcome in ("failed", "succeeded"):
        for agent in ("planner", "executor", "reviewer"):
            bench.signal("agent_finished", agent=agent, run="r", outcome=outcome, kind="")
    bench.wait(5)
    assert [(one.facts.failure_rate, one.facts.agents_failing) for one in bench.reporter.reports] == [(0.5, 0)]


def test_a_crash_between_telling_and_writing_tells_again_under_the_same_key(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    bench.signal("provider_up", 0, provider="ollama")
    with monkeypatch.context() as patch:
        patch.setattr(bench.alerts, "save_groups", crash)
        with pytest.raises(KeyboardInterrupt):
            bench.evaluate()
    bench.restart()
    bench.evaluate()
    assert list(bench.reported()) == [("report", DOWN)] * 2
    assert len(bench.alerts.list()) == 1


def test_a_provider_that_is_down_mutes_the_failures_that_it_causes(bench: Bench) -> None:
    fail(bench, "planner", "run-1", "provider")
    bench.signal("run_finished", run="run-1", outcome="failed", agent="planner", failure="provider")
    bench.now += timedelta(seconds=1)
    bench.signal("provider_up", 0, provider="ollama")
    fail(bench, "reviewer", "run-2")
    bench.wait(10)
    bench.signal("provider_up", 1, provider="ollama")
    bench.wait(60)
    reviewer = "agent-failure:reviewer: unusable-answer"
    assert list(bench.reported()) == [("report", reviewer), ("report", DOWN), ("clear", DOWN)]
    assert bench.reporter.reports[0].blast_radius.agents == ("reviewer",)
    verdicts = {row.labels.get("agent", row.name): row.verdict for row in bench.alerts.list()}
    assert verdicts["planner"] == verdicts["run-failed"] == "inhibited"


def test_a_database_that_is_down_is_reported_and_its_consequences_are_not(bench: Bench) -> None:
    bench.signal("database_up", 0)
    bench.signal("worker_up", 0, worker="w1")
    bench.wait(30, before_each=lambda: bench.signal("database_up", 0))
    assert list(bench.reported()) == [("report", "control-plane:database")]
    assert bench.reporter.reports[0].facts.database_unreachable


def test_what_begins_and_ends_is_said_once_for_the_timeline_and_the_log(bench: Bench) -> None:
    bench.silence("agent=planner")
    bench.signal("agent_finished", agent="planner", run="run-1", outcome="failed", kind="x")
    bench.wait(10)
    bench.signal("agent_finished", agent="planner", run="run-2", outcome="succeeded", kind="")
    bench.wait(10)
    said = [(one.kind, one.run_id, one.agent, one.data["decision"]) for one in bench.events]
    assert said == [
        ("alert.fired", "run-1", "planner", "silenced"),
        ("alert.resolved", "run-1", "planner", "never-told"),
    ]
    assert bench.events[0].data["alert"] == bench.alerts.list()[0].id


def test_a_silence_mutes_the_beginning_and_never_the_end(bench: Bench) -> None:
    bench.signal("provider_up", 0, provider="ollama")
    bench.evaluate()
    silence = bench.silence("provider=ollama")
    bench.wait(300, before_each=lambda: bench.signal("provider_up", 0, provider="ollama"))
    assert list(bench.reported()) == [("report", DOWN)]
    (row,) = bench.alerts.list()
    assert (row.verdict, row.muted_by) == ("silenced", silence.id)
    bench.signal("provider_up", 1, provider="ollama")
    bench.evaluate()
    assert list(bench.reported()) == [("clear", DOWN)]


def test_an_alert_that_still_fires_when_a_maintenance_window_ends_is_reported_then(bench: Bench) -> None:
    bench.silence("provider=~ol.*", start=10, seconds=60, kind="maintenance")
    down = lambda: bench.signal("provider_up", 0, provider="ollama")  # noqa: E731
    bench.now += timedelta(seconds=10)
    bench.wait(55, before_each=down)
    assert list(bench.reported()) == []
    assert bench.alerts.list()[0].verdict == NotifyReason.MAINTENANCE.value
    bench.wait(10, before_each=down)
    assert list(bench.reported()) == [("report", DOWN)]


def test_an_alert_within_a_maintenance_window_is_stored_and_never_reported(bench: Bench) -> None:
    bench.silence("provider=ollama", kind="maintenance")
    bench.signal("provider_up", 0, provider="ollama")
    bench.evaluate()
    bench.signal("provider_up", 1, provider="ollama")
    bench.evaluate()
    assert list(bench.reported()) == []
    assert [(row.status, row.verdict) for row in bench.alerts.list()] == [(AlertStatus.RESOLVED, "never-told")]


def test_our_own_remediation_opens_no_incident_about_itself(bench: Bench) -> None:
    bench.signal("agent_finished", agent="planner", run="r", outcome="failed", kind="x", origin="remediation")
    bench.wait(10)
    assert list(bench.reported()) == []
    assert [row.verdict for row in bench.alerts.list()] == ["remediation"]
    fail(bench, "planner", "r2")
    bench.wait(5)
    assert list(bench.reported()) == [("report", "agent-failure:planner: unusable-answer")]


def test_a_drill_and_the_real_thing_stay_apart(bench: Bench) -> None:
    bench.signal("provider_up", 0, drill=True, provider="ollama")
    bench.signal("provider_up", 0, provider="ollama")
    bench.evaluate()
    assert sorted(bench.reported()) == [("report", f"drill:{DOWN}"), ("report", DOWN)]
    assert {report.key: report.drill for report in bench.reporter.reports} == {f"drill:{DOWN}": True, DOWN: False}


def test_a_flapping_alert_stays_reported_until_it_was_quiet(bench: Bench) -> None:
    for number in range(20):
        bench.signal("provider_up", number % 2, provider="ollama")
        bench.evaluate()
        bench.now += timedelta(seconds=10)
    assert list(bench.reported()) == [("report", DOWN), ("clear", DOWN)] * 2 + [("report", DOWN)]
    assert [alert.flapping for alert in bench.engine.alerts] == [True]
    bench.wait(595, before_each=lambda: bench.signal("provider_up", 1, provider="ollama"))
    bench.wait(10, before_each=lambda: bench.signal("provider_up", 1, provider="ollama"))
    assert list(bench.reported()) == [("clear", DOWN)]


def test_a_poisonous_rule_signal_or_row_stops_nothing_else(bench: Bench, database: Database) -> None:
    bench.configuration = bench.configuration.model_validate(
        {"alerting": {"rules": {"odd": {"signal": "odd", "scenario": "workflow-stuck", "threshold": 1}}}}
    )
    bench.signal("database_up", 0)
    bench.evaluate()
    with database.write() as connection:
        connection.execute(sa.text("UPDATE alerts SET state = '{}'"))
    bench.restart()
    bench.engine.add_signal(Signal("odd", NOON.replace(tzinfo=None)))
    bench.engine.add_signal(Signal("cpu_percent", NOON, float("nan"), {"host": "a"}))
    bench.engine.add_signal(Signal("who_knows", NOON))
    bench.signal("provider_up", 0, provider="ollama")
    bench.evaluate()
    assert ("report", DOWN) in bench.reported()
    assert bench.engine.errors.failing == {"kept alert database-down", "signal odd", "signal cpu_percent"}
    assert bench.engine.rulebook.unknown == 1


def test_without_the_database_alerts_are_reported_all_the_same(bench: Bench, database: Database) -> None:
    bench.evaluate()
    with database.write() as connection:
        connection.execute(sa.text("ALTER TABLE alerts RENAME TO alerts_away"))
        connection.execute(sa.text("ALTER TABLE alert_groups RENAME TO groups_away"))
    bench.signal("database_up", 0)
    bench.evaluate()
    bench.evaluate()
    assert list(bench.reported()) == [("report", "control-plane:database")]
    assert bench.engine.errors.failing == {"saving alerts", "saving groups"}
    with database.write() as connection:
        connection.execute(sa.text("ALTER TABLE alerts_away RENAME TO alerts"))
        connection.execute(sa.text("ALTER TABLE groups_away RENAME TO alert_groups"))
    bench.evaluate()
    assert [row.name for row in bench.alerts.list()] == ["database-down"]
    assert [group.key for group in bench.alerts.list_groups()] == ["control-plane:database"]


def test_a_rule_can_be_changed_switched_off_and_added_while_running(bench: Bench) -> None:
    bench.signal("provider_up", 0, provider="ollama")
    bench.evaluate()
    assert list(bench.reported()) == [("report", DOWN)]
    bench.configuration = bench.configuration.model_validate(
        {
            "monitoring": {"thresholds": {"diskFreePercent": 5}},
            "alerting": {
                "rules": {
                    "provider-down": {"enabled": False},
                    "disk-low": {"severity": "P0"},
                    "queue-long": {
                        "signal": "queue_length",
                        "scenario": "workflow-stuck",
                        "threshold": 10,
                        "by": ["queue"],
                        "subject": "{queue}",
                        "title": "Queue {queue} holds {value}",
                    },
                }
            },
        }
    )
    bench.signal("disk_free_percent", 7, host="a", path="/")
    bench.signal("queue_length", 12, queue="mail")
    bench.evaluate()
    assert sorted(bench.reported()) == [("clear", DOWN), ("report", "workflow-stuck:mail")]
    assert bench.reporter.reports[-1].title == "Queue mail holds 12"
    bench.signal("disk_free_percent", 4, host="a", path="/")
    bench.evaluate()
    assert bench.reporter.reports[-1].facts.declared is Severity.P0


@pytest.mark.parametrize("name", ["run-stalled", "run-overdue"])
def test_the_end_of_a_run_ends_what_was_wrong_with_it_at_once(bench: Bench, name: str) -> None:
    if name == "run-stalled":
        bench.signal("progress_age_seconds", 130, run="run-1", agent="planner")
    else:
        bench.signal("run_overdue_ratio", 3, run="run-1")
    bench.wait(20)
    assert list(bench.reported()) == [("report", "workflow-stuck:run-1")]
    bench.now += timedelta(seconds=1)
    bench.signal("run_finished", run="run-1", outcome="cancelled")
    bench.evaluate()
    assert list(bench.reported()) == [("clear", "workflow-stuck:run-1")]


def test_an_agent_that_no_worker_takes_is_reported_after_a_minute_and_over_once_it_is_taken(bench: Bench) -> None:
    where = {"run": "run-1", "agent": "trainer", "label": "gpu"}
    bench.signal("unplaced_seconds", 50, **where)
    bench.wait(5)
    assert list(bench.reported()) == []
    bench.signal("unplaced_seconds", 70, **where)
    # The run makes no progress for that reason, which is no second incident.
    bench.signal("progress_age_seconds", 500, run="run-1", agent="")
    bench.wait(5)
    assert list(bench.reported()) == [("report", "control-plane:label gpu")]
    assert "orchestrator worker --label gpu" in bench.reporter.reports[-1].summary
    bench.wait(100)
    assert ("clear", "control-plane:label gpu") in list(bench.reported())


def test_no_secret_is_stored_or_reported(bench: Bench) -> None:
    key = "ghp_" + "a1b2c3d4e5" * 4
    evidence = {"reason": f"token {key} refused", "detail": key}
    bench.engine.add_signal(Signal("provider_up", NOON, 0, {"provider": "ollama"}, evidence))
    bench.evaluate()
    assert key not in repr(bench.reporter.reports)
    assert key not in repr(bench.alerts.list())
    assert "[redacted:github-token]" in bench.reporter.reports[0].summary


@pytest.mark.parametrize("odd", ["\ud800", "a\0b", "x" * 5000, "", "{", "🙂"])
def test_odd_labels_and_evidence_are_kept_like_any_other(bench: Bench, odd: str) -> None:
    bench.engine.add_signal(Signal("provider_up", NOON, 0, {"provider": odd}, {"reason": object(), "detail": odd}))
    bench.signal("database_up", 0)
    bench.evaluate()
    assert len(bench.alerts.list()) == len(bench.reporter.reports) == 2
    assert bench.engine.errors.failing == frozenset()
    bench.restart()
    bench.engine.add_signal(Signal("provider_up", NOON, 1, {"provider": odd}))
    bench.evaluate()
    assert [kind for kind, _ in bench.reported()] == ["report", "report", "clear"]


def seen(name: str, seconds_ago: float, **labels: str) -> Signal:
    return Signal(name, NOON - timedelta(seconds=seconds_ago), 1.0, labels)


def test_a_rule_that_counts_goes_on_after_a_restart_with_what_was_seen_before_it(bench: Bench) -> None:
    bench.engine.recall([seen("sign_in_failed", ago, source="10.0.0.9") for ago in (400, 200, 150, 100, 50)])
    bench.evaluate()
    assert list(bench.reported()) == [], "the first of the five is too old"
    bench.signal("sign_in_failed", source="10.0.0.9")
    bench.evaluate()
    assert list(bench.reported()) == [("report", "security-alert:10.0.0.9")]


def test_a_rule_that_needs_one_signal_does_not_fire_again_after_a_restart(bench: Bench) -> None:
    failed = {"outcome": "failed", "agent": "executor", "run": "run-1", "kind": "bug"}
    bench.engine.recall([seen("agent_finished", 60, **failed), seen("backup_failed", 60)])
    bench.wait(30)
    assert list(bench.reported()) == []


def test_what_was_recalled_is_forgotten_with_all_else(bench: Bench) -> None:
    bench.engine.recall([seen("sign_in_failed", 50, source="10.0.0.9")] * 5)
    bench.engine.reset()
    bench.evaluate()
    assert list(bench.reported()) == []


def test_a_silence_over_what_was_reported_is_told_once_and_its_end_too(bench: Bench) -> None:
    bench.signal("provider_up", 0, provider="ollama")
    bench.evaluate()
    (key,) = {report.key for report in bench.reporter.reports}
    assert bench.reporter.marks == {key: ("", False)}
    silence = bench.silence("provider=ollama", seconds=60)
    bench.evaluate()
    assert bench.reporter.marks == {key: (silence.id, False)}
    bench.now += timedelta(seconds=61)
    bench.signal("provider_up", 0, provider="ollama")
    bench.evaluate()
    assert bench.reporter.marks == {key: ("", False)}


def test_a_silence_that_could_not_be_told_is_told_the_next_time(bench: Bench) -> None:
    bench.signal("provider_up", 0, provider="ollama")
    bench.evaluate()
    (key,) = bench.reporter.marks
    silence = bench.silence("provider=ollama")
    bench.reporter.broken = RuntimeError("away")
    bench.evaluate()
    assert bench.reporter.marks == {key: ("", False)}
    bench.reporter.broken = None
    bench.evaluate()
    assert bench.reporter.marks == {key: (silence.id, False)}
