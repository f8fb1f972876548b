"""`orchestrator playbooks`: show, validate and dry-run playbooks, show their history, and reset guards."""

from __future__ import annotations

import json
from pathlib import Path

import click

from orchestration.app import application, project
from orchestration.app.reviews import PLAYBOOKS
from orchestration.cli import common
from orchestration.cli.output import echo
from orchestration.cli.render import console, first_line, table
from orchestration.errors import UsageError
from orchestration.playbooks import cacao
from orchestration.playbooks.catalogue import PlaybookCatalogue, load, warnings
from orchestration.playbooks.document import DocumentError, PlaybookError
from orchestration.playbooks.plan import PlannedStep, PlaybookPlan
from orchestration.playbooks.runbook import runbook
from orchestration.storage.playbooks import PlaybookRecords, as_public

_name_argument = click.argument("name", metavar="PLAYBOOK")


@click.group()
def playbooks() -> None:
    """Built-in playbooks, and your own in config/playbooks/, which replace built-in ones of the same name."""


@playbooks.command("list")
@common.json_option
@click.pass_obj
def list_playbooks(config: str, as_json: bool) -> None:
    """List the playbooks."""
    entries = _catalogue(config).all()
    if as_json:
        common.print_json(
            [
                {
                    "playbook": entry.playbook.name,
                    "title": entry.playbook.title,
                    "scenario": entry.playbook.scenario.value,
                    "version": entry.playbook.version,
                    "file": entry.file,
                    "own": entry.own,
                }
                for entry in entries
            ]
        )
        return
    rows = [
        (
            entry.playbook.name,
            entry.playbook.scenario.value,
            str(entry.playbook.version),
            "custom" if entry.own else "built-in",
            entry.playbook.title,
        )
        for entry in entries
    ]
    console().print(table(("PLAYBOOK", "SCENARIO", "VERSION", "SOURCE", "TITLE"), rows))


@playbooks.command()
@_name_argument
@common.json_option
@click.pass_obj
def show(config: str, name: str, as_json: bool) -> None:
    """Show a playbook as a runbook."""
    playbook = _catalogue(config).get(name).playbook
    if as_json:
        common.print_json(playbook.model_dump(mode="json", by_alias=True))
    else:
        echo(runbook(playbook), nl=False)


@playbooks.command()
@_name_argument
@common.json_option
@click.pass_obj
def copy(config: str, name: str, as_json: bool) -> None:
    """Copy a built-in playbook to config/playbooks/, where the copy takes its place and can be changed."""
    entry = _catalogue(config).get(name)
    path = _folder(config) / f"{name}.yaml"
    if entry.own or path.exists():
        raise UsageError(f"{entry.file if entry.own else path} exists already; edit it, or delete it first")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(entry.text, encoding="utf-8")
    _print_paths([path], as_json)


@playbooks.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path("docs/runbooks"))
@common.json_option
@click.pass_obj
def render(config: str, folder: Path, as_json: bool) -> None:
    """Write every playbook as a runbook into FOLDER.  [default: docs/runbooks]"""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for entry in _catalogue(config).all():
        path = folder / f"{entry.playbook.name}.md"
        path.write_text(runbook(entry.playbook), encoding="utf-8")
        written.append(path)
    _print_paths(written, as_json)


@playbooks.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, dir_okay=False))
@common.json_option
@click.pass_obj
def validate(config: str, files: tuple[Path, ...], as_json: bool) -> int:
    """Validate FILES, by default all playbooks. The exit code is 2 if there are errors."""
    if files:
        mistakes = [mistake for file in files for mistake in _mistakes(file)]
        found = [warning for file in files for warning in _warnings(file)]
    else:
        catalogue = _catalogue(config)
        mistakes, found = catalogue.mistakes, catalogue.warnings
    if as_json:
        common.print_json({"valid": not mistakes, "mistakes": mistakes, "warnings": found})
    else:
        for mistake in mistakes:
            echo(str(mistake))
        for warning in found:
            echo(f"{warning} [warning]")
        echo(f"{len(mistakes)} errors" if mistakes else "no errors")
    return 2 if mistakes else 0


@playbooks.command("dry-run")
@_name_argument
@click.option(
    "--incident", help="For this incident (`latest` is the newest).  [default: the current state of the system]"
)
@common.json_option
@click.pass_obj
def dry_run(config: str, name: str, incident: str | None, as_json: bool) -> None:
    """Show what a playbook would do now, step by step. Only read-only steps run; nothing is changed."""
    from orchestration.app.dry_run import preview

    async def work() -> PlaybookPlan:
        async with application(config) as app:
            return await preview(app, name, incident)

    plan = common.run_async(work)
    if as_json:
        common.print_json(as_public(plan))
    else:
        _print_plan(plan)


@playbooks.command()
@click.argument("name", metavar="PLAYBOOK", required=False)
@click.option("--incident", help="Only runs on this incident; `latest` is the newest.")
@common.limit_option()
@common.json_option
@click.pass_obj
def history(config: str, name: str | None, incident: str | None, limit: int, as_json: bool) -> None:
    """Show the runs of playbooks, and the tripped guards."""
    with project(config) as here:
        records = PlaybookRecords(here.database)
        incident_id = None if incident is None else here.incident_service.records.find(incident).id
        runs = records.list_runs(incident_id=incident_id, playbook=name, limit=limit)
        actions = {run.id: records.list_actions(run_id=run.id) for run in runs}
        trips = records.list_trips()
    if as_json:
        found = [{**as_public(run), "actions": as_public(list(actions[run.id]))} for run in runs]
        common.print_json({"runs": found, "tripped": trips})
        return
    rows = [
        (
            f"{run.started_at:%Y-%m-%d %H:%M:%S}",
            run.playbook + (" (drill)" if run.drill else ""),
            run.incident_id,
            run.state.value,
            # Steps that only read are left out: what a reader of the history asks is what was changed.
            str(sum(action.risk != "reads" and action.state == "done" for action in actions[run.id])),
            first_line(run.summary, 80),
        )
        for run in runs
    ]
    console().print(table(("STARTED (UTC)", "PLAYBOOK", "INCIDENT", "STATE", "CHANGES", "RESULT"), rows))
    for trip in trips:
        echo(f"tripped: {trip.guard} for {trip.action}: {trip.because}; orchestrator playbooks reset {trip.action}")


@playbooks.command()
@click.argument("action", metavar="ACTION")
@common.json_option
@click.pass_obj
def reset(config: str, action: str, as_json: bool) -> None:
    """Reset the guards of ACTION, so that it may run without approval again."""
    with project(config) as here:
        count = PlaybookRecords(here.database).reset_trips(action, common.user_name(), here.clock.now())
    if not count:
        raise UsageError(
            f"No guard is tripped for the action '{action}'. List tripped guards with: orchestrator playbooks history"
        )
    if as_json:
        common.print_json({"action": action, "reset": count})
    else:
        echo(f"{action}: guards reset")


@playbooks.command()
@_name_argument
# Required although it is the only format: another one can be added without changing what the command means.
@click.option("--cacao", "as_cacao", is_flag=True, required=True, help="In the CACAO 2.0 format (OASIS).")
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="Write to a file instead of standard output."
)
@click.pass_obj
def export(config: str, name: str, as_cacao: bool, output: Path | None) -> None:  # noqa: ARG001 (the one form so far)
    """Export a playbook as JSON for other tools."""
    with project(config) as here:
        document = cacao.export(_catalogue(config).get(name).playbook, here.clock.now())
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    if output is None:
        echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        echo(f"{output}")


def _catalogue(config: str) -> PlaybookCatalogue:
    # By the path alone: playbooks can be listed and validated without a database, before the first start and in CI.
    return PlaybookCatalogue(_folder(config))


def _folder(config: str) -> Path:
    return Path(config).absolute().parent.parent / PLAYBOOKS


def _mistakes(file: Path) -> tuple[DocumentError, ...]:
    try:
        load(file)
    except PlaybookError as error:
        return error.mistakes
    return ()


def _warnings(file: Path) -> tuple[DocumentError, ...]:
    try:
        return warnings(load(file))
    except PlaybookError:
        return ()


def _print_paths(paths: list[Path], as_json: bool) -> None:
    if as_json:
        common.print_json(paths)
    else:
        for path in paths:
            echo(f"{path}")


def _print_plan(plan: PlaybookPlan) -> None:
    echo(f"{plan.playbook} on {plan.incident or 'the current state of the system'}; nothing is changed\n")
    echo("Findings:")
    _print_steps(plan.looked)
    echo("Likely causes:")
    for cause in plan.causes:
        echo(f"  {cause.summary} ({cause.weight} of 100)")
    for call in plan.calls:
        echo(f"A person would be called immediately, {call}")
    echo("Mitigations, in this order until one helps:")
    for option in plan.options:
        echo(f"  {option.summary}" + ("" if option.applies else " (does not apply now)"))
        if option.applies:
            _print_steps(option.steps, "    ")
    echo("Afterwards:")
    _print_steps((*plan.recover, *plan.document))


def _print_steps(steps: tuple[PlannedStep, ...], indent: str = "  ") -> None:
    for step in steps:
        held = f" (held back: {step.guard})" if step.guard else ""
        echo(f"{indent}{step.action} [{step.mode}]{held} {step.summary}")
