"""Outcomes of work, slips of a model, evidence of intent, and failures of unlike kinds, each on a real server with a
model that follows a script."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.integration.agents.rooms import DONE, ScriptedModel, calls, says
from tests.support.project import wait_until
from tests.support.watched import Watched, a_watched_project

PLAN = says({"summary": "s", "steps": [{"id": "a", "title": "t", "instructions": "write it", "files": ["note.txt"]}]})
WRITE = calls(("write_file", {"path": "note.txt", "content": "hello\n"}))
REFUSED = says(
    {
        "verdict": "changes_requested",
        "summary": "not yet",
        "findings": [{"severity": "major", "message": "say whom you greet", "file": "note.txt", "line": 1}],
    }
)
APPROVED = says({"verdict": "approved", "summary": "good"})
Script = Callable[[dict[str, Any]], Any]


def role(body: dict[str, Any]) -> str:
    text = str(body["messages"][0]["content"])
    return next(name for name in ("planner", "executor", "reviewer") if f"Role: {name}" in text)


def turns(body: dict[str, Any]) -> int:
    """How often the model has answered in this conversation."""
    return sum(message["role"] == "assistant" for message in body["messages"])


def results(body: dict[str, Any]) -> list[str]:
    return [str(message["content"]) for message in body["messages"] if message["role"] == "tool"]


def usual(body: dict[str, Any]) -> Any:
    who = role(body)
    if who == "planner":
        return PLAN
    if who == "reviewer":
        return APPROVED
    return DONE if turns(body) else WRITE


def a_project(root: Path, model: ScriptedModel, **changes: Any) -> Any:
    provider = {"type": "openai", "baseUrl": model.url, "streaming": False, "defaultModel": "m", "concurrency": 4}
    return a_watched_project(root / "p", {"first": provider}, models={"first": ["m"]}, **changes)


def run(project: Watched, *options: str, code: int = 0, goal: str = "greet them") -> dict[str, Any]:
    """Carry out a run and return its record."""
    arguments = ("run", goal, "--workspace", str(project.sample.workspace), "--json", *options)
    found: Any = json.loads(project.call(*arguments, code=code))
    # A run that is left to the workers is printed by itself; those that were followed are a list.
    record: dict[str, Any] = found[0] if isinstance(found, list) else found
    return record


def runs_where(project: Watched, status: str) -> list[str]:
    return [one["id"] for one in json.loads(project.call("runs", "list", "--status", status, "--json"))]


def test_what_is_no_malfunction_opens_no_incident_and_leaves_a_way_on(tmp_path: Path) -> None:
    content = False

    def script(body: dict[str, Any]) -> Any:
        if role(body) == "reviewer":
            return APPROVED if content else REFUSED
        return usual(body)

    with ScriptedModel(script) as model, a_project(tmp_path, model, runtime={"reviewRounds": 1}) as project:
        project.serve()
        refused = run(project, code=1)
        name = refused["id"]
        assert (refused["status"], refused["outcome"]["ending"]) == ("not-approved", "changes-requested")
        assert runs_where(project, "not-approved") == [name]
        assert runs_where(project, "failed") == []
        shown = project.call("runs", "show", name)
        assert "major note.txt:1: say whom you greet" in shown
        commands = [line.split(maxsplit=1)[1] for line in shown.splitlines() if " orchestrator runs " in line]
        assert f"orchestrator runs resume {name} --rounds 2" in commands
        discard = next(line.split(maxsplit=1)[1] for line in shown.splitlines() if "apply --reverse" in line)
        subprocess.run([*discard.split(), "--check"], check=True)

        model.script = slips = SlippingExecutor()
        assert run(project)["status"] == "succeeded"
        model.script = script
        # A run that is denied, one that has nothing to do, and one that has used up its budget.
        denied = project.start("run", "greet", "--workspace", str(project.sample.workspace), "--approve", "planner")
        wait_until(lambda: runs_where(project, "waiting"), "for the question")
        project.call("runs", "deny", "latest", "--reason", "not today")
        assert denied.wait() == 1
        assert "not-approved" in denied.output
        nothing = says({"summary": "all there", "steps": []})
        model.script = lambda body: nothing if role(body) == "planner" else APPROVED
        assert run(project)["outcome"]["ending"] == "nothing-to-do"
        settings = project.settings
        settings["runtime"]["limits"] = {"modelCalls": 1}
        project.configure(settings)
        model.script = usual
        assert run(project, code=1)["outcome"]["ending"] == "limit-reached"
        settings["runtime"]["limits"] = {}
        project.configure(settings)

        # Longer than any rule holds an alert, and than the loops take to notice one.
        time.sleep(4)
        assert project.incidents() == []
        assert project.pages() == []
        counts = project.rows("SELECT data FROM events WHERE kind = 'tool_call.refused'")
        assert {json.loads(data)["assessment"] for (data,) in counts} == {"slip"}
        assert len(counts) == slips.refused

        model.script, content = script, True
        assert "succeeded" in project.call("runs", "resume", name, "--rounds", "1")


class SlippingExecutor:
    """An executor that slips as models do, is told what is allowed, and then works properly."""

    refused = 4

    def __call__(self, body: dict[str, Any]) -> Any:
        if role(body) != "executor":
            return usual(body)
        said = results(body)
        if not said:
            return calls(
                ("read_file", {"path": "/workspace/app.py"}),
                ("run_command", {"command": ["ls", "-la"]}),
                ("run_command", {"command": "git status"}),
                ("execute_python", {"code": "print(1)"}),
            )
        assert "relative to the workspace" in said[0]
        assert "use the tool list_files instead" in said[1]
        assert "there is no tool 'execute_python' for you; there is: " in said[3]
        other = calls(("write_file", {"path": "note.txt", "content": "hello again\n"}))
        return other if len(said) == self.refused else DONE


def test_secrets_that_are_sought_are_an_incident_and_the_run_stays_stopped_for_a_person(tmp_path: Path) -> None:
    def script(body: dict[str, Any]) -> Any:
        if role(body) != "executor":
            return usual(body)
        now = turns(body)
        sought = {0: ("read_file", {"path": ".env"}), 1: ("run_command", {"command": "cat /proc/1/environ"})}
        # Slowly, as a model is: the response has to stop the run while it is at work, and it gets on with that.
        time.sleep(0.3)
        work = ("write_file", {"path": "note.txt", "content": f"hello {now}\n"})
        return calls(sought.get(now, work)) if now < 200 else DONE

    with ScriptedModel(script) as model, a_project(tmp_path, model, automation={"enabled": True}) as project:
        project.serve()
        run_name = run(project, "--queue")["id"]
        wait_until(project.incidents, "for an incident")
        assert project.incidents()[0][0] == "security-alert"
        wait_until(lambda: run_name in runs_where(project, "stopped"), "for the run to be stopped")
        time.sleep(5)
        ((_, _, status),) = project.incidents()
        assert status not in ("resolved", "closed")
        assert run_name in runs_where(project, "stopped")


def test_failures_of_unlike_agents_and_classes_are_incidents_of_their_own(tmp_path: Path) -> None:
    failing = "reviewer"

    def script(body: dict[str, Any]) -> Any:
        who = role(body)
        if who != failing:
            return usual(body)
        # The reviewer never answers in the format; the executor's request is refused by the provider.
        return says("la la la") if who == "reviewer" else 400

    with ScriptedModel(script) as model, a_project(tmp_path, model) as project:
        project.serve()
        first = run(project, code=1)["id"]
        wait_until(lambda: len(project.incidents()) == 1, "for the first incident")
        failing = "executor"
        second = run(project, code=1)["id"]
        wait_until(lambda: len(project.incidents()) == 2, f"for the second incident, got {project.incidents()}")
        failing = "reviewer"
        third = run(project, code=1)["id"]
        titles = [title for (title,) in project.rows("SELECT title FROM incidents ORDER BY id")]
        assert titles == ["Agent reviewer fails", "Agent executor fails"]
        wait_until(lambda: third in runs_of(project, 0), "for the third run to join the first incident")
        assert (first in runs_of(project, 0), second in runs_of(project, 0)) == (True, False)
        assert runs_of(project, 1) == [second]
        subjects = {str(mail["Subject"]) for mail in project.mails("INCIDENT")}
        assert {title for title in titles for subject in subjects if title in subject} == set(titles)
        assert len(project.incidents()) == 2


def runs_of(project: Watched, number: int) -> list[str]:
    documents = project.rows("SELECT document FROM incident_documents ORDER BY incident_id")
    found: list[str] = json.loads(documents[number][0])["blast"]["runs"]
    return found
