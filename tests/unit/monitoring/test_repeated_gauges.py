"""Which signals say something new."""

from __future__ import annotations

from datetime import UTC, datetime

from orchestration.alerts.signal import Signal
from orchestration.monitoring.signals import repeated_gauges
from orchestration.monitoring.signals.repeated_gauges import RepeatedGauges

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def gauge(value: float, **labels: str) -> Signal:
    return Signal("up", NOW, value, labels)


def test_a_gauge_is_news_when_its_value_has_changed() -> None:
    seen = RepeatedGauges(frozenset({"up"}))
    said = [gauge(1, host="a"), gauge(1, host="a"), gauge(1, host="b"), gauge(0, host="a"), gauge(0, host="a")]
    assert [seen.has_news([one]) for one in said] == [True, False, True, True, False]


def test_an_occurrence_is_always_news() -> None:
    seen = RepeatedGauges(frozenset({"up"}))
    lost = Signal("worker_lost", NOW, 1)
    assert [seen.has_news([lost]), seen.has_news([lost])] == [True, True]


def test_every_signal_of_a_batch_is_remembered() -> None:
    seen = RepeatedGauges(frozenset({"up"}))
    batch = [gauge(1, host="a"), gauge(1, host="b")]
    assert [seen.has_news(batch), seen.has_news(batch), seen.has_news([])] == [True, False, False]


def test_what_is_remembered_is_bounded() -> None:
    seen = RepeatedGauges(frozenset({"up"}))
    most = repeated_gauges._MOST_SERIES
    assert all(seen.has_news([gauge(1, run=str(number))]) for number in range(most + 1))
    assert len(seen._last) <= most
    assert not seen.has_news([gauge(1, run=str(most))])
