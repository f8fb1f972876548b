"""Three thousand alerts of one group, under `orchestrator serve`: they are taken, are told in a few messages,
hide nothing that is worse, and leave no memory behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.storm import CONFIGURATION, MemoryWatch, memory_mb, our_body
from tests.support.console import ConsoleProject, free_port, wait_for_line
from tests.support.patience import patient, until
from tests.support.receivers import HttpReceiver, http_receiver

ALERTS, PARTS = 3_000, 3
TOKEN = {"Authorization": "Bearer sesame", "Content-Type": "application/json"}


def messages(hook: HttpReceiver, text: str) -> list[str]:
    return [said for said in map(json.dumps, hook.bodies()) if text in said]


def a_project(root: Path, hook: HttpReceiver) -> ConsoleProject:
    project = ConsoleProject(root)
    response: dict[str, Any] = {
        "channels": {"hook": {"type": "webhook", "url": hook.url}},
        "contacts": [{"id": "ada", "level": 1, "channels": [{"channel": "hook"}]}],
        "stabilitySeconds": 1,
    }
    project.document |= {"alerting": CONFIGURATION["alerting"], "response": response}
    project.write()
    (root / ".env").write_text("INTAKE_TOKEN=sesame\n")
    return project


def test_a_storm_is_taken_and_told_in_few_messages_and_hides_nothing_worse(tmp_path: Path) -> None:
    part = ALERTS // PARTS
    storm = [our_body("HostDown", first, part, "warning", True) for first in range(0, ALERTS, part)]
    over = our_body("HostDown", 0, ALERTS, "warning", False)
    worse = our_body("PrimaryDown", ALERTS, 1, "critical", True)
    with http_receiver() as hook:
        project, port = a_project(tmp_path / "p", hook), free_port()
        with project.started("serve", "--workers", "0", "--port", str(port)) as process:
            wait_for_line(process, "serving ")
            until(lambda: project.records("SELECT 1 FROM leases WHERE name = 'leader'"))
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=TOKEN, timeout=patient(60)) as client:

                def send(body: bytes) -> int:
                    return client.post("/api/v1/intake/alertmanager", content=body).status_code

                # What the first incident of a process loads is not the storm's.
                send(our_body("FirstOfAll", ALERTS + 1, 1, "critical", True))
                until(lambda: project.records("SELECT 1 FROM playbook_runs WHERE finished_at IS NOT NULL"), 30)
                before, watch = memory_mb(process.pid), MemoryWatch(process.pid)
                assert [send(body) for body in storm] == [200] * PARTS
                assert send(worse) == 200
                until(lambda: messages(hook, "PrimaryDown"), 5, "nobody was told of what is worse")
                until(lambda: not project.records("SELECT 1 FROM alert_inbox"), 30)
                assert "Storm of" in project.call("status").out
                ((group, count),) = project.records(
                    "SELECT group_key, count(*) FROM alerts WHERE name = 'HostDown' AND status = 'firing' GROUP BY 1"
                )
                assert count == ALERTS
                shown = project.call("alerts", "list", "--group", group, "--limit", "3", "--json").json()
                assert {alert["name"] for alert in shown} == {"HostDown"}
                # All at once in one body, too.
                assert send(over) == 200
                until(lambda: [one for one in messages(hook, "HostDown") if "RESOLVED" in one], 30)
            assert len(messages(hook, "HostDown")) <= 10
            assert watch.end() - before <= 60
            # What has ended is forgotten a few seconds later. Python keeps some of the memory for the next objects.
            until(lambda: memory_mb(process.pid) - before <= 45, 20, "the memory does not come back")
