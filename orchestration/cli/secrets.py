"""`orchestrator secrets`: find secrets in files, and in the history of git."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestration.cli import common
from orchestration.cli.output import echo
from orchestration.cli.render import console, table

if TYPE_CHECKING:  # only a scan needs what it is made of
    from orchestration.app.secret_scan import SecretScanReport

_SHOWN = 200


@click.group()
def secrets() -> None:
    """Secrets where they do not belong."""


@secrets.command("scan")
@click.argument("path", metavar="[PATH]", required=False, type=click.Path(path_type=Path))
@click.option("--history", is_flag=True, help="Scan the history of the git repository as well.")
@click.option(
    "--baseline",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The file with accepted findings. [default: .secrets-baseline.json in PATH]",
)
@click.option("--write-baseline", is_flag=True, help="Accept what is found now: write it to the baseline.")
@common.json_option
@click.pass_obj
def scan(
    config: str, path: Path | None, history: bool, baseline: Path | None, write_baseline: bool, as_json: bool
) -> int:
    """Scan a file or a folder for secrets; exit code 1 if there are any.

    Without PATH, the project: its configuration, logs and workspace. Values are never shown. Found are the credentials
    in `.env` in all everyday spellings, the tokens of vendors, and values that their names give away. Left out are
    files that hold secrets by custom, such as `.env`, unless PATH names one. Nothing that a repository configures is
    executed.
    """
    from orchestration.app.project_secrets import project_redactor, project_root
    from orchestration.app.secret_scan import SecretScan
    from orchestration.security.secret_baseline import FILE, load_baseline

    root = (path or project_root(config)).absolute()
    folder = root if root.is_dir() else root.parent
    file = baseline or folder / FILE
    known, redactor = load_baseline(file), project_redactor(config)
    scanned = SecretScan(redactor.find, redactor.text, [file.absolute()])
    scanned.read_folder(root)
    if history:
        common.run_async(lambda: scanned.read_history(folder))
    if write_baseline:
        known = known.save(file, [known.accepted(one.value, one.kind, one.place) for one in scanned.found])
        echo(f"{len(known)} secrets accepted in {file}", err=as_json)
    report = scanned.report(known)
    if as_json:
        common.print_json(report)
    else:
        _print(report)
    return 1 if report.findings else 0


def _print(report: SecretScanReport) -> None:
    if report.findings:
        rows = [(one.kind, one.place, str(one.line)) for one in report.findings[:_SHOWN]]
        console().print(table(("KIND", "PLACE", "LINE"), rows))
        if len(report.findings) > _SHOWN:
            echo(f"… and {len(report.findings) - _SHOWN} more; --json lists all")
    read = f"{report.files} files" + (f", {report.objects} objects of the history" if report.objects else "")
    accepted = f", {report.accepted} accepted by the baseline" if report.accepted else ""
    left_out = f", {len(report.skipped)} too large or unreadable" if report.skipped else ""
    echo(f"{len(report.findings)} secrets found in {read}{accepted}{left_out}")
