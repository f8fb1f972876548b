from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.alerts.defaults import default_rules
from orchestration.clock import FakeClock
from orchestration.config.monitoring import Thresholds
from orchestration.events import Event, EventBus
from orchestration.monitoring.signals.catalogue import EVENTS, SIGNALS, signals_page
from orchestration.monitoring.signals.event_signals import signals_of

LABELS = {one.name: set(one.labels) for one in SIGNALS}


def event(kind: str, **data: Any) -> Event:
    return EventBus(FakeClock()).emit(kind, run_id="run-1", agent="executor", **data)


def test_the_page_of_signals_is_current() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "signals.md"
    assert page.read_text(encoding="utf-8") == signals_page()


def test_every_signal_that_a_built_in_rule_waits_for_exists() -> None:
    waited_for = {name for rule in default_rules(Thresholds()) for name in (rule.signal, *rule.cleared_by)}
    assert waited_for <= LABELS.keys()


# Whether a provider is up is told by the providers' watch, which knows all of its routes.
TRANSLATED = [heard for heard in EVENTS if not heard.event.kind.startswith("route.")]


@pytest.mark.parametrize("heard", TRANSLATED, ids=lambda one: one.event.kind)
def test_every_event_of_the_page_becomes_the_signals_that_it_says(heard: Any) -> None:
    tries = [{"route": "ollama/m", "outcome": "ok"}] if "tries" in heard.data else []
    due = {"schedule": "nightly", "due_at": "2026-01-05T08:59:00+00:00"}
    found = signals_of(event(heard.event.kind, tries=tries, by_agent="executor", **due))
    assert [signal.name for signal in found] == list(heard.signals)


@given(
    st.sampled_from([heard.event.kind for heard in EVENTS]),
    st.dictionaries(
        st.sampled_from(sorted({name for heard in EVENTS for name in heard.data})),
        st.recursive(
            st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=5,
        ),
    ),
)
def test_no_data_makes_it_fail_and_every_signal_has_exactly_its_labels(kind: str, data: dict[str, Any]) -> None:
    for signal in signals_of(event(kind, **data)):
        assert set(signal.labels) == LABELS[signal.name]
        assert all(isinstance(value, str) for value in signal.labels.values())


def test_an_agent_that_failed_says_how() -> None:
    (signal,) = signals_of(
        event("agent.finished", agent_run_id="a", failing={"kind": "timeout", "message": "too slow"})
    )
    expected = {"agent": "executor", "run": "run-1", "outcome": "failed", "kind": "timeout", "failure": "provider"}
    assert signal.labels == expected
    assert (signal.evidence["message"], signal.evidence["cause"]) == ("too slow", "executor: provider")
    signal, cleared = signals_of(event("agent.finished", agent_run_id="a", failing=None))
    assert (signal.labels["outcome"], signal.labels["kind"]) == ("succeeded", "")
    assert (cleared.name, cleared.labels) == ("agent_succeeded", {"agent": "executor"})


def test_a_model_call_is_a_signal_for_each_try_with_its_own_seconds() -> None:
    tries = [
        {"route": "github/openai/gpt-4.1", "outcome": "retired", "seconds": 0.2, "status": 410, "detail": "gone"},
        {"route": "ollama/m", "outcome": "ok", "seconds": 4.0},
    ]
    first, second = signals_of(event("model_call.finished", tries=tries, seconds=4.3))
    assert first.labels == {"provider": "github", "model": "openai/gpt-4.1", "outcome": "retired"}
    assert (first.value, first.evidence["status"]) == (0.2, 410)
    assert (second.labels["model"], second.value) == ("m", 4.0)


def test_a_run_that_goes_on_waits_no_more() -> None:
    assert [signals_of(event(kind))[0].value for kind in ("run.waiting", "run.continued")] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("data", "late"),
    [
        ({"schedule": "nightly", "due_at": "2026-01-05T08:58:30+00:00"}, 90.0),
        ({"schedule": "nightly", "due_at": "2026-01-05T10:58:30+02:00"}, 90.0),
        ({"schedule": "nightly", "due_at": "2026-01-05T09:00:01+00:00"}, 0.0),
        ({"schedule": "nightly", "due_at": "2026-01-05T08:58:30"}, None),
        ({"schedule": "nightly", "due_at": "noon"}, None),
        ({"schedule": "nightly"}, None),
        ({"origin": "fork of run-1 at 3"}, None),
        ({}, None),
    ],
)
def test_a_scheduled_run_says_how_late_it_began(data: dict[str, str], late: float | None) -> None:
    found = signals_of(event("run.created", **data))
    assert [(one.labels["schedule"], one.value) for one in found] == ([] if late is None else [("nightly", late)])


def test_a_delivery_that_fails_or_is_tried_again_says_so_of_its_channel() -> None:
    for kind, up in (("sent", 1.0), ("retried", 0.0), ("failed", 0.0)):
        (signal,) = signals_of(event(f"notification.{kind}", channel="mail", message="refused"))
        assert (signal.labels, signal.value, signal.evidence) == ({"channel": "mail"}, up, {"detail": "refused"})


def test_a_worker_that_ended_says_why() -> None:
    (lost,) = signals_of(event("worker.lost", worker=1, exit_code=-9))
    assert (lost.labels, lost.value, lost.evidence) == ({"worker": "1"}, 0.0, {"reason": "exit code -9"})
    (killed,) = signals_of(event("worker.killed", worker=1, reason="too much memory"))
    assert killed.evidence == {"reason": "too much memory"}


def test_what_a_drill_caused_is_marked() -> None:
    assert signals_of(event("backup.failed", message="disk", drill=True))[0].drill
    assert not signals_of(event("backup.failed", message="disk"))[0].drill


def test_other_events_tell_nothing() -> None:
    assert signals_of(event("agent.progress", activity="thinks")) == ()
