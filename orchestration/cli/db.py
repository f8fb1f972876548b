"""`orchestrator db`: check, upgrade and move the database."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import click
import sqlalchemy as sa

from orchestration.app import project
from orchestration.app.database_move import move, tables_of
from orchestration.app.project_database import database_address
from orchestration.cli import common
from orchestration.cli.output import echo
from orchestration.cli.render import console, table
from orchestration.errors import UsageError
from orchestration.storage.database import HEAD, Database
from orchestration.storage.transfer import TableDigest


@click.group()
def db() -> None:
    """The database of the project."""


@db.command()
@common.json_option
@click.pass_obj
def check(config: str, as_json: bool) -> int:
    """Show the version of the tables, and count and checksum each of them. Exit code 1 if an upgrade is due."""
    with contextlib.closing(_opened(config)) as database:
        version = database.version()
        found = list(tables_of(database)) if version == HEAD else []
    if as_json:
        common.print_json({"version": version, "wanted": HEAD, "tables": found})
        return 0 if version == HEAD else 1
    if version != HEAD:
        echo(f"version {version or 'none'}; this release has {HEAD}. Upgrade it with: orchestrator db upgrade")
        return 1
    rows = [(one.table, f"{one.rows:,}", one.sha256[:16]) for one in found if one.rows]
    console().print(table(("TABLE", "ROWS", "SHA-256"), rows))
    echo(f"version {version}, {sum(one.rows for one in found):,} rows")
    return 0


@db.command()
@click.pass_obj
def upgrade(config: str) -> None:
    """Bring the tables up to this release. Any other command does this as well when it opens the database; with this
    one it is done before the first process of a new release starts. Processes of the previous release keep working."""
    with contextlib.closing(_opened(config)) as database:
        before = database.version()
        database.migrate()
    echo(f"version {HEAD}, as before" if before == HEAD else f"version {before or 'none'} → {HEAD}")


@db.command("move")
@click.option("--to", "variable", required=True, metavar="NAME", help="The variable with the address to move to.")
@common.json_option
@click.pass_obj
def move_database(config: str, variable: str, as_json: bool) -> None:
    """Copy all records and checkpoints to an empty PostgreSQL database, and compare counts and checksums.

    The address is read from a variable of the environment or of `.env`, since it holds a password. What is here stays
    as it is; afterwards, name the variable in `runtime.databaseUrlEnv`.
    """
    with project(config) as here:
        url = os.environ.get(variable) or here.store.credentials.get(variable)
        if not url:
            raise UsageError(f"{variable} is not set. Put {variable}=postgresql+psycopg://… into .env.")
        moved: list[TableDigest] = []
        rows = move(here, url, moved.append)
    if as_json:
        common.print_json({"rows": rows, "tables": moved})
        return
    shown = [(one.table, f"{one.rows:,}", one.sha256[:16]) for one in moved if one.rows]
    console().print(table(("TABLE", "ROWS", "SHA-256"), shown))
    echo(f"{rows:,} rows have been moved, and are the same on both sides")
    echo(f'now set "databaseUrlEnv": "{variable}" under `runtime` in {config}')


def _opened(config: str) -> Database:
    """The database as it is: opening the project would upgrade it. Raises UsageError."""
    url = database_address(Path(config), dict(os.environ))
    file = sa.make_url(url)
    if file.get_backend_name() == "sqlite" and not Path(file.database or "").exists():
        raise UsageError(f"There is no database yet: {file.database} is made by the first run.")
    return Database(url)
