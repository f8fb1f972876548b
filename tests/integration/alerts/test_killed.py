"""The engine's process, killed without warning while it works."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from orchestration.domain.alert_status import AlertStatus
from orchestration.storage.alerts import Alerts
from orchestration.storage.database import Database
from tests.support import prefork

KEY = "provider-unavailable:ollama"


def run_and_kill(folder: Path, up: int, evaluations: int) -> None:
    command = [sys.executable, "-m", "tests.support.alert_process", f"{folder}/a.db", f"{folder}/calls", str(up)]
    with prefork.Program(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(evaluations):
            assert process.stdout.readline() == "evaluated\n"
        process.kill()


def test_killed_again_and_again_it_reports_once_ends_once_and_keeps_its_holds(tmp_path: Path) -> None:
    for evaluations in (1, 3):
        run_and_kill(tmp_path, 0, evaluations)
    calls = (tmp_path / "calls").read_text().splitlines()
    database = Database(f"sqlite:///{tmp_path}/a.db")
    held = Alerts(database).list([AlertStatus.PENDING])
    assert calls == [f"report {KEY}"]
    for evaluations in (1, 1):
        run_and_kill(tmp_path, 1, evaluations)
    assert (tmp_path / "calls").read_text().splitlines() == [f"report {KEY}", f"clear {KEY}"]
    assert [row.id for row in Alerts(database).list([AlertStatus.PENDING])] == [row.id for row in held]
    assert [row.name for row in held] == ["worker-lost"]
    database.close()
