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
    from orchestration.security.vendors.vendor import CredentialProbe

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
@click.option(
    "--verify", is_flag=True, help="Ask the vendor of each secret, with a harmless call, whether it is still accepted."
)
@common.json_option
@click.pass_obj
def scan(
    config: str,
    path: Path | None,
    history: bool,
    baseline: Path | None,
    write_baseline: bool,
    verify: bool,
    as_json: bool,
) -> int:
    """Scan a file or a folder for secrets; exit code 1 if there are any.

    Without PATH, the project: its configuration, logs and workspace. Values are never shown. It finds the
    credentials of `.env` in every common encoding, the tokens of vendors, and values whose names give them away. Files
    that hold secrets by custom, such as `.env`, are left out unless PATH names one. Nothing that a repository
    configures is executed. With --verify, each secret is sent to the vendor whose form it has, and to nobody else.
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
    probes = _verified([one.value for one in scanned.found if not known.accepts(one.value)], config) if verify else {}
    report = scanned.report(known, probes)
    if as_json:
        common.print_json(report)
    else:
        _print(report, verified=verify)
    return 1 if report.findings else 0


def _verified(values: list[str], config: str) -> dict[str, CredentialProbe]:
    # Only a verification needs the vendors.
    from orchestration.app.secret_verification import project_vendors, verify

    return common.run_async(lambda: verify(values, project_vendors(config)))


def _print(report: SecretScanReport, *, verified: bool) -> None:
    if report.findings:
        rows = [
            (one.kind, one.place, str(one.line), *([f"{one.status}: {one.evidence}"] if verified else []))
            for one in report.findings[:_SHOWN]
        ]
        console().print(table(("KIND", "PLACE", "LINE", *(["VENDOR SAYS"] if verified else [])), rows))
        if len(report.findings) > _SHOWN:
            echo(f"… and {len(report.findings) - _SHOWN} more; --json lists all")
    read = f"{report.files} files" + (f", {report.objects} objects of the history" if report.objects else "")
    accepted = f", {report.accepted} accepted by the baseline" if report.accepted else ""
    left_out = f", {len(report.skipped)} too large or unreadable" if report.skipped else ""
    echo(f"{len(report.findings)} secrets found in {read}{accepted}{left_out}")
