"""`orchestrator backups`: make, list, check and restore."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from pathlib import Path

import click

from orchestration.app import project
from orchestration.app.maintenance import BackupSource, vault_of
from orchestration.cli import common
from orchestration.cli.render import age, console, table
from orchestration.clock import SystemClock
from orchestration.events.maintenance import BackupRestored
from orchestration.maintenance.backups import Backup

_backup_argument = click.argument("backup", metavar="BACKUP", default="latest")


@click.group()
def backups() -> None:
    """Backups: BACKUP is an identifier, an end of one that fits no other, or `latest`."""


@backups.command()
@common.json_option
@click.pass_obj
def make(config: str, as_json: bool) -> None:
    """Make a backup while everything runs, open it again and check it; only then does it count."""
    with project(config) as here:
        backup = vault_of(here).make()
        if as_json:
            common.print_json(_described(backup))
        else:
            click.echo(f"{backup.id}: {_size(backup)}, made and checked in {backup.seconds:.1f} s")


@backups.command("list")
@common.json_option
@click.pass_obj
def list_backups(config: str, as_json: bool) -> None:
    """List the good backups, the newest first."""
    store = BackupSource(Path(config))
    found = store.vault.list()
    if as_json:
        common.print_json([_described(one) for one in found])
    elif found:
        _print(found)
    else:
        click.echo(f"no backup in {store.vault.folder}; make one with `orchestrator backups make`")


@backups.command()
@_backup_argument
@common.json_option
@click.pass_obj
def verify(config: str, backup: str, as_json: bool) -> int:
    """Restore BACKUP into a scratch database and check that. Exit code 1 if it is not good."""
    vault = BackupSource(Path(config)).vault
    tried = vault.verify(vault.find(backup))
    if as_json:
        common.print_json({**common.plain(tried), "good": tried.good})
    elif tried.good:
        click.echo(f"{tried.backup}: good; restored into a scratch database and checked in {tried.seconds:.1f} s")
    else:
        click.echo(f"{tried.backup}: NOT good: {'; '.join(tried.problems)}")
    return 0 if tried.good else 1


@backups.command()
@click.argument("backup", metavar="BACKUP")
@click.option("--yes", is_flag=True, help="Do not ask.")
@common.json_option
@click.pass_obj
def restore(config: str, backup: str, yes: bool, as_json: bool) -> None:
    """Put BACKUP in the place of the database, once it has been checked; the old one is kept aside.

    Refused while a process of the system runs. Unfinished runs go on from where the backup has them.
    """
    store = BackupSource(Path(config))
    found = store.vault.find(backup)
    if not yes:
        made = f"{found.made_at:%Y-%m-%d %H:%M} UTC"
        click.confirm(f"Put {found.id}, made {made}, in the place of the database?", abort=True)
    restored = store.vault.restore(found, store.in_use)
    with project(config) as here:
        actor, seconds = getpass.getuser(), restored.seconds
        here.bus.publish(BackupRestored(backup=restored.backup, aside=restored.aside, seconds=seconds), actor=actor)
    if as_json:
        common.print_json(restored)
    else:
        click.echo(f"{restored.backup} restored in {restored.seconds:.1f} s; the old one is kept: {restored.aside}")


def _print(found: Sequence[Backup]) -> None:
    now = SystemClock().now()
    rows = [(one.id, age(now, one.made_at), _size(one), one.source, one.version) for one in found]
    console().print(table(("BACKUP", "AGE", "SIZE", "OF", "TABLES"), rows))


def _size(backup: Backup) -> str:
    return f"{backup.bytes:,} bytes, {backup.rows:,} rows"


def _described(backup: Backup) -> dict[str, object]:
    return {**common.plain(backup), "bytes": backup.bytes, "rows": backup.rows}
