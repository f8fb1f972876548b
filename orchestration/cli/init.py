"""`orchestrator init`: create a project."""

from __future__ import annotations

from pathlib import Path

import click

from orchestration.app.starter import PROVIDERS, begin, credential
from orchestration.cli import common


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option(
    "--provider", type=click.Choice(PROVIDERS), default="ollama", show_default=True, help="The provider to use first."
)
@common.json_option
def init(folder: Path, provider: str, as_json: bool) -> None:
    """Write the configuration of a new project, and the tasks of the playbook for `invoke`, into FOLDER, by default the
    current one. Existing files are kept."""
    written = [str(path) for path in begin(folder, provider)]
    # The name of the variable and never its value: the key belongs in .env, and the user puts it there.
    key = credential(provider)
    if as_json:
        common.print_json({"written": written, "provider": provider, "credential": key or None})
        return
    for path in written:
        click.echo(f"wrote {path}")
    click.echo("\nnext:")
    if folder != Path():
        click.echo(f"  cd {folder}")
    if key:
        click.echo(f"  put {key}=… into .env, and set its endpoint in the configuration")
    click.echo("  orchestrator doctor            says what is missing")
    click.echo('  orchestrator run "GOAL"        works a goal in the current folder')
    click.echo("  orchestrator serve             keeps agents, response and dashboard running")
