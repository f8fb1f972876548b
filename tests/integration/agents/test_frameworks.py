"""A crew, a graph, an agent of pydantic-ai, a script and one of our agents in one workflow, over our gateway."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestration.agents.frameworks.environments import FrameworkEnvironments
from orchestration.app import application
from orchestration.domain.framework import Framework
from orchestration.domain.run_status import RunStatus
from orchestration.events import Event

ROOT = Path(__file__).resolve().parents[3]
# Where `orchestrator agents install`, given in a checkout, puts them. They are too large to be made by a test.
INSTALLED = FrameworkEnvironments(ROOT / "var", ROOT)

CREW = """
from crewai import Agent, Crew, Task

def crew():
    writer = Agent(role="writer", goal="Write an outline.", backstory="Role: worker")
    task = Task(description="Outline: {goal}", expected_output="an outline", agent=writer)
    return Crew(agents=[writer], tasks=[task])
"""
GRAPH = """
import os
from pathlib import Path
from typing import TypedDict

from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph

class State(TypedDict, total=False):
    goal: str
    documents: dict
    notes: str
    answer: str

def collect(state):
    with open("collected", "a") as file:
        file.write("x")
    return {"notes": f"{len(state['documents'])} documents"}

def ask(state):
    if os.path.exists("strike"):
        os.rename("strike", "struck")
        raise RuntimeError("a rehearsed fault")
    return {"answer": state["notes"] + ": " + ChatOpenAI(model="auto").invoke(state["goal"]).text}

GRAPH = StateGraph(State)
GRAPH.add_node("collect", collect)
GRAPH.add_node("ask", ask)
GRAPH.add_edge(START, "collect")
GRAPH.add_edge("collect", "ask")
GRAPH.add_edge("ask", END)
"""
AGENT = """
from pydantic_ai import Agent

AGENT = Agent(instructions="Role: worker", tools=[])
"""
FILES = {"crews.py": CREW, "graphs.py": GRAPH, "typed.py": AGENT}
AGENTS: dict[Framework | None, dict[str, Any]] = {
    Framework.CREWAI: {"id": "crew", "framework": "crewai", "entryPoint": "crews:crew", "outputs": ["outline.md"]},
    Framework.LANGGRAPH: {
        "id": "graph",
        "framework": "langgraph",
        "entryPoint": "graphs:GRAPH",
        "requires": ["outline.md"],
        "outputs": ["research.md"],
    },
    Framework.PYDANTIC_AI: {
        "id": "typed",
        "framework": "pydantic-ai",
        "entryPoint": "typed:AGENT",
        "requires": ["outline.md"],
        "outputs": ["typed.md"],
    },
    None: {
        "id": "script",
        "entryPoint": ["sh", "-c", 'cat "$ORCHESTRATOR_DOCUMENTS"/*.md | wc -w'],
        "requires": ["research.md"],
        "outputs": ["words.md"],
    },
}
EDGES = [
    {"from": "crew", "to": "graph", "artifact": "outline.md"},
    {"from": "crew", "to": "typed", "artifact": "outline.md"},
    {"from": "graph", "to": "script", "artifact": "research.md"},
    {"from": "script", "to": "editor", "artifact": "words.md"},
]
OURS = {"id": "editor", "requires": ["words.md"], "outputs": ["report.md"]}


def project(root: Path, agents: list[dict[str, Any]]) -> Path:
    for name, text in FILES.items():
        (root / name).write_text(text)
    (root / "work").mkdir()
    (root / "var").mkdir(mode=0o700)
    (root / "var" / "frameworks").symlink_to(ROOT / "var" / "frameworks")
    file = root / "config" / "agents.config.json"
    file.parent.mkdir()
    runtime = {"defaultProvider": "rehearsal", "rehearsal": {"defaultModel": "rehearsal-1"}}
    edges = EDGES if len(agents) > 1 else []
    file.write_text(json.dumps({"runtime": runtime, "agents": agents, "workflow": edges}))
    return file


def failures(events: list[Event]) -> list[Any]:
    return [event.data["failing"] for event in events if event.kind == "agent.finished"]


def missing(*frameworks: Framework) -> list[str]:
    return [one.value for one in frameworks if not INSTALLED.state(one).version]


def need(*frameworks: Framework) -> None:
    if names := missing(*frameworks):
        pytest.skip(f"NOT TESTED: {', '.join(names)} not installed; run `orchestrator agents install` in {ROOT}")


@pytest.mark.timeout(240)
async def test_they_form_one_workflow_over_our_gateway(tmp_path: Path) -> None:
    need(*Framework)
    events: list[Event] = []
    file = project(tmp_path, [*AGENTS.values(), OURS])
    async with application(str(file)) as app:
        app.bus.subscribe(events.append)
        run = await app.launcher.start("Write a report.", tmp_path / "work")
        await app.engine.result(run.id)
        ended = await app.get_run(run.id)
        assert ended.status is RunStatus.SUCCEEDED, failures(events)
        calls = [event.agent for event in events if event.kind == "model_call.finished"]
        assert set(calls) == {"crew", "graph", "typed", "editor"}
        artifacts = {path.name for path in (tmp_path / "artifacts" / run.id).iterdir()}
        assert int((tmp_path / "artifacts" / run.id / "words.md").read_text()) > 2
        assert {"outline.md", "research.md", "typed.md", "words.md", "report.md"} <= artifacts


@pytest.mark.timeout(120)
async def test_a_graph_that_is_started_again_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    need(Framework.LANGGRAPH)
    file = project(tmp_path, [{**AGENTS[Framework.LANGGRAPH], "requires": []}])
    work = tmp_path / "work"
    (work / "strike").touch()
    events: list[Event] = []
    async with application(str(file)) as app:
        app.bus.subscribe(events.append)
        run = await app.launcher.start("Say it.", work, agent="graph")
        await app.engine.result(run.id)
        assert "a rehearsed fault" in failures(events)[-1]["message"]
        await app.launcher.resume(run.id)
        await app.engine.result(run.id)
        assert (await app.get_run(run.id)).status is RunStatus.SUCCEEDED, failures(events)
        # The node before the one that failed was not run again.
        assert (work / "collected").read_text() == "x"


async def test_a_framework_that_is_not_installed_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    file = project(tmp_path, [AGENTS[Framework.CREWAI]])
    (tmp_path / "var" / "frameworks").unlink()
    events: list[Event] = []
    async with application(str(file)) as app:
        app.bus.subscribe(events.append)
        run = await app.launcher.start("Say it.", tmp_path / "work", agent="crew")
        await app.engine.result(run.id)
    (failing,) = failures(events)
    assert failing["kind"] == "configuration"
    assert "orchestrator agents install crewai" in failing["message"]
