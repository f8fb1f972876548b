"""`orchestrator heartbeats`: what reports that it is alive, and what does not."""

from __future__ import annotations

from datetime import datetime

import click

from orchestration.app import project
from orchestration.app.heartbeats import heartbeats_of
from orchestration.cli import common
from orchestration.cli.output import echo
from orchestration.cli.render import console, table


@click.command()
@common.json_option
@click.pass_obj
def heartbeats(config: str, as_json: bool) -> None:
    """List the heartbeats: when each was heard last, and by when it has to be heard next."""
    with project(config) as here:
        found = heartbeats_of(here)
        if as_json:
            common.print_json(found)
        elif not found:
            echo("no heartbeats are expected; name them in alerting.heartbeats")
        else:
            rows = [
                (one.name, one.status.value, _time(one.heard_at), _time(one.deadline), one.severity.value, one.expected)
                for one in found
            ]
            console().print(
                table(("HEARTBEAT", "STATUS", "HEARD (UTC)", "AT THE LATEST", "SEVERITY", "EXPECTED"), rows)
            )


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else "never"
