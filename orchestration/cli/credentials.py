"""`orchestrator credentials`: probe an exposed credential whose value only a person still has."""

from __future__ import annotations

import sys

import click

from orchestration.app import project
from orchestration.cli import common
from orchestration.cli.output import echo
from orchestration.security.vendors.vendor import CredentialStatus

_NOTHING_KNOWN = "This value is not known to have been exposed."


@click.group()
def credentials() -> None:
    """Exposed credentials."""


@credentials.command("probe")
@click.argument("variable", metavar="[VARIABLE]", default="")
@common.json_option
@click.pass_obj
def probe(config: str, variable: str, as_json: bool) -> int:
    """Probe a value with a harmless call at its vendor; exit code 0 if it is refused.

    The value is asked for, or read from standard input; it is neither shown nor stored. VARIABLE is the name that it
    has in `.env`, which names the vendor where the form of the value does not.
    """
    # Only a probe needs the vendors.
    from orchestration.app.credential_check import check_credential

    if sys.stdin.isatty():
        value = click.prompt("Value", hide_input=True, default="", show_default=False, err=True)
    else:
        value = sys.stdin.read()
    with project(config) as here:
        found = common.run_async(lambda: check_credential(here, value.strip(), variable))
    if as_json:
        common.print_json(common.plain(found))
    else:
        echo(f"{found.status.value}: {found.evidence}")
        echo(f"Exposed in: {', '.join(found.incidents)}" if found.incidents else _NOTHING_KNOWN)
        if found.status is CredentialStatus.REFUSED and found.incidents:
            echo("End its duty with: orchestrator incidents duty-done INCIDENT NUMBER --evidence '…'")
    return 0 if found.status is CredentialStatus.REFUSED else 1
