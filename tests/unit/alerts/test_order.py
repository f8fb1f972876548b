"""The order of receipt decides about alerts of other systems, and no clock does."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from orchestration.alerts.active_alerts import ActiveAlerts
from orchestration.alerts.inbound import InboundAlert
from orchestration.alerts.model import AlertTiming
from tests.unit.alerts.samples import NOON

TIMING = AlertTiming()
# So far a sender's clock, and a step of ours, may be off.
hours = st.floats(min_value=-50, max_value=50).map(lambda number: timedelta(hours=number))
messages = st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), hours, hours), max_size=12)


def inbound(name: str, *, firing: bool, at: timedelta) -> InboundAlert:
    return InboundAlert(name, f"f-{name}", firing, NOON + at, {})


@given(messages)
def test_an_alert_fires_if_the_last_message_about_it_says_so(
    given: list[tuple[str, bool, timedelta, timedelta]],
) -> None:
    active, last = ActiveAlerts(), {}
    steady = AlertTiming(flips=1000)
    for name, firing, at, ours in given:
        active.apply_inbound(inbound(name, firing=firing, at=at), "alertmanager", steady, NOON + ours)
        last[name] = firing
    assert {alert.name for alert in active if alert.firing} == {name for name, firing in last.items() if firing}


@given(hours, hours)
def test_a_condition_that_is_gone_ends_its_alert_although_our_clock_is_set_back(
    before: timedelta, after: timedelta
) -> None:
    active, timing = ActiveAlerts(), AlertTiming(keep_firing=60)
    fires = inbound("a", firing=True, at=timedelta()).observation("monitoring")
    gone = inbound("a", firing=False, at=timedelta()).observation("monitoring")
    active.apply(fires, timing, NOON)
    active.apply(gone, timing, NOON + before)
    for seconds in (0, 61):
        active.apply(gone, timing, NOON + after + timedelta(seconds=seconds))
    assert not [alert for alert in active if alert.firing]


def test_what_its_sender_does_not_repeat_in_time_ends_unobserved() -> None:
    active = ActiveAlerts()
    alert = InboundAlert("a", "f-a", True, NOON, {}, expires=NOON + timedelta(minutes=4))
    active.apply_inbound(alert, "prometheus", TIMING, NOON)
    active.expire(TIMING, 86_400, NOON + timedelta(minutes=3))
    assert [one.firing for one in active] == [True]
    active.expire(TIMING, 86_400, NOON + timedelta(minutes=4))
    assert [(one.firing, one.unobserved) for one in active] == [(False, True)]
