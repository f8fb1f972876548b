"""A crew and a graph are hung, killed and leaked from, and the response repairs each. On demand: it takes minutes."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestration.clock import SystemClock
from orchestration.drills import runner
from orchestration.drills.environment import DrillEnvironment
from orchestration.drills.faults.fixtures import FAULTY, with_files
from orchestration.drills.faults.programs import DRILLS
from orchestration.drills.model import Drill
from orchestration.drills.project import agents
from tests.support.project import ROOT

WANTED = os.environ.get("ORCHESTRATOR_TEST_FRAMEWORK_DRILLS")
INSTALLED = ROOT / "var" / "frameworks"
# Importing one takes longer than most agents are silent.
STALLED_SECONDS = 20

CREW = """
import os
from pathlib import Path

import drill_agent
from crewai import Agent, BaseLLM, Crew, Task


class Faulty(BaseLLM):
    def call(self, *args, **kwargs):
        drill_agent.run(Path(os.environ["ORCHESTRATOR_WORKSPACE"]))
        return "Thought: I now can give a great answer\\nFinal Answer: done"

    def supports_function_calling(self):
        return False


def crew():
    worker = Agent(role="worker", goal="Work.", backstory="It works.", llm=Faulty(model="faulty"))
    return Crew(agents=[worker], tasks=[Task(description="{goal}", expected_output="work", agent=worker)])
"""
GRAPH = """
import os
from pathlib import Path

import drill_agent
from langgraph.graph import END, START, MessagesState, StateGraph


def work(state):
    drill_agent.run(Path(os.environ["ORCHESTRATOR_WORKSPACE"]))
    return {"messages": [{"role": "assistant", "content": "done"}]}


graph = StateGraph(MessagesState)
graph.add_node("work", work)
graph.add_edge(START, "work")
graph.add_edge("work", END)
"""
FRAMEWORKS = {"crewai": ("crews.py", CREW, "crews:crew"), "langgraph": ("graphs.py", GRAPH, "graphs:graph")}


async def link_environments(environment: DrillEnvironment) -> None:
    state = environment.folder / "var"
    state.mkdir(mode=0o700, exist_ok=True)
    (state / "frameworks").symlink_to(INSTALLED)


def with_framework(drill: Drill, framework: str) -> Drill:
    """The same drill, of an agent of this framework."""
    name, text, entry_point = FRAMEWORKS[framework]
    agent: dict[str, Any] = {
        "id": "program",
        "role": "worker",
        "description": "An agent of another framework",
        "framework": framework,
        "entryPoint": entry_point,
        "limits": {"seconds": 300, "memoryMb": 1024},
    }
    configuration = {"agents": [*agents(), agent], "monitoring": {"thresholds": {"stalledSeconds": STALLED_SECONDS}}}
    setting = with_files({"drill_agent.py": FAULTY, name: text}, **configuration)
    expects = replace(drill.expects, holds=STALLED_SECONDS) if drill.name == "program-blocks" else drill.expects
    # Begun again, it has to import everything once more.
    return replace(drill, expects=replace(expects, lasts=30.0), setting=setting, prepare=link_environments)


@pytest.mark.timeout(600)
@pytest.mark.skipif(WANTED is None, reason="on demand: ORCHESTRATOR_TEST_FRAMEWORK_DRILLS=1, minutes for each")
@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("drill", DRILLS, ids=lambda drill: drill.name)
async def test_an_agent_of_a_framework_is_repaired(drill: Drill, framework: str, tmp_path: Path) -> None:
    if not (INSTALLED / framework / "installed.txt").exists():
        pytest.skip(f"NOT TESTED: install {framework} with `orchestrator agents install {framework}` in {ROOT}")
    result = await runner.run_drill(with_framework(drill, framework), SystemClock(), keep=tmp_path)
    assert result.passed, (result.misses, result.seen.problem)
