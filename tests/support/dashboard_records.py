"""Records that fill every page of the dashboard: incidents in several states, alerts, samples, calls with fallbacks."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

from orchestration.app.maintenance import reports_folder, vault_of
from orchestration.app.project import ProjectRecords
from orchestration.domain.alert_status import AlertStatus
from orchestration.domain.playbook_state import ActionState, PlaybookRunState
from orchestration.domain.run_status import RunStatus
from orchestration.domain.scenario import Scenario
from orchestration.events import Event
from orchestration.ids import new_id
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.commands.mitigation import BeginMitigation
from orchestration.incidents.commands.note import RecordLikelyCauses
from orchestration.incidents.commands.resolution import Resolve
from orchestration.incidents.model import Actor, Incident, person
from orchestration.incidents.report import BlastRadius, Facts, TroubleReport
from orchestration.security.audit_trail import AuditTrail
from orchestration.storage.alerts import AlertRow
from orchestration.storage.audit import AuditTable
from orchestration.storage.charge import Charge
from orchestration.storage.drills import DrillHistory, DrillRecord
from orchestration.storage.maintenance import MaintenanceRecords
from orchestration.storage.playbooks import ActionRun, GuardTrip, PlaybookRecords, PlaybookRun, RankedHypothesis
from orchestration.storage.runs import Run
from orchestration.storage.samples import Samples, StoredSample
from orchestration.storage.silences import SilenceKind, SilenceRow
from orchestration.storage.spend import Spend
from orchestration.workflows.processes import this_process

BEN = person("ben")


def declare(here: ProjectRecords, key: str, title: str, facts: Facts, **values: Any) -> Incident:
    """An incident, detected now."""
    scenario = values.pop("scenario", Scenario.AGENT_FAILURE)
    summary = values.pop("summary", "3 of its last 4 steps failed")
    return here.incident_service.open_or_join(
        TroubleReport(key, scenario, title, summary, facts, here.clock.now(), **values)
    )


def fill(here: ProjectRecords) -> dict[str, Incident]:
    """Fill all pages; returns the incidents by a word for each."""
    worst = declare(
        here, "db", "the database does not answer", Facts(database_unreachable=True), scenario=Scenario.CONTROL_PLANE,
        summary="no query has returned for 40 s",
        evidence=({"query": "SELECT 1", "error": "timeout", "seconds": 40.2},),
        blast_radius=BlastRadius(hosts=("box-1",)),
    )  # fmt: skip
    taken = declare(
        here, "agent:executor", "the executor fails repeatedly", Facts(agents_failing=1, agents_total=4),
        blast_radius=BlastRadius(agents=("executor",), providers=("ollama",)),
    )  # fmt: skip
    here.incident_service.execute(taken.id, BEN, Acknowledge())
    here.incident_service.execute(
        taken.id, Actor("playbook:agent-failure"), BeginMitigation("restart the agent with another provider")
    )
    over = declare(here, "provider:azure", "azure is slow", Facts(latency_ratio=3.0), drill=True)
    here.incident_service.execute(over.id, BEN, Resolve("it went away by itself", anyway=True))
    owing = declare(here, "provider:openai", "openai answers 429", Facts(providers_down=1, providers_usable=1))
    here.incident_service.execute(owing.id, BEN, Acknowledge())
    here.incident_service.execute(owing.id, BEN, Resolve("the fallback took over", "a burst of runs", anyway=True))
    _alerts(here)
    _samples(here)
    respond(here, taken.id)
    _upkeep(here)
    return {"worst": worst, "taken": taken, "over": over, "owing": owing}


def respond(here: ProjectRecords, incident_id: str, number: int = 1) -> None:
    """A playbook's run on an incident that has helped, with an action that can be undone, one held back, and its guard
    tripped."""
    now, records, run_id = here.clock.now(), PlaybookRecords(here.database), f"playbook-run-{number}"
    cause = RankedHypothesis("quota", "its quota is used up", 80, {"probe.status": 429})
    found = RecordLikelyCauses((f"{cause.summary} ({cause.weight} of 100)",))
    here.incident_service.execute(incident_id, Actor("playbook:provider-unavailable"), found)
    records.add_run(
        PlaybookRun(
            run_id, incident_id, "provider-unavailable", 1, now, PlaybookRunState.HELPED, "document",
            "the next provider took over", [cause], finished_at=now,
        )
    )  # fmt: skip
    about: dict[str, Any] = {"run_id": run_id, "incident_id": incident_id, "started_at": now, "actor": "playbook:p"}
    records.save_action(
        ActionRun(
            key=f"{run_id}/pause", phase="mitigate", step="pause", action="run.pause", risk="reversible",
            mode="auto", state=ActionState.DONE, summary="paused run-nightly, whose priority is low",
            evidence={"running": 8}, undo={"runs": ["run-nightly"]}, **about,
        )
    )  # fmt: skip
    records.save_action(
        ActionRun(
            key=f"{run_id}/restart", phase="mitigate", step="restart", action=f"restart-worker-{number}",
            risk="disruptive", mode="ask", state=ActionState.LEFT_OUT, guard="hourly-cap",
            summary="already ran 3 times in an hour", **about,
        )
    )  # fmt: skip
    trip = GuardTrip(f"trip-{number}", "hourly-cap", f"restart-worker-{number}", incident_id, "3 times in an hour", now)
    records.add_trip(trip)


def finished_run(here: ProjectRecords, number: int = 1, calls: int = 4, at: datetime | None = None) -> Run:
    """A run that has come to its end, with an agent whose model calls were retried, fell back and failed."""
    end = at or here.clock.now()
    name = f"run-finished{number:05d}"
    run = Run(
        id=name, goal=f"make the tests of part {number} pass", workspace="/tmp/work", status=RunStatus.SUCCEEDED,
        created_at=end - timedelta(seconds=62), started_at=end - timedelta(seconds=60), finished_at=end,
        outcome={"use": _use(calls)},
    )  # fmt: skip
    here.runs.add(run)
    here.timeline.append([_event(one, name, end, calls) for one in range(-1, calls + 2)])
    for one in range(calls):
        Spend(here.database).add(
            Charge(f"{name}.planner/{one}", name, "planner", "ollama", "small", 700, 200, 0.005, end)
        )
    return run


def _event(number: int, run_id: str, end: datetime, calls: int) -> Event:
    agent, lane = "planner", f"{run_id}.planner"
    at = end - timedelta(seconds=60 - 55 * (number + 1) / (calls + 2))
    if number == -1:
        return Event("agent.started", at, run_id, agent, data={"agent_run_id": lane, "title": "make a plan"})
    if number == calls + 1:
        data = {"agent_run_id": lane, "failing": None, "use": _use(calls)}
        return Event("agent.finished", at, run_id, agent, data=data)
    if number == calls:
        about = {"tool": "run_command", "about": "python -m unittest", "ok": False, "seconds": 1.2}
        return Event("tool_call.finished", at, run_id, agent, data={"key": f"{lane}/{number}", **about})
    tries = [_try("ollama/small", "rate_limited", 429), _try("azure/large", "ok", 200)]
    return Event(
        "model_call.finished", at, run_id, agent,
        data={
            "key": f"{lane}/{number}", "outcome": "ok", "seconds": 4.0, "tries": tries[number % 2 :],
            "route": "azure/large", "first_token_seconds": 0.4, "tokens": 900, "prompt_tokens": 700,
            "completion_tokens": 200, "estimated": False, "usd": 0.005, "rehearsal": False,
        },
    )  # fmt: skip


def _use(calls: int) -> dict[str, Any]:
    return {"seconds": 55.0, "model_calls": calls, "tokens": 900 * calls, "usd": 0.005 * calls, "rehearsal": False}


def _try(route: str, outcome: str, status: int) -> dict[str, Any]:
    return {"route": route, "outcome": outcome, "status": status, "seconds": 2.0, "detail": ""}


def _upkeep(here: ProjectRecords) -> None:
    """Drills, a backup, a duty, a report, and lines of the audit trail."""
    now, history = here.clock.now(), DrillHistory(here.database)
    figures = {"detected_after": 0.8, "mitigated_after": 1.2, "resolved_after": 4.25, "steps_lost": 0}
    about = ("provider-killed", "provider-unavailable")
    history.add(DrillRecord("drill-1", *about, now, True, "spring", figures))
    missed = ["expected an incident within 2 s, got none"]
    history.add(DrillRecord("drill-2", *about, now - timedelta(days=7), False, "", {}, missed))
    vault_of(here).make()
    MaintenanceRecords(here.database).request_sign_off("contacts", "2026-03", now)
    folder = reports_folder(here)
    folder.mkdir(parents=True, exist_ok=True)
    table = "| error | count |\n| --- | --- |\n| timeout | 3 |"
    (folder / "daily-digest-2026-03-02.md").write_text(f"# The night, 2026-03-02\n\n- 3 errors\n\n{table}\n")
    trail = AuditTrail(AuditTable(here.database), here.bus, here.clock, here.redactor.data)
    for number in range(3):
        trail.write("ben", f"POST /runs/run-{number}/cancel", "done", {"status": 303, "source": "127.0.0.1"})


def hold_drills(here: ProjectRecords) -> None:
    """Drills that are under way, as the process that holds them tells: one has passed, one is held, one waits, one was
    left out."""
    now = here.clock.now()
    session = {
        "id": "drills-1", "drills": ["agent-crashes", "agent-exits", "agent-leaks", "provider-slow"],
        "game_day": "autumn", "actor": "ben", "started_at": now.isoformat(), "current": "agent-exits",
        "left_out": {"provider-slow": "it has no wings"},
    }  # fmt: skip
    figures = {"detected_after": 0.75, "resolved_after": None}
    DrillHistory(here.database).add(
        DrillRecord(new_id("drill", now.timestamp()), "agent-crashes", "agent-failure", now, True, "autumn", figures)
    )
    here.leases.acquire("drills", "drills-1", 60, this_process(session=session))


def _alerts(here: ProjectRecords) -> None:
    now = here.clock.now()
    common: dict[str, Any] = {"source": "monitoring", "scenario": "agent-failure", "value": 1.0, "updated_at": now}
    rows = [
        AlertRow(
            f"alert-{number}", f"print-{number}", "agent-failing", status, group_key="agent:executor",
            labels={"agent": "executor"}, state={"title": "executor fails"}, since=now - timedelta(minutes=number),
            verdict="told", **common,
        )
        for number, status in enumerate(AlertStatus, start=1)
    ]  # fmt: skip
    here.alerts.save(rows)
    here.silences.add(
        SilenceRow(
            "silence-1", SilenceKind.SILENCE, ['agent="planner"'], now, now + timedelta(hours=2), "ben",
            "it is being rebuilt", now,
        )
    )  # fmt: skip


def _samples(here: ProjectRecords) -> None:
    now = here.clock.now()
    batch = []
    for number in range(120):
        at = now - timedelta(seconds=5 + 25 * number)
        wave = math.sin(number / 9)
        batch += [
            StoredSample("cpu_percent", at, 40 + 25 * wave, {"host": "box-1"}),
            StoredSample("memory_percent", at, 61 + 4 * wave, {"host": "box-1"}),
            StoredSample("disk_free_percent", at, 34.0, {"host": "box-1", "path": "/var"}),
            StoredSample("disk_free_percent", at, 58.5 - number / 50, {"host": "box-1", "path": "/work"}),
            StoredSample("event_loop_lag_seconds", at, 0.004 + 0.003 * abs(wave), {"process": "control"}),
        ]
    Samples(here.database).add(batch)
