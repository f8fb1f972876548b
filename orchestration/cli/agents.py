"""`orchestrator agents`: list the agents, and run one or all of them."""

from __future__ import annotations

from pathlib import Path

import click

from orchestration.app import application, project
from orchestration.cli import common
from orchestration.cli.follow import conclude, follow
from orchestration.cli.render import console, table
from orchestration.cli.run import patience_option, start_given_or_sample
from orchestration.errors import UsageError


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
@click.option("--all", "every", is_flag=True, help="Run every agent at once, and resume interrupted runs.")
@common.workspace_option
@common.provider_option
@patience_option
@common.json_option
@click.pass_obj
def run_agent(
    config: str,
    agent: str | None,
    goal: tuple[str, ...],
    every: bool,
    workspace: Path | None,
    provider: str | None,
    patience: float,
    as_json: bool,
) -> int:
    """Run AGENT alone on GOAL; without a goal, on the workspace's docs/backlog.md or on the sample."""
    # click gives the first word to AGENT; with --all there is no agent to name, so it is part of the goal.
    if every and agent is not None:
        goal = (agent, *goal)
    if not every and agent is None:
        raise UsageError("Name an agent, or use --all. `orchestrator agents list` shows all agents.")
    text = common.read_goal(goal, None)

    async def work() -> int:
        async with application(config) as app:
            left_over = list(await app.control.unfinished()) if every else []  # before the new runs start
            names = [one.id for one in app.configuration.agents] if every or agent is None else [agent]
            runs = [await start_given_or_sample(app, text, workspace, agent=name, provider=provider) for name in names]
            await app.launcher.resume_abandoned(left_over)
            ended = await follow(app, [*left_over, *runs], patience=patience, quiet=as_json)
            if as_json:
                common.print_json(ended)
            return conclude(app, ended, quiet=as_json)

    return common.run_async(work)
