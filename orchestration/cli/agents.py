"""`orchestrator agents`: list the agents, and run one or all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from orchestration.agents.frameworks.environments import FrameworkEnvironments
from orchestration.app import Application, application, project
from orchestration.app.agent_restart import restart, restartable_steps
from orchestration.app.run_states import run_states
from orchestration.cli import common
from orchestration.cli.output import echo
from orchestration.cli.render import console, table
from orchestration.cli.run import follow_to_end, patience_option
from orchestration.domain.framework import Framework
from orchestration.errors import NotFoundError, UsageError
from orchestration.storage.runs import Run


@click.group()
def agents() -> None:
    """The agents of the configuration."""


@agents.command("list")
@common.json_option
@click.pass_obj
def list_agents(config: str, as_json: bool) -> None:
    """List the agents."""
    with project(config) as here:
        found = here.configuration.agents
        if as_json:
            common.print_json([agent.model_dump(mode="json", by_alias=True, exclude_none=True) for agent in found])
            return
        rows = [
            (agent.id, agent.effective_role.value, ", ".join(agent.tools) or "none", agent.description)
            for agent in found
        ]
        console().print(table(("AGENT", "ROLE", "TOOLS", "DESCRIPTION"), rows))


@agents.command("run")
@click.argument("agent", required=False)
@click.argument("goal", nargs=-1)
@common.goal_file_option
@click.option("--all", "every", is_flag=True, help="Every agent at once.")
@common.workspace_option
@common.provider_option
@patience_option
@common.json_option
@click.pass_obj
def run_agent(
    config: str,
    agent: str | None,
    goal: tuple[str, ...],
    goal_file: Path | None,
    every: bool,
    workspace: Path | None,
    provider: str | None,
    patience: float,
    as_json: bool,
) -> int:
    """Run AGENT alone on GOAL. Without a goal, restart AGENT: continue the newest run in which its step has failed, was
    interrupted, or makes no progress."""
    if every:
        # click gives the first word to AGENT; with --all there is no agent to name, so it is part of the goal.
        goal = goal if agent is None else (agent, *goal)
    elif agent is None:
        raise UsageError("Name an agent, or use --all. `orchestrator agents list` shows all agents.")
    text = common.read_goal(goal, goal_file)
    if text is None and (workspace or provider):
        raise UsageError("--workspace and --provider are for a new run. Say what it should do: add a goal.")

    async def work() -> int:
        async with application(config) as app:
            names = [one.id for one in app.configuration.agents] if every else [str(agent)]
            if text is None:
                runs = await _restart(app, names, every=every, quiet=as_json)
            else:
                runs = await _start(app, names, text, workspace, provider)
            return await follow_to_end(app, runs, patience, as_json)

    return common.run_async(work)


@agents.command("install")
@click.argument("framework", type=click.Choice([one.value for one in Framework]))
@click.pass_obj
def install_framework(config: str, framework: str) -> None:
    """Install FRAMEWORK in an environment of its own, with pinned packages whose hashes are checked. Its crews, graphs
    and agents can then be used as agents."""
    with project(config) as here:
        environments = FrameworkEnvironments(here.state_folder, here.root)
    chosen = Framework(framework)
    environments.install(chosen, echo)
    echo(f"{framework} {environments.packages(chosen).get(chosen.package, '')} is installed")


@agents.command("environments")
@common.json_option
@click.pass_obj
def list_environments(config: str, as_json: bool) -> None:
    """List the frameworks, and the packages in their environments."""
    with project(config) as here:
        environments = FrameworkEnvironments(here.state_folder, here.root)
    found = [environments.state(one) for one in Framework]
    if as_json:
        common.print_json(found)
        return
    rows = [
        (one.framework.value, one.version or "not installed", str(len(one.packages)), str(one.folder)) for one in found
    ]
    console().print(table(("FRAMEWORK", "VERSION", "PACKAGES", "FOLDER"), rows))


async def _start(
    app: Application, agents: Sequence[str], goal: str, workspace: Path | None, provider: str | None
) -> list[Run]:
    folder = workspace or Path.cwd()
    started = [await app.launcher.start(goal, folder, agent=name, provider=provider) for name in agents]
    common.tell_what_is_hidden(goal, started[0].goal)
    return started


async def _restart(app: Application, agents: Sequence[str], *, every: bool, quiet: bool) -> list[Run]:
    """Restart one step of each agent; a run that several of them wait for is restarted once. With `every`, also
    continue the runs in which no agent has begun. Raises UsageError if there is nothing to restart."""
    unknown = [name for name in agents if app.configuration.agent(name) is None]
    if unknown:
        known = ", ".join(one.id for one in app.configuration.agents)
        raise NotFoundError(f"There is no agent '{unknown[0]}'. Configured agents: {known}.")
    restarted: dict[str, Run] = {}
    for name in agents:
        steps = [step for step in await restartable_steps(app, name) if step.run.id not in restarted]
        for step in steps[:1]:
            _say(f"restarting {name} in {step.run.id}" + (f": {step.run.reason}" if step.run.reason else ""), quiet)
            restarted[step.run.id] = await restart(app, step)
        for other in steps[1:]:
            _say(f"{name} is also needed in {other.run.id}; next: orchestrator runs resume {other.run.id}", quiet)
    if every:
        idle = [state.run for state in await run_states(app) if state.need.continues and state.run.id not in restarted]
        await app.launcher.resume_abandoned(idle)
        restarted |= {run.id: run for run in idle}
    if not restarted:
        raise UsageError(_nothing_to_restart(agents))
    return list(restarted.values())


def _nothing_to_restart(agents: Sequence[str]) -> str:
    who = agents[0] if len(agents) == 1 else "--all"
    whose = f"of {agents[0]}" if len(agents) == 1 else "of any agent"
    return (
        f"No step {whose} has failed, was interrupted or makes no progress, so there is nothing to restart. For new "
        f'work, give a goal: orchestrator agents run {who} "GOAL", or a file with --goal-file FILE.'
    )


def _say(line: str, quiet: bool) -> None:
    if not quiet:
        echo(line)
