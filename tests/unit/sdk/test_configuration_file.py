from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestration.config.loader import load
from orchestration.errors import UsageError
from orchestration.sdk import Agent, Budget, Model, Project, Provider, Task, agent, tool
from orchestration.sdk.configuration_file import FILE
from orchestration.workflows.graph import agent_levels


@agent(outputs=["facts.md"])
def finder(task: Task) -> str:
    """Finds facts."""
    return task["goal"]


@tool(reads_only=True, seconds=5)
def lookup(word: str) -> str:
    """Looks a word up."""
    return word


@tool(name="lookup")
def another(word: str) -> str:
    """Has the same name."""
    return word


def test_what_is_declared_is_a_configuration_that_everything_else_can_use(tmp_path: Path) -> None:
    priced = Model(name="qwen3", input_usd_per_million=0.1, context_tokens=32_000)
    writer = Agent(
        "writer", tools=["read_file", lookup], requires=["facts.md"], parameters={"top_p": 0.5}, budget=Budget(usd=1)
    )
    project = Project(
        tmp_path,
        agents=[finder, writer],
        providers=[Provider.ollama("qwen3"), Provider("backup", "openai", priced, "http://127.0.0.1:9/v1")],
        budget=Budget(seconds=60, model_calls=9),
        settings={"runtime": {"limits": {"seconds": 30}}, "monitoring": {"retentionDays": 7}},
    )
    path = project.save()
    assert path == tmp_path / FILE
    found = load(path)
    assert found.errors == ()
    configuration = found.usable()
    assert configuration.runtime.fallback_providers == ("backup",)
    assert (configuration.runtime.limits.seconds, configuration.runtime.limits.model_calls) == (30, 9)
    assert configuration.monitoring.retention_days == 7
    assert configuration.tools["lookup"].reads_only
    assert agent_levels(configuration.agents, configuration.workflow) == (("finder",), ("writer",))
    settings = configuration.agent("writer")
    assert settings is not None
    assert (settings.limits.usd, settings.parameters.top_p, settings.tools) == (1, 0.5, ("read_file", "lookup"))


def test_the_file_of_a_person_is_left_alone_and_ones_own_is_replaced(tmp_path: Path) -> None:
    Project(tmp_path, agents=[finder]).save()
    Project(tmp_path, agents=[Agent("other")]).save()
    path = tmp_path / FILE
    written = json.loads(path.read_text())
    assert [one["id"] for one in written["agents"]] == ["other"]
    del written["metadata"]["writtenBy"]
    path.write_text(json.dumps(written))
    with pytest.raises(UsageError, match="was written by hand"):
        Project(tmp_path, agents=[finder]).save()
    assert Project(tmp_path).save() is None


def test_two_tools_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Two tools are called 'lookup'"):
        Project(tmp_path, agents=[Agent("a", tools=[lookup, another])]).save()
