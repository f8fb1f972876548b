"""The `invoke` tasks of the incident response playbook. Each calls the console command, so that there is one way to do
a thing; `orchestrator init` writes a `tasks.py` that imports them."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from invoke.context import Context
from invoke.tasks import task

__all__ = ["coordinator_run", "demo", "run_executor", "run_parallel", "run_planner", "run_reviewer", "validate_config"]

_HELP = {
    "goal": "what to work on",
    "goal-file": "a file with the goal, such as docs/backlog.md",
    "workspace": "the folder to work in; without it, the current one",
    "provider": "the provider to use; without it, the configuration's default",
}


@task(help=_HELP)
def run_planner(_: Context, goal: str = "", goal_file: str = "", workspace: str = "", provider: str = "") -> None:
    """Restart the planner's failed or stalled step; with a goal, run the planner alone on it."""
    _orchestrator("agents", "run", "planner", *_work(goal, goal_file, workspace, provider))


@task(help=_HELP)
def run_executor(_: Context, goal: str = "", goal_file: str = "", workspace: str = "", provider: str = "") -> None:
    """Restart the executor's failed or stalled step; with a goal, run the executor alone on it."""
    _orchestrator("agents", "run", "executor", *_work(goal, goal_file, workspace, provider))


@task(help=_HELP)
def run_reviewer(_: Context, goal: str = "", goal_file: str = "", workspace: str = "", provider: str = "") -> None:
    """Restart the reviewer's failed or stalled step; with a goal, run the reviewer alone on the workspace's changes."""
    _orchestrator("agents", "run", "reviewer", *_work(goal, goal_file, workspace, provider))


@task(help=_HELP)
def run_parallel(_: Context, goal: str = "", goal_file: str = "", workspace: str = "", provider: str = "") -> None:
    """Restart every agent: one failed or stalled step of each; with a goal, run all agents at once on it."""
    _orchestrator("agents", "run", "--all", *_work(goal, goal_file, workspace, provider))


@task(help=_HELP)
def coordinator_run(_: Context, goal: str = "", goal_file: str = "", workspace: str = "", provider: str = "") -> None:
    """Show every unfinished or failed run with its next command, and continue what can continue."""
    _orchestrator("coordinate", *_work(goal, goal_file, workspace, provider))


@task
def validate_config(_: Context) -> None:
    """Check config/agents.config.json and .env."""
    _orchestrator("config", "validate")


@task
def demo(_: Context) -> None:
    """Work on the sample repository, kill the provider in the middle, and show the repair."""
    _orchestrator("demo")


def _work(goal: str, goal_file: str, workspace: str, provider: str) -> tuple[str, ...]:
    options = {"goal-file": goal_file, "workspace": workspace, "provider": provider}
    given = tuple(part for name, value in options.items() if value for part in (f"--{name}", value))
    return (*given, "--", goal) if goal else given


def _orchestrator(*arguments: str) -> NoReturn:
    """Become the console command: its output, its signals, its exit code."""
    os.execv(sys.executable, [sys.executable, "-m", "orchestration", *arguments])  # noqa: S606 (no shell is wanted)
