from __future__ import annotations

from pathlib import Path

import pytest

from orchestration.agents import answers, prompts
from orchestration.config.agents import AgentRole, AgentSettings
from orchestration.errors import UsageError
from orchestration.workflows.model import AgentTask, PlanStep


def task(**values: object) -> AgentTask:
    given = {"run_id": "r", "agent": "executor", "role": AgentRole.EXECUTOR, "goal": " Mend it. ", **values}
    return AgentTask.model_validate(given)


@pytest.mark.parametrize("role", AgentRole)
def test_every_role_has_its_prompt_with_the_form_of_its_answer(role: AgentRole) -> None:
    text = prompts.system_prompt(AgentSettings(id="x", role=role, description="Sings."), answers.OUTPUTS[role], Path())
    assert text.startswith(f"Role: {role.value}\n")
    assert "Your part: Sings." in text
    # Text is asked for as text.
    assert ('"properties"' in text) == (role is not AgentRole.WORKER)


def test_a_prompt_of_ones_own_is_found_below_the_root(tmp_path: Path) -> None:
    (tmp_path / "mine.md").write_text("Do as I say.")
    agent = AgentSettings(id="executor", prompt="mine.md")
    assert prompts.system_prompt(agent, answers.OUTPUTS[AgentRole.EXECUTOR], tmp_path).startswith("Do as I say.")


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_prompt_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "mine.md").write_bytes(content)
    agent = AgentSettings(id="executor", prompt="mine.md")
    with pytest.raises(UsageError, match=r"expected a prompt that can be read, got '.*mine\.md'.*correct `prompt`"):
        prompts.system_prompt(agent, answers.OUTPUTS[AgentRole.EXECUTOR], tmp_path)


def test_a_task_tells_the_goal_the_step_and_what_came_before() -> None:
    step = PlanStep(id="s1", title="Round", instructions="Round up.", files=("a.py", "b.py"), done_when="tests pass")
    text = prompts.task_prompt(task(step=step, context={"plan.md": "the plan\n", "empty.md": " "}))
    assert text == (
        "Goal:\nMend it.\n\nYour step: Round\n\nRound up.\n\nFiles of this step: a.py, b.py\n\n"
        "Done when: tests pass\n\n--- plan.md ---\nthe plan"
    )


def test_a_document_that_no_model_could_read_is_cut() -> None:
    text = prompts.task_prompt(task(context={"changes.patch": "+x\n" * 100_000}))
    assert len(text) < 61_000
    assert text.endswith("239,999 more characters were cut; look into the workspace for the rest]")
