"""`python -m benchmarks.repositories [FILES…]`: what a planner is given of repositories of many shapes, whether it fits
small contexts, and how much processor time the map and a search take: what a stopwatch says depends on who else is at
work."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.arguments import arguments
from orchestration.agents.context_budget import map_tokens, task_bytes
from orchestration.agents.conversation import AgentConversation
from orchestration.agents.project_brief import project_brief, project_map
from orchestration.agents.prompts import system_prompt
from orchestration.agents.sandbox import SandboxLimits
from orchestration.agents.tools import ToolContext
from orchestration.agents.tools.notes import FolderNotes
from orchestration.agents.tools.registry import ALL
from orchestration.agents.usage_budget import AgentSetup
from orchestration.config.agents import AgentRole, AgentSettings
from orchestration.providers.dialects.context_window import estimated_tokens, room_for_prompt
from orchestration.security.safe_folder import SafeFolder
from orchestration.workflows import documents
from orchestration.workflows.model import AgentTask, RunPlan

GOAL = "Make the tests of the order service pass, and say in the changelog what has changed."
WINDOWS = (8_192, 32_768)
PLANNER = AgentSettings(id="planner", tools=("repository_map", "read_file", "list_files", "search_files"))
_ROUNDS = 5
_FUNCTIONS = 8


@dataclass(frozen=True, slots=True)
class RepositoryShape:
    """How a generated repository looks: the path of each file, and its content."""

    name: str
    path: Callable[[int], str]
    content: Callable[[int], bytes]


def _code(number: int) -> bytes:
    functions = (f"def handle_{number}_{place}(order):\n    return order\n\n" for place in range(_FUNCTIONS))
    return f"from core.engine import run\nimport module_{number // 2}\n\n{''.join(functions)}".encode()


def _mixed(number: int) -> bytes:
    """Mostly code; each tenth file is binary, and one is huge."""
    if number == 7:
        return b"var data = [" + b"1234567890," * 400_000 + b"];\n"
    return os.urandom(2048) + b"\0" if number % 10 == 3 else _code(number)


def _one_long_name(number: int) -> bytes:
    return b"export const " + b"x" * (5000 + number) + b" = 1;\n"


SHAPES = (
    RepositoryShape("wide", lambda n: f"src/module_{n}.py", _code),
    RepositoryShape("deep", lambda n: f"{'/'.join(f'level{n // 8 % 7}{d}' for d in range(12))}/module_{n}.py", _code),
    RepositoryShape(
        "long names",
        lambda n: f"src/{'a_very_long_package_name_' * 4}{n % 50}/{'and_a_longer_module_name_' * 6}{n}.py",
        lambda n: _code(n).replace(b"handle_", b"handle_" + b"the_thing_" * 30),
    ),
    RepositoryShape(
        "not ASCII", lambda n: f"原始碼/模組{n % 30}/файл_{n}_ümlaut.py", lambda n: f"def 関数_{n}(): ...\n".encode()
    ),
    RepositoryShape("mixed", lambda n: f"part{n % 40}/{'bundle.js' if n == 7 else f'file_{n}.py'}", _mixed),
    RepositoryShape("generated", lambda n: f"lib/gen{n}.ts", _one_long_name),
)


def write_repository(root: Path, shape: RepositoryShape, count: int) -> None:
    """Write a repository with long instructions of its own."""
    for number in range(count):
        file = root / shape.path(number)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(shape.content(number))
    (root / "AGENTS.md").write_text("".join(f"{n}. Keep to what the module does; 規則 {n}.\n" for n in range(2000)))


def planner_prompt(root: Path, window: int) -> dict[str, object]:
    """The first request of a planner, as the agent loop makes it for a model with that context."""
    setup = AgentSetup(
        system=system_prompt(PLANNER, RunPlan, root),
        tools=tuple(ALL[name].schema() for name in PLANNER.tools),
        limits={},
        attempts=1,
        provider=None,
        model=None,
        entry_point=None,
        context_tokens=window,
    )
    told = {
        documents.INSTRUCTIONS: project_brief(root),
        documents.MAP: project_map(root, map_tokens(window)),
    }
    task = AgentTask(run_id="r", agent="planner", role=AgentRole.PLANNER, goal=GOAL, context=told)
    messages = AgentConversation(task, RunPlan, task_bytes(setup)).messages(setup)
    return {"messages": messages, "tools": list(setup.tools)}


def search(root: Path, pattern: str) -> str:
    """What the tool `search_files` finds."""
    notes = FolderNotes(root.parent / "notes", str)
    context = ToolContext(SafeFolder(root), (), SandboxLimits(), lambda _: None, notes)

    async def run() -> str:
        tool = ALL["search_files"]
        return (await tool.run(context, tool.arguments.model_validate({"pattern": pattern}))).text

    return asyncio.run(run())


def _seconds(function: Callable[[], object]) -> float:
    """Processor time, that of child processes included: the median of several rounds, of which the first warms the
    cache of the file system."""
    function()
    taken = []
    for _ in range(_ROUNDS):
        before = sum(os.times()[:4])
        function()
        taken.append(sum(os.times()[:4]) - before)
    return statistics.median(taken)


def _row(shape: RepositoryShape, count: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "repository"
        write_repository(root, shape, count)
        cells = []
        for window in WINDOWS:
            body = planner_prompt(root, window)
            fits = estimated_tokens(body) <= room_for_prompt(body, window)
            cells.append(f"{estimated_tokens(body):,}{'' if fits else ' TOO LONG'}")
        drawn = _seconds(lambda: project_map(root, map_tokens(WINDOWS[1])))
        found = _seconds(lambda: search(root, r"def handle_1\d*_3"))
        missed = _seconds(lambda: search(root, "nothing like this"))
    return f"| {shape.name} | {count:,} | {' | '.join(cells)} | {drawn:.2f} | {found:.2f} | {missed:.2f} |"


def main(counts: Sequence[int]) -> None:
    """Print the table."""
    rooms = " | ".join(f"tokens of {room_for_prompt({}, window):,} at {window // 1024}k" for window in WINDOWS)
    print(f"| repository | files | {rooms} | map, s | search, s | in vain, s |")
    print(f"| --- | ---: | {'---: | ' * (len(WINDOWS) + 3)}".rstrip())
    for count in counts:
        for shape in SHAPES:
            print(_row(shape, count), flush=True)


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("files", nargs="*", type=int, default=[200, 5_000], help="how many files of a repository")
    main(parser.parse_args().files)
