"""The server that `--server` names: its client, and how its records are printed."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from typing import Any

import click

from orchestration.cli import common
from orchestration.cli.output import echo
from orchestration.cli.render import console, table
from orchestration.client import Client
from orchestration.domain.console_command import PROGRAM

# A variable rather than an option: the arguments of a process are visible to every user of the machine.
TOKEN_VARIABLE = "ORCHESTRATOR_TOKEN"  # noqa: S105 (the variable's name)
# The largest page of the API; more would be refused by the server with a less helpful message.
limit_option = common.limit_option(most=500)


def client_of(context: click.Context) -> Client:
    """A client of the server."""
    # `--server` is an option of the outermost group, whatever subcommand this is.
    return Client(context.find_root().params["server"], os.environ.get(TOKEN_VARIABLE))


def program_of(context: click.Context) -> str:
    """How a further command on this server begins: with the option only where it was given as one."""
    root = context.find_root()
    if root.get_parameter_source("server") is not click.core.ParameterSource.COMMANDLINE:
        return PROGRAM  # the variable will name the server again
    return f"{PROGRAM} --server {shlex.quote(root.params['server'])}"


def print_record(found: Any, as_json: bool, text: str) -> None:
    """Print a record as JSON, or the text about it."""
    if as_json:
        common.print_json(found)
    else:
        echo(text)


def print_records(
    found: Any, as_json: bool, columns: Sequence[str], rows: Sequence[tuple[str, ...]], nothing: str
) -> None:
    """Print records as JSON or as a table, or say that there are none."""
    if as_json:
        common.print_json(found)
    elif rows:
        console().print(table(tuple(columns), rows))
    else:
        echo(nothing)
