"""`orchestrator isolate`: turn isolation mode on, lift it, and show it; here or on a server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from orchestration.app import project
from orchestration.app.isolation import isolate as isolate_system
from orchestration.app.isolation import lift
from orchestration.cli import common
from orchestration.cli.output import echo
from orchestration.config.isolation import LIFT, Isolation, isolation_of

_NOT_ISOLATED = "The system is not isolated."
reason_option = click.option("--reason", required=True, help="Why; it is shown on every status surface.")
incident_option = click.option("--incident", metavar="INCIDENT", help="The incident that it is done for.")
Echo = Callable[[str], None]


def echo_isolation(found: Isolation | None, echo: Echo = echo) -> None:
    """Print the isolation and how to lift it, if there is one. Every status surface begins with this."""
    if found is not None:
        echo(f"{found.sentence}\n    {found.remedy}")


def echo_isolation_record(found: Mapping[str, Any] | None) -> None:
    """The same, from the record of a server."""
    if found is not None:
        echo(f"{found['summary']}\n    {found['lift']}")


def print_isolation(found: Mapping[str, Any] | None, as_json: bool, done: str = "") -> None:
    """Print the isolation as it is now, after what was done."""
    if as_json:
        common.print_json({"isolated": found is not None, "isolation": found})
        return
    if done:
        echo(done)
    if found is not None:
        echo_isolation_record(found)
    elif not done:
        echo(_NOT_ISOLATED)


@click.group()
def isolate() -> None:
    """Isolation mode: no run starts or is resumed, agents have no tools, clients get no model calls."""


@isolate.command()
@reason_option
@incident_option
@common.json_option
@click.pass_obj
def on(config: str, reason: str, incident: str | None, as_json: bool) -> None:
    """Isolate the system. Isolating it once more changes nothing."""
    with project(config) as here:
        found, changed = isolate_system(here, reason=_given(reason), actor=common.user_name(), incident=incident)
    print_isolation(found.as_json(), as_json, "" if changed else "It was isolated already; nothing was changed.")


@isolate.command()
@reason_option
@common.json_option
@click.pass_obj
def off(config: str, reason: str, as_json: bool) -> None:
    """Lift the isolation. Lifting it once more changes nothing."""
    with project(config) as here:
        lifted = lift(here, reason=_given(reason), actor=common.user_name())
    print_isolation(None, as_json, _NOT_ISOLATED if lifted is None else "The isolation is lifted.")


@isolate.command()
@common.json_option
@click.pass_obj
def status(config: str, as_json: bool) -> None:
    """Show whether the system is isolated, since when, by whom and why."""
    with project(config) as here:
        found = isolation_of(here.store)
    print_isolation(None if found is None else found.as_json(), as_json)


def _given(reason: str) -> str:
    if not reason.strip():
        raise click.UsageError(f"The reason is empty. Say why, for example: {LIFT}")
    return reason.strip()
