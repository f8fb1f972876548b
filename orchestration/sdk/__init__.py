"""The Python API: agents, tools, models, budgets and workflows in code, and their runs.

    from orchestration.sdk import Project, Task, agent

    @agent
    def greeter(task: Task) -> str:
        return f"hello, {task['goal']}"

    async def main() -> None:
        async with Project("greetings", agents=[greeter]) as project:
            result = await project.run("world")
            print(result.documents["greeter.md"])

A `Project` is the same engine, storage and gateway as `orchestrator run`, on the same folder; `Project.connect` is the
same calls against a server. Nothing heavy is imported before a project is opened, so that a process that only runs one
of your functions starts fast.
"""

from orchestration.declarations.agent import Agent, AgentFunction, agent
from orchestration.declarations.budget import Budget
from orchestration.declarations.provider import Model, Provider
from orchestration.declarations.task import Call, Task
from orchestration.declarations.tool import ToolFunction, tool
from orchestration.sdk.project import Project
from orchestration.sdk.results import RunFailedError, RunResult
from orchestration.sdk.run_handle import RunHandle

__all__ = [
    "Agent",
    "AgentFunction",
    "Budget",
    "Call",
    "Model",
    "Project",
    "Provider",
    "RunFailedError",
    "RunHandle",
    "RunResult",
    "Task",
    "ToolFunction",
    "agent",
    "tool",
]
