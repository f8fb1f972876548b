"""The `invoke` tasks. Each calls the console command, so that there is one way to do a thing."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NoReturn

from invoke.context import Context
from invoke.tasks import task

_BIN = Path(sys.executable).parent


def _orchestrator(*arguments: str) -> NoReturn:
    """Become the console command: its output, its signals, its exit code."""
    os.execv(sys.executable, [sys.executable, "-m", "orchestration", *arguments])  # noqa: S606 (no shell is wanted)


def _given(name: str, value: str) -> tuple[str, ...]:
    return (f"--{name}", value) if value else ()


_HELP = {
    "goal": "what to work on; without it, docs/backlog.md or the sample",
    "workspace": "the folder to work in; without it, the current one",
    "provider": "the provider to use; without it, the configuration's default",
}


@task(help=_HELP)
def run_planner(_: Context, goal: str = "", workspace: str = "", provider: str = "") -> None:
    """Run the planner alone."""
    _run_agent("planner", goal, workspace, provider)


@task(help=_HELP)
def run_executor(_: Context, goal: str = "", workspace: str = "", provider: str = "") -> None:
    """Run the executor alone."""
    _run_agent("executor", goal, workspace, provider)


@task(help=_HELP)
def run_reviewer(_: Context, goal: str = "", workspace: str = "", provider: str = "") -> None:
    """Run the reviewer alone, on the changes that the workspace holds."""
    _run_agent("reviewer", goal, workspace, provider)


@task(help=_HELP)
def run_parallel(_: Context, goal: str = "", workspace: str = "", provider: str = "") -> None:
    """Run every agent at once, and resume what was left over."""
    _orchestrator("agents", "run", "--all", *_goal(goal, workspace, provider))


@task(help=_HELP)
def coordinator_run(_: Context, goal: str = "", workspace: str = "", provider: str = "") -> None:
    """Show the state of unfinished runs and go on with them; without any, start one."""
    _orchestrator("coordinate", *_goal(goal, workspace, provider))


@task
def validate_config(_: Context) -> None:
    """Check config/agents.config.json and .env."""
    _orchestrator("config", "validate")


@task
def demo(_: Context) -> None:
    """Work a real goal on the sample repository."""
    _orchestrator("demo")


@task(help={"only": "arguments for pytest, to run a part", "fast": "leave out the checks of style and types"})
def test(context: Context, only: str = "", fast: bool = False) -> None:  # noqa: PT028 (a task, not a test)
    """Run every check and every test."""
    if not fast and not only:
        for command in (
            "ruff check .",
            "ruff format --check .",
            "mypy",
            "lint-imports --no-logo",
            "deptry .",
            "codespell",
        ):
            context.run(f"{_BIN}/{command}", echo=True)
    context.run(f"{_BIN}/python -m tests.support.debian")
    # Most of the time tests wait for real processes, so three at once suit two cores; a file's tests share a server.
    arguments = only.split() or ["--numprocesses=3", "--dist=loadfile"]
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *arguments])  # noqa: S606 (no shell is wanted)


def _run_agent(agent: str, goal: str, workspace: str, provider: str) -> NoReturn:
    _orchestrator("agents", "run", agent, *_goal(goal, workspace, provider))


def _goal(goal: str, workspace: str, provider: str) -> tuple[str, ...]:
    options = (*_given("workspace", workspace), *_given("provider", provider))
    return (*options, "--", goal) if goal else options
