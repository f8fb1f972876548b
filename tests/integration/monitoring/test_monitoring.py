"""The whole of the monitoring, on a real project folder with a real clock."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.abc
import structlog

from orchestration import logs
from orchestration.alerts.signal import Signal
from orchestration.clock import SystemClock
from orchestration.config.schema import Configuration
from orchestration.domain.run_status import RunStatus
from orchestration.events import Event, EventBus
from orchestration.monitoring import IncidentDiagnosis, Monitoring, MonitoringContext
from orchestration.monitoring.health.dead_man_switch import DeadManSwitch
from orchestration.monitoring.signals.catalogue import SIGNALS
from orchestration.security.redaction import Redactor
from orchestration.security.redaction_events import ReportingRedactor
from orchestration.storage.database import Database
from orchestration.storage.leases import Leases
from orchestration.storage.runs import Run, Runs
from orchestration.storage.timeline import Timeline
from tests.support.patience import fail_after

KEY = "sk-" + "a1b2c3d4e5" * 3


class Variables(dict[str, str]):
    """Credentials by name."""


class House:
    """A project that is monitored, and the signals that came."""

    def __init__(self, root: Path, database: Database, **monitoring: object) -> None:
        self.root = root
        self.database = database
        self.clock = SystemClock()
        self.bus = EventBus(self.clock)
        self.signals: list[Signal] = []
        self.variables = Variables()
        self.configuration = Configuration.model_validate(
            {
                "runtime": {"ollama": {"host": "http://127.0.0.1:9", "defaultModel": "m"}},
                "monitoring": {"resourceSeconds": 0.2, "scanSeconds": 0.2, "deadManSeconds": 0.2, **monitoring},
                "response": {"deadManUrlEnv": "DEAD_MAN"},
            }
        )
        around = MonitoringContext(
            lambda: self.configuration, self.variables, database, self.bus, self.clock, Redactor(), root
        )
        self.monitoring = Monitoring(around, self.take)

    def take(self, signals: Sequence[Signal]) -> None:
        self.signals.extend(signals)

    async def wait_for(self, name: str, condition: Callable[[Signal], bool] = lambda _: True) -> Signal:
        """The first such signal."""
        with fail_after(10):
            while True:
                for signal in self.signals:
                    if signal.name == name and condition(signal):
                        return signal
                await anyio.sleep(0.01)


@asynccontextmanager
async def monitored(root: Path, database: Database, **monitoring: object) -> AsyncIterator[House]:
    house = House(root, database, **monitoring)
    async with house.monitoring.running():
        yield house


async def test_what_happens_here_and_elsewhere_and_what_is_seen_all_arrives(tmp_path: Path, database: Database) -> None:
    Leases(database).acquire("worker/w1", "w1", 60)
    async with monitored(tmp_path, database) as house:
        await house.wait_for("worker_up")
        house.bus.emit(
            "tool_call.refused", run_id="r", agent="executor", about="path", what="/etc", reason="no", assessment="slip"
        )
        told = house.clock.monotonic()
        await house.wait_for("tool_refused")
        assert house.clock.monotonic() - told < 2  # a tenth of a second on a machine with nothing else to do
        elsewhere = Event("run.finished", house.clock.now(), "r-2", data={"status": "failed"})
        Timeline(database).append([elsewhere])
        finished = (await house.wait_for("run_finished")).labels
        assert (finished["run"], finished["outcome"]) == ("r-2", "failed")
        Leases(database).acquire("worker/w1", "w1", -1)
        await house.wait_for("worker_up", lambda one: one.value == 0)
        await house.wait_for("provider_up", lambda one: one.evidence["reason"] == "unreachable")
        for name in ("cpu_percent", "memory_percent", "disk_free_percent", "event_loop_lag_seconds", "database_up"):
            await house.wait_for(name)
        await house.wait_for("database_intact")
    labels = {kind.name: set(kind.labels) for kind in SIGNALS}
    assert all(set(signal.labels) == labels[signal.name] for signal in house.signals)
    rendered = house.monitoring.metrics.render().decode()
    assert 'orchestration_tool_calls_refused_total{about="path",assessment="slip"} 1.0' in rendered
    assert 'orchestration_runs_finished_total{outcome="failed"} 1.0' in rendered
    assert "orchestration_providers_usable 0.0" in rendered


async def test_an_error_in_the_log_of_any_process_is_a_signal_and_is_found_by_its_run(
    tmp_path: Path, database: Database
) -> None:
    logging = logs.configure(tmp_path / "logs", "INFO", Redactor().data)
    try:
        async with monitored(tmp_path, database) as house:
            await house.wait_for("database_up")
            logs.get_logger("x").error("step.failed", run="run-1", message=f"no room, key {KEY}")
            signal = await house.wait_for("log_errors")
    finally:
        logging.close()
        structlog.reset_defaults()
    assert signal.evidence["new"]
    assert KEY not in json.dumps(dict(signal.evidence))
    (entry,) = IncidentDiagnosis(database, tmp_path / "logs").error_lines("run-1")
    assert (entry["event"], KEY in json.dumps(entry)) == ("step.failed", False)


async def test_a_secret_in_a_workspace_is_found_unless_that_is_switched_off(tmp_path: Path, database: Database) -> None:
    work = tmp_path / "work"
    work.mkdir()
    Runs(database).add(Run("run-1", "g", str(work), SystemClock().now(), RunStatus.RUNNING))
    async with monitored(tmp_path, database, scanSecrets=False) as house:
        (work / "a.py").write_text(f"key = '{KEY}'\n")
        await house.wait_for("database_up")
        await anyio.sleep(0.5)
        assert not [signal for signal in house.signals if signal.name == "secret_found"]
        house.configuration = Configuration.model_validate({"monitoring": {"scanSeconds": 0.2}})
        signal = await house.wait_for("secret_found")
    assert (signal.labels["run"], signal.labels["kind"]) == ("run-1", "openai-key")


async def test_what_a_step_elsewhere_has_written_is_found_at_once_however_short_its_run(
    tmp_path: Path, database: Database
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    async with monitored(tmp_path, database, scanSeconds=600) as house:
        await house.wait_for("database_up")
        await anyio.sleep(0.3)  # the first look is over
        now = house.clock.now()
        Runs(database).add(Run("run-1", "g", str(work), now, RunStatus.SUCCEEDED, started_at=now, finished_at=now))
        (work / "a.py").write_text(f"key = '{KEY}'\n")
        Timeline(database).append([Event("run.finished", house.clock.now(), "run-1", data={"status": "succeeded"})])
        told = house.clock.monotonic()
        signal = await house.wait_for("secret_found")
        assert house.clock.monotonic() - told < 2  # under a second on a machine with nothing else to do
    assert signal.labels["run"] == "run-1"


async def test_a_known_vulnerability_is_told(tmp_path: Path, database: Database) -> None:
    advisories = tmp_path / "var" / "advisories"
    advisories.mkdir()
    affected = {
        "package": {"ecosystem": "PyPI", "name": "packaging"},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}],
    }
    record = {"id": "X-1", "modified": "2026-03-01T00:00:00Z", "summary": "bad", "affected": [affected]}
    (advisories / "X-1.json").write_text(json.dumps(record))
    async with monitored(tmp_path, database) as house:
        signal = await house.wait_for("vulnerability")
        assert house.monitoring.vulnerabilities.last is not None
    assert (signal.labels["package"], signal.labels["advisory"]) == ("packaging", "X-1")


async def test_a_database_that_is_damaged_while_everything_runs_is_noticed(tmp_path: Path, database: Database) -> None:
    Timeline(database).append([Event("filler", SystemClock().now(), data={"text": "mend it " * 40})] * 600)
    path = Path(str(database.engine.url.database))
    # Whoever reads a damaged file fails, and says so at length.
    with structlog.testing.capture_logs():
        await damage_while_running(tmp_path, database, path)


async def damage_while_running(root: Path, database: Database, path: Path) -> None:
    async with monitored(root, database, integritySeconds=0.2) as house:
        await house.wait_for("database_intact", lambda one: one.value == 1)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with path.open("r+b") as file:
            file.seek(4096 * 20)
            file.write(b"\xa5" * 4096 * 40)
        damaged = await house.wait_for("database_intact", lambda one: one.value == 0)
    assert damaged.evidence["findings"]


async def test_no_secret_reaches_the_sink_in_evidence(tmp_path: Path, database: Database) -> None:
    async with monitored(tmp_path, database) as house:
        house.bus.emit("tool_call.refused", run_id="r", agent="executor", about="command", what=f"curl -H {KEY}")
        signal = await house.wait_for("tool_refused")
    assert signal.evidence == {"what": "curl -H [redacted:openai-key]", "reason": "", "because": ""}


async def test_what_redaction_catches_in_an_agents_text_is_a_signal(tmp_path: Path, database: Database) -> None:
    async with monitored(tmp_path, database) as house:
        ReportingRedactor(Redactor(), house.bus, house.clock).text(f"use {KEY} {KEY}", "a model's answer")
        signal = await house.wait_for("secret_found")
    assert (signal.labels["kind"], signal.labels["place"], signal.value) == ("openai-key", "a model's answer", 2)
    assert signal.evidence == {"redacted": True, "suspected": False}
    assert "orchestration_secrets_found_total 2.0" in house.monitoring.metrics.render().decode()


async def test_a_route_that_opens_anywhere_makes_its_provider_unusable(tmp_path: Path, database: Database) -> None:
    async with monitored(tmp_path, database) as house:
        await house.wait_for("provider_up", lambda one: one.labels["provider"] == "ollama")
        data = {"route": "ollama/m", "provider": "ollama", "reason": "retired", "detail": "gone for good"}
        Timeline(database).append([Event("route.opened", house.clock.now(), data=data)])
        signal = await house.wait_for("provider_up", lambda one: one.evidence["reason"] == "retired")
    assert signal.evidence["detail"] == "gone for good"
    rendered = house.monitoring.metrics.render().decode()
    assert 'orchestration_route_changes_total{provider="ollama",state="open"} 1.0' in rendered


async def test_gauges_become_samples(tmp_path: Path, database: Database) -> None:
    async with monitored(tmp_path, database) as house:
        await house.wait_for("memory_percent")
        house.monitoring._sample_writer.write()
        now = house.clock.now()
        (series,) = house.monitoring.samples.query("memory_percent", now.replace(hour=0, minute=0), now, now)
    assert series.points[0][1] > 0


class Receiver:
    """An HTTP server that counts what it is asked, and answers with a status."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.status = 200
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Receiver]:
        async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0) as listener:
            port = listener.extra(anyio.abc.SocketAttribute.local_port)
            self.url = f"http://127.0.0.1:{port}/ping/s3cret-token"
            async with anyio.create_task_group() as group:
                group.start_soon(listener.serve, self._answer)
                yield self
                group.cancel_scope.cancel()

    async def _answer(self, stream: anyio.abc.SocketStream) -> None:
        async with stream:
            self.asked.append((await stream.receive()).decode().partition("\r\n")[0])
            await stream.send(f"HTTP/1.1 {self.status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())


async def test_the_dead_man_address_is_asked_while_all_is_well(tmp_path: Path, database: Database) -> None:
    async with Receiver().running() as receiver, monitored(tmp_path, database) as house:
        house.variables["DEAD_MAN"] = receiver.url
        with fail_after(10):
            while len(receiver.asked) < 2:
                await anyio.sleep(0.01)
    assert receiver.asked[0] == "GET /ping/s3cret-token HTTP/1.1"


async def test_the_dead_man_address_is_left_alone_while_something_lags_and_never_shown() -> None:
    with structlog.testing.capture_logs() as log:
        await ask_a_dead_man()
    # A status, and no answer. A thread that an earlier test has left to itself may say something, too.
    assert [entry["event"] for entry in log if entry["event"].startswith("dead_man")] == ["dead_man.unanswered"] * 2
    assert "s3cret" not in str(log)


async def ask_a_dead_man() -> None:
    healthy = False
    async with Receiver().running() as receiver:
        url: str | None = receiver.url
        dead_man = DeadManSwitch(lambda: url, lambda: healthy)
        assert not await dead_man.ping()
        assert receiver.asked == []
        healthy = True
        assert await dead_man.ping()
        receiver.status = 500
        assert [await dead_man.ping() for _ in range(3)] == [False] * 3
        url = None
        assert not await dead_man.ping()
        assert len(receiver.asked) == 4
    url = receiver.url
    assert not await dead_man.ping()


async def test_what_was_to_be_seen_before_the_start_is_recalled_from_events_and_log(
    tmp_path: Path, database: Database
) -> None:
    now = SystemClock().now()
    failed = {"source": "10.0.0.9", "user": "ada"}
    moments = [now - timedelta(seconds=ago) for ago in (4000, 30, 20)]
    Timeline(database).append([Event("sign_in.failed", at, data=failed) for at in moments])
    (tmp_path / "logs").mkdir()
    entries = [
        {"at": (now - timedelta(seconds=ago)).isoformat(), "level": level, "event": "x.failed", "message": "no"}
        for ago, level in ((4000, "ERROR"), (25, "ERROR"), (24, "INFO"))
    ]
    lines = [json.dumps(entry) for entry in (*entries, {"level": "ERROR", "at": "soon"})]
    (tmp_path / "logs" / "orchestrator.jsonl").write_text("".join(f"{line}\n" for line in lines))
    recalled = House(tmp_path, database).monitoring.recall(3600)
    assert [signal.name for signal in recalled] == ["sign_in_failed", "log_errors", "sign_in_failed"]
    assert recalled[0].at == moments[1]
    assert recalled[1].evidence["new"] is False
