"""`orchestrator drill`: inject faults, and check the response to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from orchestration.app import ProjectRecords, project
from orchestration.cli import common
from orchestration.cli.blind_drills import BlindChoice, blind_options, run_blind_drills, run_idle_watch
from orchestration.cli.output import echo
from orchestration.cli.render import console, first_line, table
from orchestration.clock import SystemClock
from orchestration.drills import catalogue
from orchestration.drills.coverage import named, options_of
from orchestration.drills.model import Drill
from orchestration.drills.observer import shipped_playbooks
from orchestration.drills.result_figures import figures, in_words, markdown, total
from orchestration.drills.runner import DrillResult, run_drill
from orchestration.errors import UsageError
from orchestration.ids import new_id
from orchestration.storage.drills import DrillHistory, DrillRecord

_COLUMNS = ("DRILL", "RESULT", "DETECTED", "MITIGATED", "RESOLVED", "LOST", "REPEATED", "CALLS AGAIN", "ENDED")


@dataclass(frozen=True, slots=True)
class DrillDatabase:
    """Where drills run, and under which name their results are stored."""

    keep: Path | None
    against: str | None
    game_day: str


@click.command()
@click.argument("names", nargs=-1, metavar="[DRILL | SCENARIO]...")
@click.option("--all", "every", is_flag=True, help="Run every drill.")
@click.option("--quick", is_flag=True, help="Run only drills that take a few seconds.")
@click.option("--list", "only_list", is_flag=True, help="List the drills and their expectations; run none.")
@click.option("--history", is_flag=True, help="List earlier results; run none.")
@click.option("--against", metavar="URL", help="Use temporary databases on this PostgreSQL server instead of files.")
@click.option("--game-day", default="", help="Store the results under this name.")
@click.option(
    "--keep", type=click.Path(path_type=Path, file_okay=False), help="Keep the project of each drill below this folder."
)
@blind_options
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the table as Markdown.")
@common.json_option
@click.pass_obj
def drill(
    config: str,
    names: tuple[str, ...],
    every: bool,
    quick: bool,
    only_list: bool,
    history: bool,
    against: str | None,
    game_day: str,
    keep: Path | None,
    as_markdown: bool,
    as_json: bool,
    blind: BlindChoice,
) -> int:
    """Inject real faults, each into a temporary project with its own database, and check the response.

    Nothing of yours is touched, nobody is paged, and no figure counts it. Exit code 1 when a drill does not go as
    expected.
    """
    if blind.idle is not None:
        _refuse_names(names, every=every or quick)
        return run_idle_watch(blind, as_json=as_json)
    if blind.wanted:
        _refuse_names(names, every=every or quick)
        return run_blind_drills(blind, keep, as_json=as_json)
    if history:
        _show_history(config, names, as_json)
        return 0
    chosen = _chosen(names, every=every or (only_list and not names), quick=quick)
    if only_list:
        _show_drills(chosen, as_json)
        return 0
    with project(config) as here:
        where = DrillDatabase(keep, against, game_day)
        # With JSON or Markdown on standard output, progress goes to standard error.
        aside = as_json or as_markdown
        possible = [one for one in chosen if _possible(one, against, aside=aside)]
        results = [_held(here, one, where, aside=aside) for one in possible]
        if every and (untried := _untried(total(results).options_helped)):
            echo(f"options that helped in no drill: {', '.join(untried)}", err=aside)
    if as_markdown:
        echo(markdown([(one.drill.name, one.passed, figures(one)) for one in results], total(results)))
    else:
        _conclude(results, as_json)
    return 0 if all(result.passed for result in results) else 1


def _untried(helped: Sequence[str]) -> tuple[str, ...]:
    """The options of the playbooks, by scenario, that were not carried out to their end in any drill."""
    names = [named(option) for option in options_of(shipped_playbooks())]
    return tuple(name for name in names if name not in helped)


def _refuse_names(names: Sequence[str], *, every: bool) -> None:
    if names or every:
        raise UsageError(
            "Leave out --all, --quick and the names of drills: --blind draws its own, and --idle runs none."
        )


def _chosen(names: Sequence[str], *, every: bool, quick: bool) -> tuple[Drill, ...]:
    if every:
        return catalogue.list_drills()
    if quick:
        return tuple(one for one in catalogue.list_drills() if one.quick)
    if not names:
        raise UsageError("Name at least one drill or scenario. `orchestrator drill --list` shows all.")
    return catalogue.find(names)


def _possible(one: Drill, against: str | None, *, aside: bool) -> bool:
    # Such a drill damages the file of an SQLite database, and a server has none.
    on_server = "it lays hands on a database's file" if against and one.sqlite_only else ""
    reason = one.impossible() or on_server
    if reason:
        # The dashboard follows a session by these lines: a drill's name, a colon, and why it was left out or what it
        # injects. See `orchestration.app.drill_sessions`.
        echo(f"{one.name}: left out: {reason}", err=aside)
    return not reason


def _held(here: ProjectRecords, one: Drill, where: DrillDatabase, *, aside: bool) -> DrillResult:
    """Run one drill, print its result, and add it to the history."""
    echo(f"{one.name}: {one.fault}", err=aside)
    result = common.run_async(lambda: run_drill(one, SystemClock(), keep=where.keep, against=where.against))
    record = DrillRecord(
        id=new_id("drill", result.started_at.timestamp()),
        drill=one.name,
        scenario=one.scenario.value,
        started_at=result.started_at,
        passed=result.passed,
        game_day=where.game_day,
        figures=here.redactor.data(figures(result)),
        misses=[here.redactor.text(str(miss)) for miss in result.misses],
    )
    # Into the caller's project: the drill's own database is deleted with it.
    DrillHistory(here.database).add(record)
    for miss in result.misses:
        echo(f"  not as expected: {miss}", err=aside)
    # The same limits on a busy machine would report the machine's load as a failed response.
    if result.seen.slowness > 1:
        slow = f"a program ran {result.seen.slowness:g} times slower than alone"
        echo(f"  the machine was busy: {slow}, so the limits were widened by that", err=aside)
    return result


def _conclude(results: Sequence[DrillResult], as_json: bool) -> None:
    whole = total(results)
    if as_json:
        common.print_json({"total": whole, "drills": [_as_json(result) for result in results]})
        return
    console().print(table(_COLUMNS, [_row(result) for result in results]))
    echo("seconds after the fault; lost and repeated count committed steps")
    # Several drills can ask for the same command; a reader needs each only once.
    commands = dict.fromkeys(line for result in results for line in result.seen.manual_steps)
    if commands:
        echo("a person would have had to:")
        for line in commands:
            echo(f"  {line}")
    echo(in_words(whole))


def _as_json(result: DrillResult) -> dict[str, Any]:
    return {
        "drill": result.drill.name,
        "scenario": result.drill.scenario.value,
        "fault": result.drill.fault,
        "passed": result.passed,
        "misses": [str(miss) for miss in result.misses],
        **figures(result),
    }


def _row(result: DrillResult) -> Sequence[str | Text]:
    known = figures(result)
    response = result.seen.response
    ended = known["helped"] or known["ending"] if response else "absorbed" if result.passed else "nothing seen"
    times = [_seconds(known.get(name)) for name in ("detected_after", "mitigated_after", "resolved_after")]
    counts = [str(known[name]) for name in ("steps_lost", "steps_repeated", "model_calls_repeated")]
    verdict = Text("passed", style="green") if result.passed else Text("FAILED", style="red")
    return (result.drill.name, verdict, *times, *counts, ended)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


def _show_drills(drills: Sequence[Drill], as_json: bool) -> None:
    if as_json:
        common.print_json([_described(one) for one in drills])
        return
    rows = [
        (one.name, one.scenario.value, one.expects.ending.value, _severity(one), first_line(one.fault, 80))
        for one in drills
    ]
    console().print(table(("DRILL", "SCENARIO", "EXPECTED", "SEVERITY", "FAULT"), rows))


def _described(one: Drill) -> dict[str, Any]:
    return {
        "drill": one.name,
        "scenario": one.scenario.value,
        "fault": one.fault,
        "expects": {
            **common.plain(one.expects),
            "detected_within": one.expects.detected_within,
            "resolved_within": one.expects.resolved_within,
            "stopped_within": one.expects.stopped_within,
        },
        "quick": one.quick,
        "impossible": one.impossible(),
    }


def _severity(one: Drill) -> str:
    return "" if one.expects.severity is None else one.expects.severity.value


def _show_history(config: str, names: Sequence[str], as_json: bool) -> None:
    with project(config) as here:
        history = DrillHistory(here.database)
        found = [record for name in names or (None,) for record in history.list(name)]
    if as_json:
        common.print_json(found)
        return
    rows = [
        (
            f"{record.started_at:%Y-%m-%d %H:%M}",
            record.drill,
            Text("passed", style="green") if record.passed else Text("FAILED", style="red"),
            _seconds(record.figures.get("detected_after")),
            _seconds(record.figures.get("resolved_after")),
            record.game_day,
            first_line(record.misses[0] if record.misses else "", 80),
        )
        for record in found
    ]
    console().print(table(("HELD (UTC)", "DRILL", "RESULT", "DETECTED", "RESOLVED", "GAME DAY", "MISSED"), rows))
