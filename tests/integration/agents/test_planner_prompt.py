"""What a planner is given of a repository fits its model, whatever the repository looks like."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.repositories import GOAL, SHAPES, WINDOWS, RepositoryShape, planner_prompt, search, write_repository
from orchestration.agents.context_budget import map_tokens, task_bytes
from orchestration.agents.project_brief import project_map
from orchestration.agents.prompts import task_prompt
from orchestration.agents.usage_budget import AgentSetup
from orchestration.config.agents import AgentRole
from orchestration.providers.dialects.context_window import estimated_tokens, fold, room_for_prompt
from orchestration.workflows.model import AgentTask

LARGE = [(SHAPES[0], 5000), (SHAPES[1], 5000)]


@pytest.mark.parametrize(
    ("shape", "count"), [*((shape, 200) for shape in SHAPES), *LARGE], ids=lambda one: str(getattr(one, "name", one))
)
def test_the_prompt_of_a_planner_fits_a_small_and_a_usual_context(
    tmp_path: Path, shape: RepositoryShape, count: int
) -> None:
    write_repository(tmp_path, shape, count)
    for window in WINDOWS:
        body = planner_prompt(tmp_path, window)
        # With as much left for the work as the task takes.
        task = len(body["messages"][1]["content"].encode()) / 3
        assert estimated_tokens(body) + task <= room_for_prompt(body, window) + 100
        assert fold(body, window).body is body
        content = body["messages"][1]["content"]
        assert content.startswith(f"Goal:\n{GOAL}")
        assert "The project's instructions, from AGENTS.md" in content
        assert f"{count + 1} files" in content
        # The map is a map: there are files in it, or else folders, and nothing of it was cut off.
        drawn = project_map(tmp_path, map_tokens(window))
        assert drawn in content
        assert len(drawn.encode()) / 3 <= map_tokens(window) + 60
        assert drawn.count("\n") >= 5 or shape.name == "generated"


@pytest.mark.parametrize("count", [200, 5000])
def test_a_search_finds_what_is_there_among_many(tmp_path: Path, count: int) -> None:
    root = tmp_path / "repository"
    write_repository(root, SHAPES[4], count)
    assert f"def handle_{count - 1}_3(order):" in search(root, f"def handle_{count - 1}_3")
    assert "(nothing found)" in search(root, "nothing like this")
    assert "were not searched" in search(root, "data = ")


@pytest.mark.parametrize("window", [2048, 8192, 32_768, 200_000])
@pytest.mark.parametrize("sizes", [(50_000,), (100, 90_000), (20_000, 20_000, 20_000), (10,) * 12])
def test_documents_share_what_the_goal_leaves_and_short_ones_stay_whole(window: int, sizes: tuple[int, ...]) -> None:
    setup = AgentSetup(
        system="s" * 2000, tools=(), limits={}, attempts=1, provider=None, model=None, entry_point=None,
        context_tokens=window,
    )  # fmt: skip
    context = {f"document {number}": "文" * (size // 3) for number, size in enumerate(sizes)}
    task = AgentTask(run_id="r", agent="a", role=AgentRole.REVIEWER, goal=GOAL, context=context)
    most = task_bytes(setup)
    assert most is not None
    text = task_prompt(task, most)
    assert len(text.encode()) <= most + 200 * len(sizes)
    assert text.startswith(f"Goal:\n{GOAL}")
    for name, document in context.items():
        assert f"--- {name} ---" in text
        whole = f"--- {name} ---\n{document}" in text
        assert whole or "more characters were cut" in text
        assert whole or len(document.encode()) > 400
