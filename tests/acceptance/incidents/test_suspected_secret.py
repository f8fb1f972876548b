"""What only looks like a secret wakes nobody; what this system writes down itself is no secret at all."""

from __future__ import annotations

from orchestration.security.redaction import Redactor
from tests.acceptance.incidents.conftest import Watch
from tests.support.project import wait_until

AUTOMATIC = {"enabled": True}


def test_a_run_in_the_projects_own_folder_whose_logs_and_state_are_there_is_no_incident(
    watch: Watch,
) -> None:
    with watch(automation=AUTOMATIC) as project:
        project.serve()
        run = project.start("run", "--workspace", str(project.root), project.sample.goal)
        run.wait()
        scanned = project.root / "var" / "secret-scan.json"
        wait_until(scanned.exists, "for the scan of what the run has written")
        made = scanned.stat().st_mtime_ns
        wait_until(lambda: scanned.stat().st_mtime_ns > made, "for the next one")
        assert [one for one in project.incidents() if one[0] == "security-alert"] == []
        written = (project.root / "logs" / "orchestrator.log").read_text()
        assert " key=run-" in written
        assert [written[one.start - 40 : one.end] for one in Redactor().find(written)] == []


def test_what_may_be_a_password_is_a_ticket_that_a_person_dismisses_and_the_result_stays(
    watch: Watch,
) -> None:
    with watch(automation=AUTOMATIC) as project:
        project.serve()
        run = project.start_run()
        assert run.wait() == 0, run.output
        ((name,),) = project.rows("SELECT id FROM runs")
        notes = project.root / "artifacts" / name / "notes.md"
        notes.write_text("in the tests: password = 'Sommer-2026-am-See'\n")
        assert project.wait_for_incident()[:2] == ("security-alert", "P3")
        wait_until(lambda: project.rows("SELECT 1 FROM action_runs WHERE state = 'done'"), "for the response")
        shown = project.call("incidents", "show", "latest")
        assert "What may be a secret was written" in shown
        assert "Sommer-2026" not in shown
        notes.unlink()
        project.call("incidents", "duty-dismiss", "latest", "1", "--reason", "the password of a test")
        project.wait_for_incident("resolved", 60)
        moved = "SELECT 1 FROM action_runs WHERE action = 'security.quarantine' AND state = 'done'"
        assert project.rows(moved) == [], "nothing was taken from anybody"
