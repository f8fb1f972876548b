"""`orchestrator backups`: make, list, verify and restore."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from orchestration.app import project
from orchestration.app.maintenance import BackupSource, vault_of
from orchestration.cli import common
from orchestration.cli.output import echo
from orchestration.cli.render import age, console, table
from orchestration.clock import SystemClock
from orchestration.events.maintenance import BackupRestored
from orchestration.maintenance.backups import Backup

_backup_argument = click.argument("backup", metavar="BACKUP", default="latest")


@click.group()
def backups() -> None:
    """Backups: BACKUP is an id, a unique beginning or end of one, or `latest`."""


@backups.command()
@common.json_option
@click.pass_obj
def make(config: str, as_json: bool) -> None:
    """Make a backup while everything runs, and verify it; only then does it count."""
    with project(config) as opened:
        backup = vault_of(opened).make()
        if as_json:
            common.print_json(_described(backup))
        else:
            echo(f"{backup.id}: {_size(backup)}, made and checked in {backup.seconds:.1f} s")


@backups.command("list")
@common.json_option
@click.pass_obj
def list_backups(config: str, as_json: bool) -> None:
    """List the verified backups, the newest first."""
    # Not by way of the project, as in `make`: backups are looked for when the database is damaged or gone, and a
    # command that opens it first would fail exactly then.
    store = BackupSource(Path(config))
    found = store.vault.list()
    if as_json:
        common.print_json([_described(one) for one in found])
    elif found:
        _print(found)
    else:
        echo(f"no backup in {store.vault.folder}; make one with `orchestrator backups make`")


@backups.command()
@_backup_argument
@common.json_option
@click.pass_obj
def verify(config: str, backup: str, as_json: bool) -> int:
    """Restore BACKUP into a scratch database and check that. Exit code 1 if it is not good."""
    vault = BackupSource(Path(config)).vault
    verification = vault.verify(vault.find(backup))
    if as_json:
        common.print_json({**common.plain(verification), "good": verification.good})
    elif verification.good:
        echo(
            f"{verification.backup}: good; restored into a scratch database and checked in {verification.seconds:.1f} s"
        )
    else:
        echo(f"{verification.backup}: NOT good: {'; '.join(verification.problems)}")
    return 0 if verification.good else 1


@backups.command()
@click.argument("backup", metavar="BACKUP")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@common.json_option
@click.pass_obj
def restore(config: str, backup: str, yes: bool, as_json: bool) -> None:
    """Replace the database with BACKUP after verifying it; the old database is kept.

    Refused while a process of the system runs. Unfinished runs continue from where the backup has them.
    """
    store = BackupSource(Path(config))
    found = store.vault.find(backup)
    if not yes:
        made = f"{found.made_at:%Y-%m-%d %H:%M} UTC"
        click.confirm(f"Replace the database with {found.id}, made {made}?", abort=True)
    restored = store.vault.restore(found, store.in_use)
    # Opened only now, so that the event is on the timeline of the restored database and not of the one put aside.
    with project(config) as opened:
        actor, seconds = common.user_name(), restored.seconds
        opened.bus.publish(BackupRestored(backup=restored.backup, aside=restored.aside, seconds=seconds), actor=actor)
    if as_json:
        common.print_json(restored)
    else:
        echo(f"{restored.backup} restored in {restored.seconds:.1f} s; the old one is kept: {restored.aside}")


@backups.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def key(file: Path) -> None:
    """Make a private key for archives in FILE, and print its public one. Keep FILE away from this machine."""
    from orchestration.app.complete_archives import write_identity

    echo(
        f"{write_identity(file)}\nput this into maintenance.backups.recipients; {file} opens the archives: keep it safe"
    )


@backups.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--recipient", "recipients", multiple=True, help="A public key, age1… or of SSH. Repeatable.")
@common.json_option
@click.pass_obj
def archive(config: str, file: Path, recipients: tuple[str, ...], as_json: bool) -> None:
    """Make a backup, and write it with artifacts, configuration and `.env` to FILE, encrypted in the age format.

    Only its recipients can open it: those named here, else `maintenance.backups.recipients`.
    """
    from orchestration.app.complete_archives import write_archive

    with project(config) as opened:
        done = write_archive(opened, Path(config), file, recipients)
    if as_json:
        common.print_json(done)
    else:
        echo(f"{done.file}: {done.bytes:,} bytes, with {done.backup} and {', '.join(done.content)}")


@backups.command("open")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--identity", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The private key's file."
)
@click.option("--into", "folder", type=click.Path(path_type=Path, file_okay=False), required=True, help="A new folder.")
@common.json_option
def open_archive(file: Path, identity: Path, folder: Path, as_json: bool) -> None:
    """Open an archive: unpack the whole project into a new folder."""
    from orchestration.app.complete_archives import read_archive

    names = read_archive(file, identity, folder)
    if as_json:
        common.print_json({"folder": str(folder), "content": names})
    else:
        echo(f"{folder}: {', '.join(names)}")
        echo(f"next, in {folder}: orchestrator backups restore latest")


def _print(found: Sequence[Backup]) -> None:
    now = SystemClock().now()
    rows = [(one.id, age(now, one.made_at), _size(one), one.source, one.version) for one in found]
    console().print(table(("BACKUP", "AGE", "SIZE", "OF", "TABLES"), rows))


def _size(backup: Backup) -> str:
    return f"{backup.bytes:,} bytes, {backup.rows:,} rows"


def _described(backup: Backup) -> dict[str, object]:
    return {**common.plain(backup), "bytes": backup.bytes, "rows": backup.rows}
