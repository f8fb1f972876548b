"""The clock of the machine is set back or forth while an incident is open, over restarts and in several processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.app.recorded_time import ClockWatch, follow_recorded_time
from orchestration.clock import SystemClock
from orchestration.domain.incident_status import IncidentStatus
from orchestration.events import Event, EventBus
from orchestration.incidents.service import IncidentService, Ports
from orchestration.storage.database import Database
from orchestration.storage.leases import Leases
from orchestration.storage.outbox import Outbox
from orchestration.storage.recorded_time import TIME_OF_LEASE
from tests.support import prefork
from tests.support.console import environment
from tests.support.database import migrated
from tests.support.incidents import a_report, plan, some_settings
from tests.support.patience import until

HOUR = 3600.0
TICK = 40.0
# As `some_settings` has it: the second level ten minutes after the first, the third twenty minutes later.
LEVELS_DUE = {"ben": 600.0, "cleo": 1800.0}


class Machine:
    """A machine whose clock can be set, with a process on a real database that can be started anew."""

    def __init__(self, database: Database) -> None:
        self.passed, self.offset = 0.0, 1_800_000_000.0
        self.database = database
        self.outbox = Outbox(database)
        self.leases = Leases(database)
        self.restart()

    def restart(self) -> None:
        self.clock = SystemClock(lambda: self.offset + self.passed, lambda: self.passed)
        follow_recorded_time(self.clock, self.database)
        ports = Ports(some_settings, plan, lambda data: data)
        self.service = IncidentService(self.database, EventBus(self.clock), self.clock, ports)

    def go_on(self, seconds: float) -> None:
        """Let time pass, and do what is due."""
        end = self.passed + seconds
        while self.passed < end:
            self.passed = min(end, self.passed + TICK)
            self.service.fire_due_timers(self.clock.now())
            # As a control process renews its lease.
            self.leases.acquire("control/a", "a", 10, {TIME_OF_LEASE: self.clock.now().timestamp()})

    def told(self, incident_id: str) -> dict[str, float]:
        """When the outbox of an incident got its first message for each contact, in seconds that have really passed."""
        return {row.contact: row.created_at.timestamp() for row in reversed(self.outbox.list_for_incident(incident_id))}


# What happens before each wait: the clock is set, or the process starts anew.
changes = st.lists(st.one_of(st.none(), st.just("restart"), st.floats(-2 * HOUR, 0).map(float)), min_size=1, max_size=5)


@settings(max_examples=15)
@given(changes)
def test_pages_keep_their_times_and_the_timeline_its_order_however_the_clock_is_set_back(
    given: list[str | float | None],
) -> None:
    with TemporaryDirectory() as folder, closing(migrated(f"sqlite:///{Path(folder)}/o.db")) as database:
        here = Machine(database)
        incident = here.service.open_or_join(a_report(at=here.clock.now()))
        called: dict[str, float] = {}
        share = 2200 / len(given)
        for change in given:
            match change:
                case "restart":
                    here.restart()
                case float() as seconds:
                    here.offset += seconds
            end = here.passed + share
            while here.passed < end:
                here.go_on(TICK)
                for name in here.told(incident.id):
                    called.setdefault(name, here.passed)
        for name, due in LEVELS_DUE.items():
            # A tenth later while the clock catches up.
            assert due - TICK <= called[name] <= due / 0.9 + 3 * TICK, name
        here.service.mark_cleared(incident.key, here.clock.now())
        here.go_on(some_settings().stability_seconds / 0.9 + 2 * TICK)
        assert here.service.records.get(incident.id).status is IncidentStatus.RESOLVED
        times = [entry.at for entry in here.service.records.table.list_entries(incident.id)]
        assert times == sorted(times)


def test_a_step_forth_calls_one_level() -> None:
    with TemporaryDirectory() as folder, closing(migrated(f"sqlite:///{Path(folder)}/o.db")) as database:
        here = Machine(database)
        incident = here.service.open_or_join(a_report(at=here.clock.now()))
        here.offset += 10 * HOUR
        here.go_on(TICK)
        assert set(here.told(incident.id)) == {"ada", "ben"}
        here.go_on(1300)
        assert set(here.told(incident.id)) == {"ada", "ben", "cleo"}


def test_a_clock_that_is_set_back_is_reported_once() -> None:
    offset = [0.0]
    clock = SystemClock(lambda: 1_800_000_000.0 + offset[0], lambda: 0.0)
    bus, heard = EventBus(clock), list[Event]()
    bus.subscribe(heard.append)
    watch = ClockWatch(clock, bus)
    for step in (0.0, -HOUR, 0.0, HOUR, -HOUR):
        clock.now()
        offset[0] += step
        watch.check()
    assert [(event.kind, event.data) for event in heard] == [("clock.set_back", {"seconds": HOUR})] * 2


@contextmanager
def a_process(database: Path, offset: Path, *response: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.integration.incidents.clock_process", str(database), str(offset), *response]
    with prefork.Program(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def tell(process: subprocess.Popen[str], command: str) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{command}\n")
    process.stdin.flush()
    assert process.stdout.readline().strip() == f"done {command}"


def test_two_processes_go_on_by_one_time_when_the_clock_is_set_back_an_hour(tmp_path: Path) -> None:
    file, offset = tmp_path / "o.db", tmp_path / "offset"
    offset.write_text("0")
    with closing(migrated(f"sqlite:///{file}")) as database:
        records = IncidentService(
            database, EventBus(SystemClock()), SystemClock(), Ports(some_settings, plan, lambda data: data)
        ).records

        def told() -> set[str]:
            (row,) = records.table.list()
            return {message.contact for message in Outbox(database).list_for_incident(row.id)}

        with a_process(file, offset) as first:
            tell(first, "open")
            offset.write_text("-3600")
            until(lambda: "ben" in told(), 20, "the second level was not paged")
            with a_process(file, offset) as second:
                first.kill()
                until(lambda: "cleo" in told(), 10, "the third level was not paged")
                tell(second, "clear")
                (row,) = records.table.list()
                until(lambda: records.get(row.id).status is IncidentStatus.RESOLVED, 10, "it does not end")
        entries = records.table.list_entries(row.id)
        assert [entry.at for entry in entries] == sorted(entry.at for entry in entries)
        assert entries[-1].at - entries[0].at < timedelta(minutes=10)
