"""Repairs carried to a green end by a real server: what is resumed after a failure works with what is in force then."""

from __future__ import annotations

import time
from itertools import count
from pathlib import Path
from typing import Any

from tests.acceptance.incidents.test_outcomes import Script, a_project, role, run, turns, usual
from tests.integration.agents.rooms import ScriptedModel, calls
from tests.support.project import wait_until
from tests.support.watched import Watched

AUTOMATIC: dict[str, Any] = {"enabled": True}


def slow_reviewer(seconds: float) -> Script:
    """A model that needs so long for a review, and whose every run changes something."""
    written = count()

    def script(body: dict[str, Any]) -> Any:
        if role(body) == "reviewer":
            time.sleep(seconds)
        if role(body) == "executor" and not turns(body):
            return calls(("write_file", {"path": "note.txt", "content": f"hello {next(written)}\n"}))
        return usual(body)

    return script


def allow_the_reviewer(project: Watched, seconds: float) -> None:
    """Edit its time limit in the configuration file."""
    settings = project.settings
    reviewer = next(agent for agent in settings["agents"] if agent["id"] == "reviewer")
    reviewer["limits"] = {"seconds": seconds}
    project.configure(settings)


def status_of(project: Watched, name: str) -> str:
    ((status,),) = project.rows("SELECT status FROM runs WHERE id = ?", name)
    return str(status)


def test_a_failed_run_is_resumed_with_the_configuration_that_is_in_force_now(tmp_path: Path) -> None:
    with ScriptedModel(slow_reviewer(2.6)) as model, a_project(tmp_path, model, automation=AUTOMATIC) as project:
        project.serve()
        assert run(project)["status"] == "succeeded"
        allow_the_reviewer(project, 1)
        # An agent that the edit does not concern succeeds with it: that proves nothing about the reviewer.
        assert run(project, "--agent", "planner")["status"] == "succeeded"
        # Twice the second that it has is too little as well, so the response goes on to what needs a person's word.
        failed = run(project, code=1)["id"]
        asked = "SELECT question FROM approvals WHERE decision IS NULL"
        ((question,),) = wait_until(lambda: project.rows(asked), "for a question")
        assert "Put the last version with which these agents succeeded in force" in question
        project.call("incidents", "approve", "latest", "--reason", "the edit was mine")
        wait_until(lambda: status_of(project, failed) == "succeeded", "for the run to succeed")
        # The file still holds the edit: it is a workaround as long as the version before it is pinned.
        project.wait_for_incident("mitigated")
        shown = project.call("incidents", "show", "latest")
        assert "tried      Give the agent more time" in shown
        assert "mitigated  Go back to the last configuration with which it worked" in shown


def test_work_that_outgrew_its_limit_is_finished_within_a_longer_one(tmp_path: Path) -> None:
    with ScriptedModel(slow_reviewer(1.6)) as model, a_project(tmp_path, model, automation=AUTOMATIC) as project:
        allow_the_reviewer(project, 1)
        project.serve()
        failed = run(project, code=1)["id"]
        wait_until(lambda: status_of(project, failed) == "succeeded", "for the run to succeed")
        project.wait_for_incident("%")
        assert "tried      Give the agent more time" in project.call("incidents", "show", "latest")
