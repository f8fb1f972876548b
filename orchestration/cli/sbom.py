"""`orchestrator sbom`: what is installed, as a bill of materials."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import click

from orchestration.cli import common
from orchestration.cli.output import echo
from orchestration.clock import SystemClock
from orchestration.errors import UsageError


@click.command()
@click.option(
    "--requirements",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A requirements file with hashes, which are added to the bill.",
)
@click.option("--verify", is_flag=True, help="Compare the installed files with what their packages list instead.")
def sbom(requirements: Path | None, verify: bool) -> int:
    """Print the installed packages with versions, licences and dependencies, in CycloneDX's JSON format."""
    from orchestration.security.bill_of_materials import bill_of_materials, pinned_hashes

    if verify:
        return _verify()
    try:
        pinned = pinned_hashes(requirements.read_text(encoding="utf-8")) if requirements else {}
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{requirements} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    common.print_json(bill_of_materials(SystemClock().now(), pinned))
    return 0


def _verify() -> int:
    from orchestration.security.bill_of_materials import altered_files

    altered = [(one.metadata["Name"], file) for one in metadata.distributions() for file in altered_files(one)]
    for name, file in altered:
        echo(f"{name}: {file} is not as it was installed")
    echo(f"{len(altered)} altered files" if altered else "every installed file is as its package lists it")
    return int(bool(altered))
