from __future__ import annotations

from typing import Any

import pytest

from orchestration.alerts.signal import Signal
from orchestration.clock import FakeClock
from orchestration.events import EventBus
from orchestration.metrics import Metrics
from orchestration.monitoring.signals.event_counters import EventCounters
from tests.unit.metrics.test_metrics import rendered


class Desk:
    """A bus whose events are counted."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.bus = EventBus(self.clock)
        self.metrics = Metrics()
        self.counting = EventCounters(self.metrics, lambda name: {"ours": "slack"}.get(name, name))
        self.bus.subscribe(self.counting.on_event)

    def value(self, name: str, **labels: str) -> float:
        found = rendered(self.metrics).get(f"orchestration_{name}", [])
        return next((value for known, value in found if known == labels), 0.0)

    def signal(self, name: str, value: float, **labels: str) -> Signal:
        return Signal(name, self.clock.now(), value, labels)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_model_call_counts_its_tries_tokens_dollars_and_times(desk: Desk) -> None:
    desk.bus.emit(
        "model_call.finished",
        agent="executor",
        outcome="ok",
        seconds=3.0,
        first_token_seconds=0.5,
        route="openai/gpt-x",
        prompt_tokens=100,
        completion_tokens=20,
        usd=0.25,
        tries=[{"route": "ollama/m", "outcome": "timeout"}, {"route": "openai/gpt-x", "outcome": "ok"}],
    )
    assert desk.value("model_calls_total", outcome="ok") == 1
    assert desk.value("model_call_tries_total", provider="ollama", outcome="timeout") == 1
    assert desk.value("model_call_tries_total", provider="openai", outcome="ok") == 1
    assert desk.value("model_call_fallbacks_total") == 1
    assert desk.value("model_tokens_total", provider="openai", direction="prompt") == 100
    assert desk.value("model_tokens_total", provider="openai", direction="completion") == 20
    assert desk.value("model_cost_dollars_total", provider="openai") == 0.25
    assert desk.value("model_call_seconds_sum", provider="openai") == 3.0
    assert desk.value("model_first_token_seconds_sum", provider="openai") == 0.5


def test_a_call_that_its_first_route_answered_is_no_fallback_and_a_failed_one_has_no_times(desk: Desk) -> None:
    desk.bus.emit(
        "model_call.finished", outcome="ok", route="ollama/m", usd=None, tries=[{"route": "ollama/m", "outcome": "ok"}]
    )
    desk.bus.emit("model_call.failed", outcome="no_route", seconds=1.0, tries=[])
    assert desk.value("model_call_fallbacks_total") == 0
    assert desk.value("model_calls_total", outcome="no_route") == 1
    assert desk.value("model_call_seconds_count", provider="other") == 0


@pytest.mark.parametrize(
    ("kind", "data", "name", "labels"),
    [
        ("run.started", {}, "runs_started_total", ""),
        ("run.finished", {"status": "failed"}, "runs_finished_total", "outcome=failed"),
        ("run.cancelled", {}, "runs_finished_total", "outcome=cancelled"),
        ("run.waiting", {}, "run_waits_total", ""),
        ("agent.finished", {"failing": None}, "agent_tasks_finished_total", "agent=planner outcome=succeeded"),
        ("agent.finished", {"failing": {"kind": "x"}}, "agent_tasks_finished_total", "agent=planner outcome=failed"),
        ("agent.retried", {}, "agent_retries_total", "agent=planner"),
        ("tool_call.finished", {"tool": "read_file", "ok": False}, "tool_calls_total", "tool=read_file outcome=failed"),
        (
            "tool_call.refused",
            {"about": "path", "assessment": "slip"},
            "tool_calls_refused_total",
            "about=path assessment=slip",
        ),
        ("route.opened", {"provider": "ollama"}, "route_changes_total", "provider=ollama state=open"),
        ("route.half_open", {"provider": "ollama"}, "route_changes_total", "provider=ollama state=half_open"),
        ("incident.detected", {"severity": "P1"}, "incident_changes_total", "severity=P1 change=detected"),
        ("notification.sent", {"channel": "ours"}, "notifications_total", "channel=slack outcome=ok"),
        ("notification.retried", {"channel": "ours"}, "notifications_total", "channel=slack outcome=retried"),
        ("notification.failed", {"channel": "gone"}, "notifications_total", "channel=other outcome=failed"),
        ("worker.replaced", {}, "worker_changes_total", "worker_change=replaced"),
        ("secret.redacted", {}, "secrets_found_total", ""),
        ("sign_in.failed", {}, "sign_ins_failed_total", ""),
    ],
)
def test_what_happens_is_counted(desk: Desk, kind: str, data: dict[str, Any], name: str, labels: str) -> None:
    desk.bus.emit(kind, run_id="run-1", agent="planner", **data)
    assert desk.value(name, **dict(pair.split("=") for pair in labels.split())) == 1


def test_events_with_odd_data_are_counted_all_the_same(desk: Desk) -> None:
    desk.bus.emit("model_call.finished", tries="none", seconds="soon", usd=-1, prompt_tokens=None)
    desk.bus.emit("agent.finished", use="much")
    assert desk.value("model_calls_total", outcome="other") == 1
    assert desk.value("agent_tasks_finished_total", agent="other", outcome="succeeded") == 1


def test_incidents_of_drills_are_left_out(desk: Desk) -> None:
    desk.bus.emit("incident.resolved", severity="P1", drill=True)
    desk.bus.emit("incident.resolved", severity="P1", drill=False)
    assert desk.value("incident_changes_total", severity="P1", change="resolved") == 1


def test_gauges_follow_what_was_seen_and_the_fullest_disk_counts(desk: Desk) -> None:
    desk.counting.measure(
        [
            desk.signal("cpu_percent", 50, host="h"),
            desk.signal("disk_free_percent", 70, host="h", path="/a"),
            desk.signal("disk_free_percent", 8, host="h", path="/b"),
            desk.signal("providers_usable", 2),
            desk.signal("backup_age_seconds", 3600),
            desk.signal("log_errors", 3, fingerprint="0123456789ab"),
            desk.signal("secret_found", 2, kind="password", place="a.py", run="r", agent=""),
        ]
    )
    assert desk.value("resource_ratio", resource="cpu") == 0.5
    assert desk.value("resource_ratio", resource="disk_free") == 0.08
    assert desk.value("providers_usable") == 2
    assert desk.value("backup_age_seconds") == 3600
    assert desk.value("log_errors_total") == 3
    assert desk.value("secrets_found_total") == 2


def test_routes_that_are_mended_are_counted_as_closed_again(desk: Desk) -> None:
    desk.counting.routes([("ollama", "open"), ("ollama", "closed"), ("mine", "open")])
    assert desk.value("provider_routes", provider="ollama", state="open") == 1
    desk.counting.routes([("ollama", "closed"), ("ollama", "closed"), ("mine", "open")])
    assert desk.value("provider_routes", provider="ollama", state="open") == 0
    assert desk.value("provider_routes", provider="ollama", state="closed") == 2
    assert desk.value("provider_routes", provider="other", state="open") == 1
