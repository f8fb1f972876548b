"""Two alerts of a real server's intake whose incidents a person merges: nothing ends before both have cleared, and
PagerDuty is told where the merged one went."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import httpx2

from tests.support.intake import ALERTMANAGER, a_webhook
from tests.support.patience import patient
from tests.support.project import wait_until
from tests.support.receivers import HttpReceiver, http_receiver
from tests.support.watched import Watched, a_watched_project

NAMES = ("HighLatency", "QueueTooLong")


def with_pagerduty(project: Watched, pager: HttpReceiver) -> None:
    """Let the first on call have PagerDuty as well."""
    project.write_env(INTAKE_TOKEN="intake", PAGER_KEY="R0123456789")
    settings = project.settings
    response = settings["response"]
    response["channels"]["pager"] = {"type": "pagerduty", "routingKeyEnv": "PAGER_KEY", "url": pager.url}
    response["contacts"][0]["channels"].append({"channel": "pager"})
    settings["alerting"]["intake"] = {"tokenEnv": "INTAKE_TOKEN"}
    project.configure(settings)


def send(url: str, name: str, status: str = "firing") -> None:
    """What an Alertmanager sends of one alert."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    alert = {
        "status": status,
        "labels": {"alertname": name, "instance": f"{name.lower()}-1", "severity": "critical"},
        "annotations": {"summary": f"{name} on {name.lower()}-1"},
        "startsAt": "2026-11-01T12:00:00Z",
        "endsAt": now if status == "resolved" else "0001-01-01T00:00:00Z",
        "fingerprint": name,
    }
    body = a_webhook(alert, groupKey=name, status=status)
    answer = httpx2.post(url + ALERTMANAGER, json=body, headers={"Authorization": "Bearer intake"}, timeout=patient(30))
    assert answer.status_code == 200, answer.text


def actions(pager: HttpReceiver) -> dict[str, list[str]]:
    """What PagerDuty was told of each of its alerts, in order."""
    found: dict[str, list[str]] = {}
    for body in pager.bodies():
        found.setdefault(body["dedup_key"], []).append(body["event_action"])
    return found


def statuses(project: Watched) -> dict[str, str]:
    rows: list[tuple[Any, Any]] = project.rows("SELECT id, status FROM incidents ORDER BY detected_at, id")
    return {str(name): str(status) for name, status in rows}


def test_a_merged_incident_ends_with_the_last_of_its_alerts(tmp_path: Path) -> None:
    with http_receiver() as pager, a_watched_project(tmp_path / "p", {}) as project:
        with_pagerduty(project, pager)
        serve = project.serve(workers=0)
        wait_until(lambda: "dashboard and API: " in serve.output, "for the address")
        url = re.findall(r"dashboard and API: (\S+)", serve.output)[-1]
        for number, name in enumerate(NAMES, 1):
            send(url, name)
            wait_until(lambda number=number: len(statuses(project)) == number, f"for incident {number}")
        first, second = statuses(project)
        wait_until(lambda: set(actions(pager)) == {first, second}, f"for both pages; {actions(pager)}")
        project.call("incidents", "merge", second, first)
        wait_until(lambda: actions(pager)[second][-1] == "resolve", f"for PagerDuty to hear of it; {actions(pager)}")
        send(url, NAMES[1], "resolved")
        cleared = "SELECT 1 FROM incident_entries WHERE kind = 'cleared'"
        wait_until(lambda: project.rows(cleared), "for the second alert to clear")
        time.sleep(4)  # more than the 1.5 s after which an observed end resolves an incident
        assert statuses(project)[first] not in ("resolved", "closed"), "the first alert still fires"
        assert "resolve" not in actions(pager)[first]
        assert project.pages("RESOLVED") == []
        send(url, NAMES[0], "resolved")
        wait_until(lambda: statuses(project)[first] == "resolved", f"for the end; {statuses(project)}")
        wait_until(lambda: actions(pager)[first][-1] == "resolve", f"for PagerDuty to hear of it; {actions(pager)}")
