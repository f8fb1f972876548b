"""`orchestrator advisories`: known vulnerabilities of the installed packages, and the records that tell of them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestration.cli import common
from orchestration.cli.output import echo
from orchestration.cli.render import age, console, table
from orchestration.clock import SystemClock

if TYPE_CHECKING:  # the other commands of this program need nothing of it
    from orchestration.config.monitoring import MonitoringSettings
    from orchestration.security.vulnerabilities import VulnerabilityAudit


@click.group()
def advisories() -> None:
    """Vulnerabilities of the installed packages, by records in the OSV format."""


@advisories.command()
@click.option("--from", "source", metavar="SOURCE", help="An address, an archive or a folder.  [default: OSV's export]")
@click.option("--fewer", is_flag=True, help="Accept a source with less than half as many records as before.")
@common.json_option
@click.pass_obj
def update(config: str, source: str | None, fewer: bool, as_json: bool) -> None:
    """Fetch the records of all Python packages, as one archive, and replace those from before."""
    from orchestration.security import advisory_source

    folder, settings = _folder(config)
    clock = SystemClock()
    done = common.run_async(
        lambda: advisory_source.update(folder, source or settings.advisories_url, clock.now, fewer=fewer)
    )
    if as_json:
        common.print_json({**common.plain(done), "folder": str(folder)})
    else:
        echo(f"{done.records:,} advisories from {done.source}")
        _print(_audit(folder), folder, clock.now())


@advisories.command("list")
@common.json_option
@click.pass_obj
def list_vulnerabilities(config: str, as_json: bool) -> int:
    """List known vulnerabilities of the installed packages. Exit code 1 if there is one, or no advisories."""
    folder, _ = _folder(config)
    audited, now = _audit(folder), SystemClock().now()
    if as_json:
        common.print_json({**common.plain(audited), "verdict": audited.verdict(now), "stale": audited.is_stale(now)})
    else:
        _print(audited, folder, now)
    return int(bool(audited.vulnerabilities) or not audited.advisories)


def _print(audited: VulnerabilityAudit, folder: Path, now: datetime) -> None:
    from orchestration.security.advisory_source import last_update

    rows = [
        (one.package, one.version, one.advisory, one.fixed or "none", one.summary) for one in audited.vulnerabilities
    ]
    if rows:
        console().print(table(("PACKAGE", "VERSION", "ADVISORY", "FIXED IN", "SUMMARY"), rows))
    echo(audited.verdict(now))
    if (last := last_update(folder)) is not None:
        echo(f"fetched {age(now, last.at)} ago from {last.source}")


def _audit(folder: Path) -> VulnerabilityAudit:
    from orchestration.security.vulnerabilities import audit, installed

    return audit(installed(), folder)


def _folder(config: str) -> tuple[Path, MonitoringSettings]:
    from orchestration.config.loader import ConfigLoader
    from orchestration.config.schema import Configuration

    loader = ConfigLoader(Path(config))
    configuration = loader.load(frozenset()).configuration or Configuration()
    return loader.root / configuration.monitoring.advisories_directory, configuration.monitoring
