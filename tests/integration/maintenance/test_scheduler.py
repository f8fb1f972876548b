"""The calendar of maintenance on real databases: what is due, caught up, refused, broken off, and recorded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from orchestration.clock import FakeClock
from orchestration.config.maintenance import JobSettings, MaintenanceSettings
from orchestration.errors import ConflictError, NotFoundError
from orchestration.maintenance.scheduler import CALENDAR, MaintenanceJob, MaintenanceScheduler
from orchestration.storage.leases import Leases
from orchestration.storage.maintenance import JobOutcome, JobRun, MaintenanceRecords
from tests.integration.maintenance.conftest import House
from tests.support.patience import until_async

SETTINGS = MaintenanceSettings(time_zone="Europe/Vienna", jobs={"backup": JobSettings(cron="30 2 * * *")})
DAY = 86_400.0


class Bench:
    """Services over one database, whose jobs note each time that they are done."""

    def __init__(self, house: House, settings: MaintenanceSettings = SETTINGS) -> None:
        self.house = house
        self.settings = settings
        self.records = MaintenanceRecords(house.database)
        self.done: list[tuple[str, datetime]] = []
        self.failing: set[str] = set()
        self.held: dict[str, asyncio.Event] = {}

    def service(self, holder: str = "one", clock: FakeClock | None = None) -> MaintenanceScheduler:
        house, clock = self.house, clock or self.house.clock
        jobs = [MaintenanceJob(name, name, self._work(name)) for name in ("backup", "daily-digest")]
        leases = Leases(house.database)
        return MaintenanceScheduler(jobs, lambda: self.settings, self.records, leases, clock, house.bus, holder)

    def _work(self, name: str) -> Callable[[datetime], object]:
        async def work(now: datetime) -> str:
            self.done.append((name, now))
            if name in self.held:
                await self.held[name].wait()
            if name in self.failing:
                raise RuntimeError("no luck")
            return f"did {name}"

        return work

    def history(self, job: str = "backup") -> tuple[JobRun, ...]:
        return self.records.list_runs(job)

    def outcomes(self, job: str = "backup") -> list[JobOutcome]:
        return [run.outcome for run in self.history(job)]


@pytest.fixture
def bench(house: House) -> Bench:
    return Bench(house)


@pytest.fixture
def sqlite_bench(sqlite_house: House) -> Bench:
    return Bench(sqlite_house)


@asynccontextmanager
async def running(service: MaintenanceScheduler) -> AsyncIterator[None]:
    task = asyncio.create_task(service.run())
    try:
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], object]) -> None:
    """Jobs and records are on threads of their own: give them real time."""
    await until_async(condition, 20)


async def pass_days(bench: Bench, days: float, condition: Callable[[], object]) -> None:
    """Let time go by, then wait until what it brings about is there."""
    bench.house.clock._elapsed += days * DAY
    while not condition():
        await bench.house.clock.advance(5)
        await asyncio.sleep(0.02)


async def settled(bench: Bench) -> None:
    """Let the service look a few times more."""
    for _ in range(5):
        await bench.house.clock.advance(5)
        await asyncio.sleep(0.05)


async def test_a_job_is_done_when_it_is_due_and_recorded_with_what_it_said(bench: Bench) -> None:
    async with running(bench.service()):
        await settled(bench)
        assert bench.done == []
        await pass_days(bench, 1, lambda: bench.outcomes() == [JobOutcome.SUCCEEDED])
    (run,) = bench.history()
    assert (run.actor, run.output) == (CALENDAR, "did backup")
    assert run.planned_at == datetime(2026, 3, 3, 1, 30, tzinfo=UTC)
    assert run.ended_at is not None
    assert "maintenance.finished" in bench.house.kinds()


async def test_what_was_missed_for_a_week_is_caught_up_once(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    async with running(bench.service()):
        await until(lambda: bench.house.clock._sleepers)
    bench.house.clock._elapsed += 7 * DAY
    async with running(bench.service("two")):
        await until(lambda: bench.outcomes() == [JobOutcome.SUCCEEDED])
        await settled(bench)
    assert [name for name, _ in bench.done if name == "backup"] == ["backup"]
    assert bench.history()[0].planned_at == datetime(2026, 3, 9, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "planned"),
    [
        (datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        (datetime(2026, 10, 24, 12, tzinfo=UTC), datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
    ],
)
async def test_in_the_night_in_which_the_clock_changes_a_job_is_done_once(
    sqlite_bench: Bench, start: datetime, planned: datetime
) -> None:
    bench = sqlite_bench
    clock = bench.house.clock = FakeClock(start)
    async with running(bench.service(clock=clock)):
        await settled(bench)
        for _ in range(8):
            clock._elapsed += 3 * 3600
            await settled(bench)
        await until(lambda: len(bench.history()) == 1)
    assert [run.planned_at for run in bench.history()] == [planned]


async def test_of_two_that_both_think_that_they_lead_one_does_the_job(bench: Bench) -> None:
    async with running(bench.service("one")), running(bench.service("two")):
        await settled(bench)
        await pass_days(bench, 1, lambda: bench.outcomes() == [JobOutcome.SUCCEEDED])
        await settled(bench)
    assert [name for name, _ in bench.done if name == "backup"] == ["backup"]


async def test_a_job_that_fails_or_hangs_stops_no_other(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    bench.failing, bench.held = {"backup"}, {"daily-digest": asyncio.Event()}
    async with running(bench.service()):
        await settled(bench)
        await pass_days(bench, 1, lambda: bench.outcomes() == [JobOutcome.FAILED])
        assert bench.history()[0].output == "RuntimeError: no luck"
        bench.failing.clear()
        await pass_days(bench, 1, lambda: bench.outcomes()[0] is JobOutcome.SUCCEEDED)
        assert bench.outcomes("daily-digest") == [JobOutcome.RUNNING]
        bench.held["daily-digest"].set()
        await until(lambda: bench.outcomes("daily-digest")[-1] is JobOutcome.SUCCEEDED)
    assert bench.house.kinds().count("maintenance.failed") == 1


async def test_a_job_that_is_being_done_is_not_begun_a_second_time(bench: Bench) -> None:
    bench.held = {"backup": asyncio.Event()}
    first, second = bench.service("one"), bench.service("two")
    doing = asyncio.create_task(first.run_now("backup", "ada"))
    await until(lambda: bench.done)
    with pytest.raises(ConflictError, match="running already"):
        await second.run_now("backup", "ben")
    bench.held["backup"].set()
    assert (await doing).outcome is JobOutcome.SUCCEEDED
    assert (await second.run_now("backup", "ben")).actor == "ben"
    assert len(bench.history()) == 2


async def test_what_a_person_asks_for_leaves_the_calendar_as_it_is(sqlite_bench: Bench) -> None:
    service = sqlite_bench.service()
    before = {one.job: one.due_at for one in service.statuses()}
    sqlite_bench.failing = {"backup"}
    assert (await service.run_now("backup", "ada")).outcome is JobOutcome.FAILED
    assert {one.job: one.due_at for one in service.statuses()} == before
    with pytest.raises(NotFoundError, match="backup, daily-digest"):
        await service.run_now("back-up", "ada")


async def test_a_job_that_broke_off_is_done_once_more_and_then_left(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    bench.held = {"backup": asyncio.Event()}
    for times in (1, 2):
        async with running(bench.service(str(times))):
            await settled(bench)
            await pass_days(bench, 2 - times, lambda times=times: len(bench.history()) == times)
            await until(lambda times=times: len([1 for name, _ in bench.done if name == "backup"]) == times)
        assert bench.outcomes() == [JobOutcome.INTERRUPTED] * times
    async with running(bench.service("3")):
        await settled(bench)
    assert len(bench.history()) == 2


async def test_what_a_killed_process_was_doing_is_recorded_as_interrupted(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    bench.records.add_run(JobRun("job-1", "backup", "ada", None, bench.house.clock.now()))
    async with running(bench.service()):
        await until(lambda: bench.outcomes() == [JobOutcome.INTERRUPTED])
    assert bench.history()[0].output == "its process ended before the job did"


async def test_a_clock_that_was_years_ahead_for_a_while_stops_no_job_for_years(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    async with running(bench.service()):
        await settled(bench)
        await pass_days(bench, 1000, lambda: bench.outcomes() == [JobOutcome.SUCCEEDED])
        bench.house.clock._elapsed -= 1000 * DAY
        bench.house.clock._sleepers.clear()
    async with running(bench.service("two")):
        await settled(bench)
        await pass_days(bench, 1, lambda: bench.outcomes() == [JobOutcome.SUCCEEDED] * 2)


async def test_what_is_switched_off_is_never_done(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    bench.settings = MaintenanceSettings(jobs={"backup": JobSettings(enabled=False)})
    async with running(bench.service()):
        await settled(bench)
        await pass_days(bench, 3, lambda: bench.outcomes("daily-digest") == [JobOutcome.SUCCEEDED])
        await settled(bench)
    assert bench.history() == ()
    assert {one.job: one.due_at is None for one in bench.service().statuses()}["backup"]


def test_a_duty_is_asked_for_once_a_period_and_signed_once(bench: Bench) -> None:
    now = bench.house.clock.now()
    for period in ("2026-02", "2026-03", "2026-03"):
        bench.records.request_sign_off("contacts", period, now)
    assert [one.period for one in bench.records.list_sign_offs(only_open=True)] == ["2026-03", "2026-02"]
    assert bench.records.sign_off("contacts", "ada", "all reached", now) == 2
    assert bench.records.sign_off("contacts", "ben", "again", now) == 0
    assert {(one.signed_by, one.note) for one in bench.records.list_sign_offs()} == {("ada", "all reached")}
