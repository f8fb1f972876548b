"""The sums of each day are those of the calls, whoever has recorded them, and in whatever batches."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import pytest
import sqlalchemy as sa

from orchestration.domain.usage import UsageGrouping
from orchestration.storage.charge import Charge
from orchestration.storage.database import Database
from orchestration.storage.recorded_calls import RecordedCalls
from orchestration.storage.spend import Spend
from orchestration.storage.tables import spend
from orchestration.storage.usage_days import UsageDays, UsageRow, UsageSelection
from tests.support.database import migrated

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
MARCH = UsageSelection(date(2026, 3, 1), date(2026, 3, 31))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = migrated(database_url)
    yield database
    database.close()


def calls(count: int = 60) -> list[Charge]:
    """One call every seven hours, of two clients in two teams and of an agent; some were refused, some have failed."""
    return [
        Charge(
            f"k{number}", "run-1" if number % 3 == 2 else None, ("client:t1", "client:t2", "planner")[number % 3],
            ("a", "b")[number % 2], f"m/{number % 2}", 10 * number, number, None if number % 5 == 0 else 0.5,
            FIRST + timedelta(hours=7 * number), ("red", "blue", None)[number % 3],
            ("ok", "budget", "broken_off", "cancelled", "limit")[number % 5], number, 0, number // 2,
        )
        for number in range(count)
    ]  # fmt: skip


def by_hand(found: list[Charge], name: str = "") -> UsageRow:
    return UsageRow(
        name,
        len(found),
        sum(one.outcome in ("budget", "limit") for one in found),
        sum(one.outcome == "broken_off" for one in found),
        sum(one.usd is None and one.prompt_tokens > 0 for one in found),
        sum(one.prompt_tokens for one in found),
        sum(one.completion_tokens for one in found),
        sum(one.cached_tokens for one in found),
        0,
        sum(one.thinking_tokens for one in found),
        sum(one.usd or 0.0 for one in found),
    )


def test_sums_are_those_of_the_calls_and_each_call_is_in_them_once(database: Database) -> None:
    made, record, days = calls(), Spend(database), UsageDays(database)
    record.add_all(made[:20])
    for one in made[10:30]:
        record.add(one)
    record.add_all([*made[25:], *made[:5]])
    whose = {
        UsageGrouping.KEY: lambda one: one.client or "",
        UsageGrouping.TEAM: lambda one: one.team or "",
        UsageGrouping.AGENT: lambda one: "" if one.client else one.agent,
        UsageGrouping.PROVIDER: lambda one: one.provider,
        UsageGrouping.MODEL: lambda one: f"{one.provider}/{one.model}",
        UsageGrouping.DAY: lambda one: f"{one.at:%Y-%m-%d}",
    }
    report = days.report(MARCH, *whose)
    for grouping, name_of in whose.items():
        names = {name_of(one) for one in made}
        expected = {name: by_hand([one for one in made if name_of(one) == name], name) for name in names}
        assert {row.name: row for row in report[grouping]} == expected, grouping
    assert days.total(MARCH) == by_hand(made)
    some = UsageSelection(date(2026, 3, 3), date(2026, 3, 9), client="t2", provider="b")
    chosen = [one for one in made if one.client == "t2" and one.provider == "b" and 3 <= one.at.day <= 9]
    assert days.total(some) == by_hand(chosen)
    assert [one.key for one in RecordedCalls(database).list(some, limit=50)] == [one.key for one in chosen[::-1]]


def test_what_an_earlier_version_records_meanwhile_is_counted(database: Database) -> None:
    """It knows none of the new columns: its rows have nothing in them."""
    Spend(database).add_all(calls(3))
    old = ("key", "run_id", "agent", "provider", "model", "prompt_tokens", "completion_tokens", "usd", "at")
    rows = [{name: getattr(one, name) for name in old} for one in calls(9)[3:]]
    with database.write() as connection:
        connection.execute(sa.insert(spend), rows)
    days = UsageDays(database)
    for _ in range(2):
        agents = {row.name: row for row in days.report(MARCH, UsageGrouping.AGENT)[UsageGrouping.AGENT]}
        assert days.total(MARCH).requests == 9
        assert days.total(MARCH).prompt_tokens == sum(10 * number for number in range(9))
        assert agents["planner"].requests == 3
        assert days.total(MARCH).usd == pytest.approx(0.5 * 7)


def test_pages_of_calls_follow_each_other_without_a_gap(database: Database) -> None:
    same = [Charge(f"k{number}", None, None, "a", "m", 1, 1, None, FIRST) for number in range(25)]
    Spend(database).add_all(same)
    found: list[str] = []
    place = None
    while page := RecordedCalls(database).list(MARCH, limit=10, before=place):
        found += [one.key for one in page]
        place = (page[-1].at, page[-1].key)
    assert found == sorted((one.key for one in same), reverse=True)
    nobody = UsageSelection(MARCH.first, MARCH.last, client="", team="", agent="")
    assert len(RecordedCalls(database).list(nobody, limit=50)) == 25
    assert RecordedCalls(database).list(nobody, refused=True, limit=50) == []
