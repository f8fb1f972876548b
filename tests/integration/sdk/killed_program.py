"""A program with a project of its own, which the tests kill: `killed_program.py FOLDER`."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from orchestration.sdk import Agent, Call, Project, Task, agent, tool
from orchestration.testing import RehearsalModel, call


def note(workspace: str, line: str) -> None:
    """Write down what was done, in the order in which it was."""
    with (Path(workspace) / "notes").open("a") as file:
        file.write(line + "\n")


@agent(outputs=["first.md"])
def first(task: Task) -> str:
    note(task["workspace"], "first")
    return "one"


@tool
def transfer(amount: int, call: Call) -> str:
    """Transfers money, which must not happen twice."""
    note(call.workspace, f"transfer {amount}")
    if not (Path(call.workspace) / "go").exists():
        time.sleep(600)
    return "done"


async def main(folder: Path) -> None:
    (folder / "work").mkdir(exist_ok=True)
    async with RehearsalModel(
        lambda request: call("transfer", amount=5) if not request.turn else request.past_calls[0].result
    ) as model:
        teller = Agent("teller", tools=[transfer], requires=["first.md"], outputs=["receipt.md"])
        project = Project(folder, agents=[first, teller], providers=[model.provider])
        result = await project.run("pay once", folder / "work")
        print(result.id, result.status, result.documents["receipt.md"], flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
