"""`orchestrator init`: create a project."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click

from orchestration.app.found_providers import FoundProvider, find_providers, ollama_models
from orchestration.app.starter import PROVIDERS, begin, credential
from orchestration.cli import common
from orchestration.cli.output import echo

_USUAL = "ollama"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option(
    "--provider",
    type=click.Choice(PROVIDERS),
    help=f"The provider to use first.  [default: the first that is found here, else {_USUAL}]",
)
@common.json_option
def init(folder: Path, provider: str | None, as_json: bool) -> None:
    """Write the configuration of a new project, and the tasks of the playbook for `invoke`, into FOLDER, by default the
    current one. Existing files are kept; `.gitignore` gets what must not be committed.

    It finds what this machine offers: keys in the environment (OPENAI_API_KEY, ANTHROPIC_API_KEY,
    AZURE_OPENAI_API_KEY with AZURE_OPENAI_ENDPOINT, GITHUB_TOKEN), and a running Ollama.
    """
    found = find_providers(os.environ, ollama_models(os.environ))
    chosen = next((one for one in found if provider in (None, one.name)), FoundProvider(provider or _USUAL, ""))
    written = [str(path) for path in begin(folder, chosen.name, chosen.settings)]
    # The name of the variable and never its value: the key belongs in .env, and the user puts it there.
    key = credential(chosen.name)
    if as_json:
        listed = [{"provider": one.name, "reason": one.reason} for one in found]
        common.print_json({"written": written, "provider": chosen.name, "credential": key or None, "found": listed})
        return
    for path in written:
        echo(f"wrote {path}")
    _say_found(chosen, found)
    echo("\nnext:")
    if folder != Path():
        echo(f"  cd {folder}")
    if key and not os.environ.get(key):
        echo(f"  put {key}=… into .env, and set its endpoint in the configuration")
    echo("  orchestrator doctor            says what is missing")
    echo('  orchestrator run "GOAL"        works a goal in the current folder')
    echo("  orchestrator serve             keeps agents, response and dashboard running")


def _say_found(chosen: FoundProvider, found: Sequence[FoundProvider]) -> None:
    if not found:
        return
    echo("\nfound here:")
    for one in found:
        used = "used first" if one is chosen else f"for it: set runtime.{one.name}.enabled, or --provider {one.name}"
        echo(f"  {one.name:10} {one.reason}; {used}")
