"""`orchestrator config`: show and validate the configuration, compare versions, roll back."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from orchestration.app.config_check import ConfigCheck, check_files
from orchestration.app.project import ProjectRecords, project
from orchestration.cli import common
from orchestration.cli.output import echo
from orchestration.cli.render import age, console, table
from orchestration.config.overrides import Override
from orchestration.events.configuration import ConfigurationRolledBack


@click.group()
def config() -> None:
    """The configuration: the file, its versions, and the overrides."""


@config.command()
@common.json_option
@click.pass_obj
def validate(config: str, as_json: bool) -> int:
    """Show everything that is wrong with the configuration and .env, at once. Warnings do not count as failure."""
    checked = check_files(Path(config), dict(os.environ))
    if as_json:
        findings = [finding.as_json() for finding in checked.findings]
        common.print_json({"file": config, "usable": checked.usable, "findings": findings})
    else:
        _print_findings(config, checked)
    # The exit code of UsageError, with which every other command ends that cannot use this file.
    return 0 if checked.usable else 2


def _print_findings(file: str, checked: ConfigCheck) -> None:
    for finding in checked.findings:
        echo(f"{finding.file}:{finding.line}:{finding.column}: {finding.severity} {finding.code.value}")
        echo(f"    {finding.path + ': ' if finding.path else ''}{finding.message}")
        if finding.expected:
            echo(f"    expected: {finding.expected}")
        if finding.hint:
            echo(f"    do: {finding.hint}")
    errors, warnings = checked.errors, len(checked.findings) - checked.errors
    verdict = "can be used" if checked.usable else "cannot be used"
    echo(f"{file} {verdict}: {_count(errors, 'error')}, {_count(warnings, 'warning')}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


@config.command()
@common.json_option
@click.pass_obj
def show(config: str, as_json: bool) -> None:
    """Print the configuration in force, and the overrides in it with their expiry. Secrets are never shown."""
    with project(config) as here:
        document = here.redactor.data(here.configuration.model_dump(mode="json", by_alias=True, exclude_none=True))
        overrides = here.store.overrides
        if as_json:
            refused = [finding.as_json() for finding in here.store.refused]
            common.print_json(
                {
                    "file": config,
                    "version": here.store.number,
                    "configuration": document,
                    "overrides": [_as_json(here, one) for one in overrides],
                    "refused": refused,
                }
            )
            return
        common.print_json(document)
        if here.store.refused:
            number = here.store.number
            # On standard error, so that standard output is the JSON document alone and can be piped into another
            # program.
            echo(f"\n{config} cannot be used now; this is version {number}, the last good one", err=True)
        for one in overrides:
            echo(f"override {one.id}: {_sentence(here, one)}", err=True)


@config.command()
def schema() -> None:
    """Print the JSON Schema of the file, for editors."""
    from orchestration.config.reference import json_schema

    echo(json_schema(), nl=False)


@config.command()
@common.limit_option()
@common.json_option
@click.pass_obj
def history(config: str, limit: int, as_json: bool) -> None:
    """List the versions that were in force, newest first."""
    with project(config) as here:
        versions = here.store.history(limit)
        if as_json:
            common.print_json(
                [{"number": one.number, "sha256": one.sha256, "loadedAt": one.loaded_at} for one in versions]
            )
            return
        rows = [
            (str(one.number), f"{one.loaded_at:%Y-%m-%d %H:%M:%S}", f"{age(here.clock.now(), one.loaded_at)} ago",
             one.sha256[:12])
            for one in versions
        ]  # fmt: skip
        console().print(table(("NUMBER", "IN FORCE SINCE (UTC)", "AGE", "SHA-256"), rows))


@config.command()
@click.argument("before", type=int, required=False)
@click.argument("after", type=int, required=False)
@common.json_option
@click.pass_obj
def diff(config: str, before: int | None, after: int | None, as_json: bool) -> None:
    """Show what changed from version BEFORE to version AFTER.  [default: the last change]"""
    with project(config) as here:
        # With a single version both numbers are the same, and the difference is empty rather than an error.
        numbers = [one.number for one in here.store.history(2)]
        new = after if after is not None else numbers[0]
        old = before if before is not None else numbers[-1]
        changes = here.redactor.data([common.plain(change) for change in here.store.diff(old, new)])
        if as_json:
            common.print_json({"before": old, "after": new, "changes": changes})
            return
        echo(f"version {old} → version {new}: {_count(len(changes), 'change')}")
        _print_changes(changes)


@config.command()
@click.argument("number", type=int)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@common.json_option
@click.pass_obj
def rollback(config: str, number: int, yes: bool, as_json: bool) -> int:
    """Write version NUMBER into the file. Running processes apply it like any other edit."""
    with project(config) as here:
        # Compared before the file is written: afterwards there would be no difference.
        found = here.store.changes_to(number)
        changes = here.redactor.data([common.plain(change) for change in found or ()])
        if not as_json:
            _print_changes(changes)
        # A script or a scheduled job has nobody to answer, and would hang on the question.
        asks = not (yes or as_json) and sys.stdin.isatty() and sys.stdout.isatty()
        if asks and not click.confirm(f"write version {number} into {config}?"):
            echo("nothing was written")
            return 1
        version = here.store.rollback(number)
        here.bus.publish(ConfigurationRolledBack(number=number), actor=common.user_name())
        if as_json:
            common.print_json({"file": config, "number": number, "sha256": version.sha256, "changes": changes})
            return 0
        what = "what it held could not be read" if found is None else _count(len(changes), "change")
        echo(f"{config} now holds version {number} ({what})")
        return 0


def _print_changes(changes: Sequence[Mapping[str, Any]]) -> None:
    for change in changes:
        echo(f"  {change['path']}: {_value(change['before'])} → {_value(change['after'])}")


def _value(value: Any) -> str:
    return "(not there)" if value is None else json.dumps(value, ensure_ascii=False)


@config.group()
def overrides() -> None:
    """Overrides: changes on top of the file, each with a reason and an expiry."""


@overrides.command("list")
@common.json_option
@click.pass_obj
def list_overrides(config: str, as_json: bool) -> None:
    """List the overrides in force."""
    with project(config) as here:
        found = here.store.overrides
        if as_json:
            common.print_json([_as_json(here, one) for one in found])
        elif found:
            for one in found:
                echo(f"{one.id}  {_sentence(here, one)}")
        else:
            echo("no override is in force")


@overrides.command()
@click.argument("override")
@common.json_option
@click.pass_obj
def remove(config: str, override: str, as_json: bool) -> None:
    """Remove OVERRIDE before it expires."""
    with project(config) as here:
        here.store.remove_override(override, common.user_name(), "removed on the console")
        if as_json:
            common.print_json({"removed": override})
        else:
            echo(f"{override} has ended")


def _as_json(here: ProjectRecords, override: Override) -> Any:
    # A pinned version carries the whole configuration, and `over` repeats the file's own value: neither says what
    # changed.
    return here.redactor.data(override.model_dump(mode="json", exclude={"change": {"document", "over"}}))


def _sentence(here: ProjectRecords, override: Override) -> str:
    change = override.change
    values = change.model_dump(mode="json", exclude={"kind", "target", "document", "over"}, exclude_none=True)
    about = " ".join(f"{key}={_value(value)}" for key, value in values.items())
    end = "until it is removed" if override.expires_at is None else f"until {override.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    text: str = here.redactor.text(
        f"{change.kind} {change.target} {about}".rstrip() + f", {end}; by {override.actor}: {override.reason}"
    )
    return text
