"""Heartbeats of a running server: who may report one, and that a late one is an incident until it is back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.console import ConsoleProject, stop, wait_for_line
from tests.support.patience import patient, until

_BACKUP, _INTAKE = "backup-token-0123456789", "intake-token-0123456789"


@pytest.fixture
def folder(tmp_path: Path) -> ConsoleProject:
    made = ConsoleProject(tmp_path / "project")
    watchdog = {"period": 3600, "alerts": ['alertname="Watchdog"']}
    backup = {"period": patient(3), "grace": 0.5, "severity": "P1", "tokenEnv": "BACKUP_TOKEN"}
    made.document["alerting"] = {
        "intake": {"tokenEnv": "INTAKE_TOKEN"},
        "heartbeats": {"backup": backup, "prometheus": watchdog},
    }
    made.document["response"] = {"stabilitySeconds": 0.5}
    made.write()
    (made.root / ".env").write_text(f"BACKUP_TOKEN={_BACKUP}\nINTAKE_TOKEN={_INTAKE}\n")
    return made


def test_a_heartbeat_that_stops_is_an_incident_until_it_is_back(folder: ConsoleProject) -> None:
    with folder.started("serve", "--workers", "0", "--port", "0") as serve:
        address = wait_for_line(serve, "dashboard and API: ")[-1].partition("API: ")[2].strip()
        with httpx2.Client(base_url=address, timeout=patient(30)) as client:

            def report(path: str = "backup", token: str = _BACKUP, method: str = "GET", **more: Any) -> int:
                headers = {"authorization": f"Bearer {token}"}
                return client.request(method, f"/heartbeat/{path}", headers=headers, **more).status_code

            def shown() -> dict[str, str]:
                found = folder.call("heartbeats", "--json").json()
                return {one["name"]: one["status"] for one in found}

            def incidents() -> list[tuple[str, str, str]]:
                # A busy machine may have an incident of its own beside it.
                ours = "title LIKE 'Heartbeat%'"
                return folder.records(
                    f"SELECT title, severity, status FROM incidents WHERE {ours} ORDER BY detected_at"
                )

            assert client.get("/heartbeat/backup").status_code == 401
            assert report(token=_INTAKE) == 401, "it has a token of its own"
            assert report("gone", _INTAKE) == 404
            assert report(method="HEAD") == 200
            assert client.get("/heartbeat/backup", auth=("cron", _BACKUP)).status_code == 200
            assert shown()["backup"] == "up"
            until(lambda: [one[:2] for one in incidents()] == [("Heartbeat backup is late", "P1")])
            status = folder.call("status", "--json").json()
            assert [one["name"] for one in status["heartbeats"]] == ["backup"]
            assert report("backup/0", method="POST", content=b"done") == 200
            until(lambda: [status for _, _, status in incidents()] == ["resolved"])

            payload = {
                "version": "4",
                "alerts": [
                    {"status": "firing", "labels": {"alertname": "Watchdog"}, "startsAt": "2026-01-01T00:00:00Z"}
                ],
            }
            headers = {"authorization": f"Bearer {_INTAKE}"}
            answer = client.post("/api/v1/intake/alertmanager", content=json.dumps(payload), headers=headers)
            assert answer.json() == {"accepted": 1}
            assert shown()["prometheus"] == "up"
            assert report("backup/3", method="POST", content=b"disk full") == 200
            # Within the time for reopening it is the same incident.
            until(lambda: [status for _, _, status in incidents()] == ["reopened"])
            assert "disk full" in folder.call("incidents", "show", "latest").out
        stop(serve)
