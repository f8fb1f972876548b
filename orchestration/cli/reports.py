"""`orchestrator reports`: the daily digests, and the weekly and monthly reports."""

from __future__ import annotations

import click

from orchestration.app import project
from orchestration.app.maintenance import reports_folder
from orchestration.cli import common
from orchestration.cli.output import echo
from orchestration.errors import NotFoundError


@click.group()
def reports() -> None:
    """Maintenance reports, by name or `latest`. `orchestrator maintenance run JOB` writes one now."""


@reports.command("list")
@common.json_option
@click.pass_obj
def list_reports(config: str, as_json: bool) -> None:
    """List the reports, the newest first."""
    with project(config) as opened:
        # By the time of writing: names of different reports do not sort by date.
        found = sorted(reports_folder(opened).glob("*.md"), key=lambda path: path.stat().st_mtime, reverse=True)
        if as_json:
            common.print_json([{"report": path.stem, "path": path} for path in found])
        elif found:
            echo("\n".join(path.stem for path in found))
        else:
            echo("no report yet; write one with `orchestrator maintenance run daily-digest`")


@reports.command()
@click.argument("report", metavar="REPORT", default="latest")
@common.json_option
@click.pass_obj
def show(config: str, report: str, as_json: bool) -> None:
    """Print REPORT."""
    with project(config) as opened:
        folder = reports_folder(opened)
        found = sorted(folder.glob("*.md"), key=lambda path: path.stat().st_mtime)
        path = next((one for one in reversed(found) if report in (one.stem, "latest")), None)
        if path is None:
            known = ", ".join(one.stem for one in found[-5:]) or "none"
            raise NotFoundError(f"there is no report '{report}' in {folder}; the newest are {known}")
        text = path.read_text(encoding="utf-8")
        if as_json:
            common.print_json({"report": path.stem, "path": path, "text": text})
        else:
            echo(text)
