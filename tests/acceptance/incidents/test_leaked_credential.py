"""A key of `.env` in an artifact: quarantine only contains it, and the incident is open until the vendor refuses it."""

from __future__ import annotations

import time
from pathlib import Path

from tests.support.credential_vendors import github, vendor_in_a_thread
from tests.support.project import provider_at, wait_until
from tests.support.rehearsal import RehearsalProcess
from tests.support.watched import PROBED_SOON, Watched, a_watched_project

TOKEN = "ghp_" + "a1B2c3D4" * 5


def leak(project: Watched) -> None:
    """A run that has succeeded, and an artifact of it that holds the key."""
    run = project.start_run()
    assert run.wait() == 0, run.output
    ((name,),) = project.rows("SELECT id FROM runs")
    (project.root / "artifacts" / name / "notes.md").write_text(f"use {TOKEN} for that\n")


def test_the_incident_stays_open_with_its_question_until_the_key_is_revoked_and_refused(
    provider: RehearsalProcess, tmp_path: Path
) -> None:
    first = {"first": provider_at(provider.url, breaker=PROBED_SOON)}
    with vendor_in_a_thread(github, TOKEN) as vendor:
        revokers = {"main": {"vendor": "github", "variables": ["VENDOR_TOKEN"], "baseUrl": vendor.url}}
        changes = {
            "automation": {"enabled": True},
            "revokers": revokers,
            "monitoring": {"credentialProbeSeconds": 0.5},
        }
        with a_watched_project(tmp_path / "p", first, **changes) as project:
            (project.root / ".env").write_text(f"VENDOR_TOKEN={TOKEN}\n")
            project.serve()
            leak(project)
            assert project.wait_for_incident()[0] == "security-alert"
            asked = "SELECT question FROM approvals WHERE decision IS NULL"
            ((question,),) = wait_until(lambda: project.rows(asked), "for the question")
            assert "VENDOR_TOKEN: revoke it at GitHub (revoker main)" in question
            wait_until(lambda: not list(project.root.glob("artifacts/*/notes.md")), "for the quarantine")
            wait_until(lambda: "is accepted: VENDOR_TOKEN" in shown(project), "for the first probe")
            # Well beyond the time after which an alert that has cleared used to end its incident.
            time.sleep(4)
            assert project.incidents()[0][2] not in ("resolved", "closed")
            assert project.rows(asked) == [(question,)]
            assert {one.path for one in vendor.received} == {"/user"}
            project.call("incidents", "approve", "latest", "--reason", "the new one is at hand")
            proof = "SELECT data FROM incident_entries WHERE kind = 'duty-done'"
            ((data,),) = wait_until(lambda: project.rows(proof), "for the proof")
            assert "refused since" in data
            # What becomes of the file in quarantine is for a person to decide.
            project.call("incidents", "duty-done", "latest", "2", "--evidence", "deleted it")
            project.wait_for_incident("resolved", 60)
            told = shown(project)
            assert vendor.valid == set()
            done = "SELECT action FROM action_runs WHERE state = 'done'"
            wanted = {"security.rotate", "security.integrity", "document.review"}
            wait_until(lambda: wanted <= {action for (action,) in project.rows(done)}, "for the whole response")
            assert TOKEN not in told
            assert [path for path in project.root.rglob("*") if holds_the_token(path)] == []


def shown(project: Watched) -> str:
    return project.call("incidents", "show", "latest")


def holds_the_token(path: Path) -> bool:
    """Whether a file has the value, that is neither `.env` nor what is in quarantine."""
    legitimate = path.name == ".env" or "quarantine" in path.parts
    return path.is_file() and not legitimate and TOKEN.encode() in path.read_bytes()
