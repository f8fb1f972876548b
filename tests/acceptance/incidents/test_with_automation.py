"""The same with automation: what it mends, it mends; people are told once, and of the end."""

from __future__ import annotations

import time
from pathlib import Path

from tests.acceptance.incidents.conftest import Watch
from tests.support.project import provider_at, wait_until
from tests.support.rehearsal import RehearsalProcess, a_provider
from tests.support.watched import PROBED_SOON, a_watched_project

ON_CALL = (("ada", "hook"), ("ada", "mail"))
AUTOMATIC = {"enabled": True}


def test_a_provider_with_a_fallback_is_routed_around_and_the_main_job_goes_on(
    provider: RehearsalProcess, tmp_path: Path
) -> None:
    with a_provider() as second:
        providers = {
            "first": provider_at(provider.url, breaker=PROBED_SOON),
            "second": provider_at(second.url, breaker=PROBED_SOON),
        }
        with a_watched_project(tmp_path / "p", providers, automation=AUTOMATIC) as project:
            project.serve()
            run = project.start_run()
            provider.wait_for_calls(3)
            provider.kill()
            assert project.wait_for_incident()[:2] == ("provider-unavailable", "P2")
            assert run.wait() == 0, run.output
            project.wait_for_incident("mitigated")
            shown = project.call("incidents", "show", "latest")
            assert "1 of the fallback chain can take over" in shown
            assert "tried      Send all work to the best provider that answers" in shown
            assert "mitigated  Send all work to the best provider that answers" in shown
            assert "open       its alert still fires" in shown
            assert project.pages("RESOLVED") == []
            # However often it is checked while the provider stays away, it is one row until the answer changes.
            time.sleep(4)
            checks = project.rows("SELECT step FROM action_runs WHERE phase = 'verify'")
            assert len(checks) == len(set(checks)), checks
            # What the response itself has logged explains nothing.
            assert "the log names errors" not in shown
            provider.start()
            project.wait_for_incident("resolved")
            project.check_told(*ON_CALL)
            project.check_over()


def test_a_run_that_has_failed_keeps_its_incident_open_until_somebody_decides(
    provider: RehearsalProcess, watch: Watch
) -> None:
    quick = {"agent-failed": {"window": 3, "hold": 1}, "run-failed": {"window": 3, "hold": 1}}
    with watch(alerting={"rules": quick}) as project:
        project.serve()
        provider.set_fault("bad_json_answer", match={"role": "reviewer"})
        assert project.start_run().wait() == 1
        project.wait_for_incident()
        silent = "SELECT 1 FROM incident_entries WHERE kind = 'silent'"
        wait_until(lambda: project.rows(silent), "for the alerts to fall silent")
        time.sleep(4)  # more than the 1.5 s after which an observed end resolves it
        assert project.wait_for_incident()[2] != "resolved"
        assert "duty 1 is open: resume run-" in project.call("incidents", "show", "latest")
        assert "still fires" not in project.call("incidents", "show", "latest")
        project.call("incidents", "duty-dismiss", "latest", "1", "--reason", "the customer has withdrawn it")
        project.wait_for_incident("resolved")
        project.check_over()


def test_an_agent_that_crashed_once_is_restarted_and_its_run_succeeds(provider: RehearsalProcess, watch: Watch) -> None:
    with watch(automation=AUTOMATIC) as project:
        project.serve()
        # Answers that cannot be used, as often as one agent asks until it gives up.
        provider.set_fault("bad_json_answer", match={"role": "reviewer"}, count=12)
        project.start_run()
        assert project.wait_for_incident()[:2] == ("agent-failure", "P2")
        project.wait_for_incident("resolved")
        wait_until(lambda: project.rows("SELECT status FROM runs") == [("succeeded",)], "for the run to succeed")
        assert "tried      Begin again at the last checkpoint" in project.call("incidents", "show", "latest")
        project.check_told(*ON_CALL)
        project.check_over()


def test_a_step_that_hung_once_is_stopped_and_its_run_succeeds(provider: RehearsalProcess, watch: Watch) -> None:
    stalled = {"thresholds": {"stalledSeconds": 4}}
    with watch(automation=AUTOMATIC, response={"stabilitySeconds": 30}, monitoring=stalled) as project:
        project.serve()
        provider.set_fault("hang", match={"role": "reviewer"}, count=1)
        project.start_run()
        assert project.wait_for_incident()[:2] == ("workflow-stuck", "P2")
        project.wait_for_incident("resolved")
        wait_until(lambda: project.rows("SELECT status FROM runs") == [("succeeded",)], "for the run to succeed")
        shown = project.call("incidents", "show", "latest")
        assert "tried      Stop what hangs and go on from the last checkpoint" in shown
        project.check_told(*ON_CALL)
        project.check_over()
