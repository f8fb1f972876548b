"""Which alerts get an incident of their own, and which join a storm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from orchestration.alerts.model import Alert
from orchestration.alerts.storm_reports import storm_report
from orchestration.alerts.storms import grouped, severity_of
from orchestration.config.alerting import StormSettings
from orchestration.domain.alert_status import AlertStatus
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.incidents.report import Facts
from tests.unit.alerts.samples import NOON, alert

LIMITS = StormSettings(incidents=3, incidents_of_sender=10, window=600)


def sent(subject: str, severity: Severity = Severity.P2, group: str = "g", **values: object) -> Alert:
    return alert(
        subject,
        subject=subject,
        labels={"host": subject},
        scenario=Scenario.EXTERNAL_ALERT,
        source="alertmanager",
        facts=Facts(declared=severity),
        sender_group=group,
        **values,
    )


def hosts(count: int, severity: Severity = Severity.P2, group: str = "g", prefix: str = "h") -> list[Alert]:
    return [sent(f"{prefix}{number}", severity, group) for number in range(count)]


def after(news: Iterable[Alert], known: Iterable[Alert] = (), seconds: float = 0) -> list[Alert]:
    """The new alerts, each with its group."""
    alerts = [*known, *news]
    found = grouped(list(news), alerts, LIMITS, NOON + timedelta(seconds=seconds))
    return [found[one.id] for one in news]


def storms(alerts: Iterable[Alert]) -> list[str]:
    return [one.subject for one in alerts if one.storm]


def test_a_few_things_of_a_group_have_incidents_of_their_own_and_a_flood_has_one() -> None:
    assert storms(after(hosts(3))) == []
    flood = after(hosts(1000))
    assert len(storms(flood)) == 1000
    assert len({one.group for one in flood}) == 1
    # One by one, too; what has an incident keeps it.
    known: list[Alert] = []
    for number, one in enumerate(hosts(6)):
        known += after([one], known, number)
    assert storms(known) == ["h3", "h4", "h5"]
    again = replace(known[0], id="again", grouped_at=None)
    assert after([again], known, 10)[0].group == known[0].group


def test_worse_alerts_have_places_of_their_own() -> None:
    flood = after(hosts(1000))
    worse = after([sent("db", Severity.P0)], flood, 1)
    assert storms(worse) == []
    # Among many of the kind it joins, and makes the storm worse.
    many = after(hosts(4, Severity.P0, prefix="db"), flood, 1)
    assert len(storms(many)) == 4
    assert storm_report([*flood, *many], 1004, NOON).facts.declared is Severity.P0
    assert storms(after([*hosts(1000), sent("db", Severity.P0)])) == [f"h{number}" for number in range(1000)]


def test_another_group_is_not_affected_until_the_sender_has_sent_too_many_groups() -> None:
    flood = after(hosts(1000))
    other = after([sent("db", group="other")], flood, 1)
    assert storms(other) == []
    many = after([sent(f"x{number}", group=f"g{number}") for number in range(1000)])
    assert len({one.group for one in many}) == 1
    assert storms(after([sent("db", Severity.P0, group="last")], many, 1)) == []


def test_a_storm_is_over_when_the_window_has_passed_without_it() -> None:
    flood = after(hosts(1000))
    assert len(storms(after([sent("late")], flood, 599))) == 1
    assert storms(after([sent("late")], flood, 600)) == []


def test_what_has_an_incident_already_and_what_is_ours_joins_no_storm() -> None:
    known = after([sent("h1")])
    ours = [alert(f"own{number}", number, subject=f"s{number}") for number in range(50)]
    assert grouped(ours, ours, LIMITS, NOON) == {}
    old = [replace(one, grouped_at=NOON - timedelta(days=1)) for one in known]
    assert storms(after([sent("h1"), *hosts(20, prefix="n")], old))[0] == "n0"


def test_a_drill_joins_no_storm_of_real_alerts() -> None:
    (drill,) = {one.group for one in after([replace(one, drill=True) for one in hosts(9)], after(hosts(9)))}
    assert drill.startswith("drill:storm:")


def test_the_report_counts_all_and_names_the_worst() -> None:
    members = [*hosts(500), *hosts(2, Severity.P1, prefix="worse")]
    report = storm_report(after(members), 702, NOON)
    assert report.title.startswith("Storm of 702 alerts from alertmanager")
    assert "500 P2" in report.summary
    assert report.summary.index("worse1") < report.summary.index("h0")
    assert len(report.fingerprints) == len(report.evidence) == 10
    assert storm_report(after(members)[:1], 1, NOON).title.startswith("Storm of 1 alert from")


severities = st.sampled_from(list(Severity))
arrivals = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 30), severities, st.booleans(), st.floats(0, 9)), max_size=60
)


# The second alert of one thing is worse than its first.
@example(
    [
        *[("a", 0, Severity.P0, False, 0.0)] * 9,
        ("b", 2, Severity.P0, False, 0.0),
        ("b", 3, Severity.P0, False, 0.0),
        ("b", 0, Severity.P1, True, 0.0),
        ("b", 1, Severity.P2, True, 0.0),
        ("b", 1, Severity.P0, False, 0.0),
    ]
)
@given(arrivals)
def test_however_alerts_arrive_the_number_of_incidents_is_bounded_and_the_worst_come_first(
    given: list[tuple[str, int, Severity, bool, float]],
) -> None:
    known: list[Alert] = []
    batch: list[Alert] = []
    seconds = 0.0
    for number, (group, subject, severity, more, wait) in enumerate(given):
        batch.append(replace(sent(f"{group}{subject}", severity, group), id=f"alert-{number}"))
        if more:
            continue
        seconds += wait
        decided = after(batch, known, seconds)
        for one in decided:
            # Nothing worse shares an incident with others while something less bad of its group, new as well, has its
            # own.
            peers = [other for other in decided if other.sender_group == one.sender_group and not other.storm]
            fresh = [other for other in peers if other.group not in {each.group for each in known}]
            # What an incident is about is as bad as the worst of its alerts.
            worst = {
                other.group: min(severity_of(each) for each in decided if each.group == other.group) for other in fresh
            }
            assert not one.storm or not any(severity_of(one).worse_than(other) for other in worst.values())
        known += decided
        batch = []
    first = {one.group: one for one in reversed(known) if not one.storm}
    own = Counter((one.sender_group, severity_of(one)) for one in first.values())
    assert max(own.values(), default=0) <= LIMITS.incidents
    assert len({one.storm for one in known if one.storm}) <= 4, "one for each group, and one for the sender"
    assert all(one.status is AlertStatus.FIRING and one.grouped_at is not None for one in known)
