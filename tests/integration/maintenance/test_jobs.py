"""Every job on a real project: what the reports say of what is there, and what retention takes away."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from orchestration.app import Application, application
from orchestration.app.maintenance import ProjectMaintenance, reports_folder
from orchestration.config.maintenance import DEFAULT_CRONS
from orchestration.domain.alert_status import AlertStatus
from orchestration.domain.run_status import RunStatus
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.events import Event
from orchestration.incidents.commands.action_items import AddActionItem
from orchestration.incidents.commands.resolution import Resolve
from orchestration.incidents.model import person
from orchestration.incidents.report import Facts, TroubleReport
from orchestration.maintenance.jobs import SIGN_OFFS
from orchestration.maintenance.service import BackupService
from orchestration.monitoring.collectors.databases import DatabaseWatch
from orchestration.storage.alerts import AlertRow
from orchestration.storage.maintenance import JobOutcome
from orchestration.storage.outbox import Outbox, OutboxRow
from orchestration.storage.runs import WORKTREE, Run
from orchestration.workflows.engine import JSON, Flow, FlowState, untyped
from tests.support.console import REPOSITORY
from tests.support.repositories import git, make_repository

PARENT = untyped("parent")
CHILD = untyped("child")

NOW = datetime.now(UTC)
OLD = NOW - timedelta(days=40)
ADVISORY = {
    "id": "PYSEC-1",
    "modified": NOW.isoformat(),
    "summary": "it leaks",
    "affected": [
        {
            "package": {"name": "click", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}],
        }
    ],
}


@asynccontextmanager
async def a_room(tmp_path: Path, **maintenance: Any) -> AsyncIterator[tuple[Application, ProjectMaintenance]]:
    document = json.loads((REPOSITORY / "config" / "agents.config.json").read_text(encoding="utf-8"))
    document["runtime"]["defaultProvider"] = "rehearsal"
    document["response"] = {"contacts": [{"id": "ada", "level": 1, "channels": [{"channel": "log"}]}]}
    document["maintenance"] = maintenance
    file = tmp_path / "config" / "agents.config.json"
    file.parent.mkdir()
    file.write_text(json.dumps(document), encoding="utf-8")
    async with application(str(file)) as app:
        yield app, ProjectMaintenance(app)


async def done(room: ProjectMaintenance, job: str) -> str:
    run = await room.service.run_now(job, "ada")
    assert run.outcome is JobOutcome.SUCCEEDED, run.output
    return run.output


def report_of(app: Application, name: str) -> str:
    (path,) = reports_folder(app).glob(f"{name}-*.md")
    return path.read_text(encoding="utf-8")


def outbox(app: Application) -> list[OutboxRow]:
    with app.database.read() as connection:
        names = connection.exec_driver_sql("SELECT DISTINCT incident_id FROM outbox").scalars().all()
    return [row for name in names for row in Outbox(app.database).list_for_incident(str(name))]


async def test_every_job_there_is_can_be_done_on_an_empty_project(tmp_path: Path) -> None:
    async with a_room(tmp_path) as (app, room):
        assert {one.job for one in room.service.statuses()} == set(DEFAULT_CRONS)
        for job in DEFAULT_CRONS:
            await done(room, job)
        told = {(row.kind, row.contact, row.channel) for row in outbox(app)}
        assert told == {("report", "ada", "log"), ("test", "ada", "log")}
        assert {one.duty for one in room.records.list_sign_offs(only_open=True)} == set(SIGN_OFFS)


def an_incident(app: Application, key: str, title: str, at: datetime, **facts: Any) -> str:
    report = TroubleReport(key, Scenario.CONTROL_PLANE, title, "it broke", Facts(**facts), at, started_at=at)
    return app.incident_service.open_or_join(report).id


def an_alert(name: str, since: datetime, status: AlertStatus = AlertStatus.FIRING) -> AlertRow:
    return AlertRow(
        name, f"f-{name}", name, status, "monitoring", "control-plane", name, {}, 1.0, {}, since, since, since
    )


async def test_the_digest_says_what_happened_over_night(tmp_path: Path) -> None:
    async with a_room(tmp_path) as (app, room):
        lines = [
            {"at": (NOW - timedelta(days=2)).isoformat(), "level": "ERROR", "event": "x", "message": "an old thing"},
            {"at": (NOW - timedelta(hours=2)).isoformat(), "level": "ERROR", "event": "x", "message": "an old thing"},
            {"at": (NOW - timedelta(hours=1)).isoformat(), "level": "ERROR", "event": "y", "message": "key sk-proj-"},
        ]
        with (app.log_folder / "orchestrator.jsonl").open("a") as log:
            log.writelines(json.dumps(line) + "\n" for line in lines)
        an_incident(app, "a", "Providers are down", NOW - timedelta(hours=3), declared=Severity.P1)
        app.alerts.save([an_alert("cpu-high", NOW - timedelta(hours=3))])
        app.runs.add(Run("run-1", "g", "/w", NOW, RunStatus.FAILED, "the | model gave up", finished_at=NOW))
        app.runs.add(Run("run-2", "g", "/w", OLD, RunStatus.FAILED, "long ago", finished_at=OLD))
        await done(room, "backup")
        await done(room, "daily-digest")
        text = report_of(app, "daily-digest")
    assert "errors in the log: 2 of 2 kinds, 1 of them new" in text
    assert "incidents: 1 open, 0 ended" in text
    assert "alerts: 1 firing" in text
    assert "backups: 1 good, the newest 0 s old" in text
    assert "| run-1 | failed | the \\| model gave up |" in text
    assert "Providers are down" in text
    assert "run-2" not in text


async def test_a_digest_is_sent_once_a_day_however_often_it_is_written(tmp_path: Path) -> None:
    async with a_room(tmp_path) as (app, room):
        await done(room, "daily-digest")
        await done(room, "daily-digest")
        (row,) = outbox(app)
        assert row.payload["subject"].startswith("[REPORT] Daily digest, ")
        assert "errors in the log: 0" in row.payload["body"]
        assert not row.stops_on_acknowledge


async def test_no_secret_gets_into_a_report(tmp_path: Path) -> None:
    secret = "ghp_" + "a1B2" * 9
    async with a_room(tmp_path) as (app, room):
        app.runs.add(Run("run-1", "g", "/w", NOW, RunStatus.FAILED, f"refused {secret}", finished_at=NOW))
        await done(room, "daily-digest")
        assert "run-1" in report_of(app, "daily-digest")
        assert secret not in report_of(app, "daily-digest")
        assert secret not in str(outbox(app))


async def test_the_weekly_report_has_figures_sla_lasting_alerts_audit_and_action_items(tmp_path: Path) -> None:
    async with a_room(tmp_path) as (app, room):
        advisories = tmp_path / "var" / "advisories"
        advisories.mkdir()
        (advisories / "one.json").write_text(json.dumps(ADVISORY))
        ada = person("ada")
        incident = an_incident(app, "a", "Down", NOW - timedelta(days=1), declared=Severity.P1)
        app.incident_service.execute(incident, ada, Resolve("restarted it", "a bad update", anyway=True))
        app.incident_service.execute(incident, ada, AddActionItem("pin the version", "ada", NOW.date()))
        an_incident(app, "b", "Down before", NOW - timedelta(days=9), declared=Severity.P2)
        app.alerts.save([an_alert("lasting", NOW - timedelta(days=8)), an_alert("fresh", NOW - timedelta(days=1))])
        await done(room, "weekly-report")
        text = report_of(app, "weekly-report")
    assert "incidents: 1, 1 in the week before" in text
    assert "SLA resolution:" in text
    assert "| lasting | 8 d" in text
    assert "fresh" not in text
    assert "| click |" in text
    assert "PYSEC-1" in text
    assert f"- {incident}: pin the version (ada, due {NOW.date()})" in text


async def test_the_trend_shows_the_months_side_by_side(tmp_path: Path) -> None:
    async with a_room(tmp_path) as (app, room):
        for number, at in enumerate((NOW - timedelta(days=1), OLD, OLD - timedelta(days=300))):
            an_incident(app, f"k{number}", "Down", at, declared=Severity.P2)
        await done(room, "trend-report")
        text = report_of(app, "trend-report")
    assert f"| {OLD:%Y-%m} | 1 |" in text
    assert f"| {NOW - timedelta(days=1):%Y-%m} | 1 |" in text
    assert f"{OLD - timedelta(days=300):%Y-%m}" not in text
    assert "| control-plane | unknown | 0 | 0 |" in text


async def body(flow: Flow, _: Any) -> Any:
    async def step() -> str:
        return "done"

    child = await flow.start(CHILD, f"{flow.id}.child", None) if not flow.id.endswith(".child") else None
    return [await flow.step("one", JSON, step), await flow.result(child) if child else None]


def set_back(tmp_path: Path, *flow_ids: str) -> None:
    """Let flows have ended long ago."""
    with closing(sqlite3.connect(tmp_path / "var" / "engine.db")) as connection, connection:
        for flow_id in flow_ids:
            connection.execute(
                "UPDATE workflow_status SET completed_at = ? WHERE workflow_uuid LIKE ?",
                (int(OLD.timestamp() * 1000), f"{flow_id}%"),
            )


async def test_retention_forgets_flows_that_ended_long_ago_with_all_their_steps(tmp_path: Path) -> None:
    async with a_room(tmp_path) as (app, room):
        for kind in (PARENT, CHILD):
            app.engine.register(kind, body)
        for name, status in (("run-1", "succeeded"), ("run-2", "succeeded"), ("run-3", "stopped")):
            app.runs.add(Run(name, "g", "/w", OLD, RunStatus(status)))
            await app.engine.start(PARENT, name, None)
            await app.engine.result(name)
        set_back(tmp_path, "run-1", "run-3")
        said = await done(room, "retention")
        assert "2 flows of the engine" in said
        assert await app.engine.tree("run-1") == ()
        assert await app.engine.steps("run-1") == ()
        # Ended lately; and stopped, but to be resumed.
        for name in ("run-2", "run-3"):
            assert [flow.state for flow in await app.engine.tree(name)] == [FlowState.SUCCEEDED] * 2


def aged(path: Path, days: int = 40, size: int = 1000) -> Path:
    """A file that was last written so many days ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    moment = (NOW - timedelta(days=days)).timestamp()
    for each in (path, path.parent) if path.parent.name.startswith("run-") else (path,):
        os.utime(each, (moment, moment))
    return path


async def test_retention_deletes_our_own_old_files_and_nothing_else(tmp_path: Path) -> None:
    async with a_room(tmp_path) as (app, room):
        for name, status in (("run-1", "succeeded"), ("run-2", "waiting")):
            app.runs.add(Run(name, "g", "/w", OLD, RunStatus(status)))
        logs, artifacts = tmp_path / "logs", tmp_path / "artifacts"
        goes = [
            aged(logs / "orchestrator.log.20260101T000000.123Z"),
            aged(logs / "orchestrator.jsonl.20260101T000000.123Z.gz"),
            aged(artifacts / "run-1" / "plan.md"),
        ]
        stays = [
            aged(logs / "orchestrator.log.20260301T000000.123Z", days=3),
            aged(logs / "orchestrator.notes"),
            aged(logs / "mine.log"),
            aged(artifacts / "run-2" / "plan.md"),
            aged(artifacts / "run-9" / "nobody-knows-it.md"),
            logs / "orchestrator.log",
        ]
        said = await done(room, "retention")
        assert "2 (2,000 bytes) of logs, 1 (1,000 bytes) of artifacts" in said
        assert [path for path in goes if path.exists()] == []
        assert [path for path in stays if not path.exists()] == []


async def test_the_worktrees_of_old_runs_go_and_what_nobody_has_applied_stays_on_their_branches(tmp_path: Path) -> None:
    project = make_repository(tmp_path / "project")
    async with a_room(tmp_path) as (app, room):
        tops = {}
        for name, status, age in (
            ("run-1", "failed", OLD),  # changed a file, and nobody has committed it
            ("run-2", "succeeded", OLD),  # changed nothing
            ("run-3", "failed", NOW),  # is not old
            ("run-4", "failed", OLD),  # holds a secret, which gets into no commit
            ("run-5", "waiting", OLD),
            ("run-6", "succeeded", NOW),  # applied two days ago
            ("run-7", "failed", OLD),  # its folder was deleted by hand
        ):
            folder = app.state_folder / "worktrees" / name / "project"
            finished = None if status == "waiting" else age
            run = Run(name, f"goal of {name}", str(project), OLD, RunStatus(status), finished_at=finished)
            app.runs.add(replace(run, options={WORKTREE: str(folder)}))
            await app.workspaces.open(app.runs.get(name))
            aged(app.state_folder / "shadow" / f"{name}.git" / "description")
            os.utime(app.state_folder / "shadow" / f"{name}.git", (0, 0))
            tops[name] = folder
        for name in ("run-1", "run-3", "run-5", "run-6"):
            (tops[name] / "new.txt").write_text(name)
        (tops["run-4"] / "keys.txt").write_text("ghp_" + "A1b2C3d4E5" * 3)
        app.workspaces.worktrees.mark_applied("run-6", NOW - timedelta(days=2))
        shutil.rmtree(tops["run-7"])
        said = await done(room, "retention")
        assert {name for name, folder in tops.items() if folder.exists()} == {"run-3", "run-4", "run-5"}
        assert "4 worktrees; changes that nobody has applied stay on orchestrator/run-1; kept: " in said
        assert "keys.txt hold a secret" in said
        assert git(project, "show", "orchestrator/run-1:new.txt") == "run-1"
        # Where the worktree stays, what it was before is known, too.
        assert (app.state_folder / "shadow" / "run-4.git").exists()
        assert git(project, "worktree", "list").count("\n") == 4


async def test_beyond_the_limit_for_their_size_the_artifacts_of_the_oldest_ended_runs_go(tmp_path: Path) -> None:
    async with a_room(tmp_path, artifactsMegabytes=1) as (app, room):
        files = []
        for number, status in enumerate(("waiting", "succeeded", "succeeded", "succeeded")):
            app.runs.add(Run(f"run-{number}", "g", "/w", NOW, RunStatus(status)))
            files.append(aged(tmp_path / "artifacts" / f"run-{number}" / "big", days=1, size=400_000))
        await done(room, "retention")
        assert [path.exists() for path in files] == [True, False, False, True]


async def test_retention_deletes_old_events_but_not_those_of_unfinished_runs_nor_the_last_backup(
    tmp_path: Path,
) -> None:
    async with a_room(tmp_path) as (app, room):
        app.runs.add(Run("run-1", "g", "/w", OLD, RunStatus.SUCCEEDED, finished_at=OLD))
        app.runs.add(Run("run-2", "g", "/w", OLD, RunStatus.WAITING))
        beat = {"agent_run_id": "run-1.a", "activity": "writes", "tokens": 1}
        app.timeline.save_heartbeats([Event("agent.progress", OLD, "run-1", "a", data=beat)])
        app.timeline.append([Event("backup.made", OLD), *[Event("run.started", OLD, "run-1")] * 5])
        app.timeline.append([Event("run.started", OLD, "run-2"), Event("run.started", NOW, "run-1")])
        resolved = an_alert("over", OLD, AlertStatus.RESOLVED)
        app.alerts.save([resolved, replace(an_alert("lasting", OLD), id="lasting")])
        assert "5 events, 1 heartbeats, 0 calls, 1 alerts, 0 responses" in await done(room, "retention")
        assert [event.at for _, event in app.timeline.list("run-2")] == [OLD]
        assert len(app.timeline.list("run-1")) == 1
        last = app.timeline.find_last("backup.made")
        assert last is not None
        assert last.at == OLD
        assert [row.id for row in app.alerts.list()] == ["lasting"]


async def test_the_playbooks_get_integrity_a_rehearsal_and_a_backup(tmp_path: Path) -> None:
    async with a_room(tmp_path) as (app, room):
        said: list[Event] = []
        app.bus.subscribe(said.append)
        upkeep = room.upkeep
        assert await upkeep.backups() == []
        nothing = await upkeep.rehearse_restore()
        assert (nothing["restored"], "expected the name of one backup" in nothing["problems"][0]) == (False, True)
        assert await upkeep.integrity() == {"intact": True, "problems": [], "audit_checked": True}
        made = await upkeep.back_up()
        (listed,) = await upkeep.backups()
        assert listed["backup"] == made["backup"]
        assert 0 <= listed["age_seconds"] < 60
        tried = await upkeep.rehearse_restore()
        assert (tried["restored"], tried["backup"], tried["problems"]) == (True, made["backup"], [])
        next((tmp_path / "var" / "backups").glob("*/engine.db.gz")).write_bytes(b"damaged")
        tried = await upkeep.rehearse_restore()
        assert (tried["restored"], len(tried["problems"])) == (False, 1)
        kinds = [event.kind for event in said if event.kind.startswith("backup.")]
        assert kinds == ["backup.made", "backup.rehearsed", "backup.failed"]


async def test_the_playbooks_hear_of_a_damaged_database(tmp_path: Path) -> None:
    async with a_room(tmp_path) as (_, room):
        with closing(sqlite3.connect(tmp_path / "var" / "engine.db")) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        with (tmp_path / "var" / "engine.db").open("r+b") as file:
            file.seek(40_000)
            file.write(os.urandom(20_000))
        found = await room.upkeep.integrity()
    assert not found["intact"]
    assert "engine.db" in found["problems"][0]


async def test_a_broken_chain_of_the_audit_log_is_no_whole_database(tmp_path: Path) -> None:
    async with a_room(tmp_path) as (app, room):
        watch = DatabaseWatch(app.database, app.clock)
        upkeep = BackupService(room.vault, watch, app.clock, app.bus, audit=lambda: ["line 7 was changed"])
        found = await upkeep.integrity()
    assert found == {"intact": False, "problems": ["line 7 was changed"], "audit_checked": True}
