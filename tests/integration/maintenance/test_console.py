"""The commands `backups`, `maintenance` and `reports`, and what a control process does by itself."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.console import ConsoleProject, stop
from tests.support.patience import until


@pytest.fixture
def project(tmp_path: Path) -> ConsoleProject:
    return ConsoleProject(tmp_path / "project", workers=0)


def test_backups_are_made_listed_checked_and_found_damaged(project: ConsoleProject) -> None:
    assert "no backup in" in project.call("backups", "list").out
    made = project.call("backups", "make", "--json").json()
    (listed,) = project.call("backups", "list", "--json").json()
    assert listed == made
    assert made["rows"] > 0
    good = project.call("backups", "verify", made["id"], "--json")
    assert (good.code, good.json()["good"]) == (0, True)
    file = project.root / "var" / "backups" / made["id"] / "orchestrator.db.gz"
    file.write_bytes(file.read_bytes()[:-100])
    bad = project.call("backups", "verify")
    assert bad.code == 1
    assert "NOT good: orchestrator.db.gz is damaged" in bad.out
    assert project.call("backups", "restore", "latest", "--yes").code == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("backups", "verify", "nothing"), "expected the name of one backup"),
        (("backups", "restore", "nothing", "--yes"), "expected the name of one backup"),
        (("maintenance", "run", "back-up"), "there is no maintenance job 'back-up'; the jobs are backup, daily-digest"),
        (("maintenance", "sign-off", "nothing", "--note", "x"), "There is no duty 'nothing'. Duties: playbook-review"),
        (("reports", "show", "nothing"), "there is no report 'nothing' in"),
    ],
)
def test_a_wrong_name_is_told_in_words(project: ConsoleProject, arguments: tuple[str, ...], says: str) -> None:
    said = project.call(*arguments)
    assert said.code == 2
    assert says in said.err
    assert "Traceback" not in said.err


def test_a_job_is_done_now_its_report_is_shown_and_a_duty_is_signed_off(project: ConsoleProject) -> None:
    done = project.call("maintenance", "run", "monthly-duties", "--json")
    assert (done.code, done.json()["outcome"]) == (0, "succeeded"), done.out
    (run,) = project.call("maintenance", "history", "--json").json()
    assert (run["job"], run["planned_at"]) == ("monthly-duties", None)
    (report,) = project.call("reports", "list", "--json").json()
    assert "maintenance sign-off contacts" in project.call("reports", "show", report["report"]).out
    assert "contacts (" in project.call("maintenance", "list").out
    assert project.call("maintenance", "sign-off", "contacts", "--note", "all were reached").code == 0
    again = project.call("maintenance", "sign-off", "contacts", "--note", "once more")
    assert (again.code, "is not waiting for a sign-off" in again.err) == (1, True)


def test_a_job_that_fails_has_the_exit_code_1_and_stands_in_the_next_digest(project: ConsoleProject) -> None:
    failed = project.call("maintenance", "run", "restore-drill")
    assert failed.code == 1
    assert "expected the name of one backup" in failed.out
    project.call("maintenance", "run", "daily-digest")
    digest = project.call("reports", "show").out
    assert "failed: restore-drill" in digest
    assert "backups: NONE that is good" in digest
    assert "maintenance.failed" in digest  # among the errors of the log


def test_a_control_process_makes_backups_by_the_calendar_and_sends_its_digest(project: ConsoleProject) -> None:
    project.document["maintenance"] = {
        "jobs": {"backup": {"cron": "* * * * *"}, "daily-digest": {"cron": "* * * * *"}},
    }
    project.write()
    project.call("maintenance", "list")
    # As if the jobs had been seen an hour ago: nobody has to wait for the next minute.
    set_back(project)
    with project.started("serve") as serve:
        until(lambda: project.records("SELECT id FROM maintenance_runs WHERE outcome = 'succeeded' AND job = 'backup'"))
        until(lambda: project.records("SELECT state FROM outbox WHERE kind = 'report' AND state = 'sent'"))
        stop(serve)
    assert len(project.call("backups", "list", "--json").json()) == 1
    runs = project.call("maintenance", "history", "backup", "--json").json()
    assert [run["actor"] for run in runs][-1] == "calendar"
    line = next(
        json.loads(line)
        for line in (project.root / "logs" / "orchestrator.jsonl").read_text().splitlines()
        if '"backup.made"' in line
    )
    assert line["level"] == "INFO"


def set_back(project: ConsoleProject) -> None:
    import sqlite3
    from contextlib import closing

    earlier = datetime.fromtimestamp(time.time() - 3600, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    with closing(sqlite3.connect(project.root / "var" / "orchestrator.db")) as connection, connection:
        connection.execute("UPDATE maintenance_jobs SET planned_at = ?", (earlier,))
