"""What is kept, and what a manifest is compared with."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.config.maintenance import BackupSettings
from orchestration.maintenance.backups.manifest import (
    Backup,
    BackupError,
    DatabaseCopy,
    OpenedBackup,
    differences,
    from_json,
    to_json,
)
from orchestration.maintenance.backups.retention_policy import kept

MONDAY = datetime(2026, 3, 2, 2, 30, tzinfo=UTC)
GOOD = Backup(
    "b", MONDAY, "sqlite", "0007", 1.5, (DatabaseCopy("orchestrator.db", "orchestrator.db.gz", "ab", 9, {"runs": 3}),)
)


def daily(days: int) -> list[Backup]:
    return [replace(GOOD, id=f"backup-{day:03}", made_at=MONDAY + timedelta(days=day)) for day in range(days)]


def test_the_newest_of_so_many_days_weeks_and_months_are_kept() -> None:
    backups = daily(100)  # to Tuesday, 9 June 2026
    days = {backup.made_at.date().isoformat() for backup in backups if backup.id in kept(backups, BackupSettings())}
    week = {f"2026-06-0{day}" for day in range(3, 10)}
    sundays = {"2026-06-07", "2026-05-31", "2026-05-24", "2026-05-17"}
    assert days == week | sundays | {"2026-05-31", "2026-04-30", "2026-03-31"}


def test_of_several_on_one_day_the_newest_is_kept() -> None:
    early, late = GOOD, replace(GOOD, id="late", made_at=MONDAY + timedelta(hours=3))
    assert kept([early, late], BackupSettings(daily=1, weekly=0, monthly=0)) == {"late"}


def test_where_none_could_be_made_for_long_the_old_ones_stay() -> None:
    old = daily(7)
    new = replace(GOOD, id="new", made_at=MONDAY + timedelta(days=300))
    assert len(kept([*old, new], BackupSettings(daily=7, weekly=0, monthly=0))) == 7


@given(
    st.lists(st.integers(0, 3_000_000), unique=True, max_size=60),
    st.integers(1, 10),
    st.integers(0, 6),
    st.integers(0, 6),
)
def test_the_newest_is_always_kept_and_never_more_than_asked_for(
    minutes: list[int], days: int, weeks: int, months: int
) -> None:
    backups = [replace(GOOD, id=f"b{one}", made_at=MONDAY + timedelta(minutes=one)) for one in minutes]
    found = kept(backups, BackupSettings(daily=days, weekly=weeks, monthly=months))
    assert len(found) <= days + weeks + months
    assert not backups or f"b{max(minutes)}" in found
    assert kept(
        [one for one in backups if one.id in found], BackupSettings(daily=days, weekly=weeks, monthly=months)
    ) == (found)


def test_a_manifest_comes_back_as_it_was_written() -> None:
    assert from_json(to_json(GOOD)) == GOOD


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "null", '{"copies": [{"name": 1}]}', to_json(GOOD).replace("id", "it", 1)]
)
def test_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(BackupError, match="manifest"):
        from_json(text)


@pytest.mark.parametrize(
    ("opened", "problem"),
    [
        (OpenedBackup({"orchestrator.db": {"runs": 2}}, "0007"), "runs has 2 rows, not 3"),
        (OpenedBackup({"orchestrator.db": {}}, "0007"), "runs has None rows, not 3"),
        (OpenedBackup({"orchestrator.db": {"runs": 3, "more": 1}}, "0007"), "more has 1 rows, not None"),
        (OpenedBackup({}, "0007"), "runs has None rows, not 3"),
        (OpenedBackup({"orchestrator.db": {"runs": 3}}, "0006"), "expected tables of version 0007, got 0006"),
        (OpenedBackup({"orchestrator.db": {"runs": 3}}, "0007", ("a page is torn",)), "a page is torn"),
    ],
)
def test_every_difference_from_the_manifest_is_a_problem(opened: OpenedBackup, problem: str) -> None:
    assert any(problem in one for one in differences(GOOD, opened, "0007"))


def test_a_backup_that_holds_what_it_should_has_no_problem() -> None:
    assert differences(GOOD, OpenedBackup({"orchestrator.db": {"runs": 3}}, "0007"), "0009") == ()


def test_a_backup_of_a_newer_release_is_not_restored_by_an_older_one() -> None:
    (problem,) = differences(GOOD, OpenedBackup({"orchestrator.db": {"runs": 3}}, "0007"), "0006")
    assert "install the newer release" in problem
