"""`orchestrator drill --blind N`: faults drawn at random, and the rates of the response to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from orchestration.cli import common
from orchestration.cli.output import echo
from orchestration.clock import Clock, SystemClock
from orchestration.drills.blind import report
from orchestration.drills.blind.plan import BlindPlan, draw_plan, draw_plans
from orchestration.drills.blind.session import BlindResult, missing_need, run_blind, run_reference
from orchestration.drills.idle import watch_idle
from orchestration.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

# A seed that nobody has chosen still has to be short enough to be typed again.
_SEEDS = 1_000_000


@dataclass(frozen=True, slots=True)
class BlindChoice:
    """The options about blind drills; `count` is None unless they are wanted."""

    count: int | None
    seed: int | None
    only: tuple[int, ...]
    only_plan: bool
    thresholds: tuple[str, ...]
    idle: float | None
    neighbours: int

    @property
    def wanted(self) -> bool:
        return self.count is not None or bool(self.only)


def blind_options(command: F) -> Callable[..., Any]:
    """Add the options to a command, which gets them as one argument `blind`."""

    @click.option("--blind", "count", type=click.IntRange(min=1), metavar="N", help="Run N drills drawn at random.")
    @click.option("--seed", type=click.IntRange(min=0), help="What decides which drills are drawn.")
    @click.option(
        "--blind-only",
        "only",
        type=click.IntRange(min=1),
        multiple=True,
        metavar="K",
        help="Run only number K.",
    )
    @click.option("--plan", "only_plan", is_flag=True, help="Print what --blind would draw; run none.")
    @click.option(
        "--threshold",
        "thresholds",
        multiple=True,
        metavar="NAME=NUMBER",
        help="The limit at which --blind fails, such as ended=90 (percent) or harm=0 (drills).",
    )
    @click.option(
        "--idle", type=click.FloatRange(min=1), metavar="SECONDS", help="Watch an idle server beside a busy neighbour."
    )
    @click.option(
        "--neighbours", type=click.IntRange(min=0), default=2, show_default=True, help="Busy programs of --idle."
    )
    @wraps(command)
    def packed(
        *args: Any,
        count: int | None,
        seed: int | None,
        only: tuple[int, ...],
        only_plan: bool,
        thresholds: tuple[str, ...],
        idle: float | None,
        neighbours: int,
        **more: Any,
    ) -> Any:
        choice = BlindChoice(count, seed, only, only_plan, thresholds, idle, neighbours)
        if not choice.wanted and (only_plan or thresholds or seed is not None):
            raise UsageError("Add --blind N: --seed, --plan and --threshold are about drills drawn at random.")
        return command(*args, blind=choice, **more)

    return packed


def run_blind_drills(choice: BlindChoice, keep: Path | None, *, as_json: bool) -> int:
    """Draw the drills and run them; the exit code is 1 below the thresholds."""
    thresholds = report.parse_thresholds(choice.thresholds)
    clock = SystemClock()
    seed = int(clock.now().timestamp()) % _SEEDS if choice.seed is None else choice.seed
    plans = tuple(draw_plan(seed, number) for number in choice.only) or draw_plans(seed, choice.count or 0)
    if choice.only_plan:
        _show_plans(plans, as_json)
        return 0
    results = _run_all(plans, clock, keep, aside=as_json)
    found = report.rates(results)
    short = report.shortfalls(found, thresholds)
    if as_json:
        drills = [report.result_as_json(result) for result in results]
        common.print_json({"seed": seed, "rates": asdict(found), "shortfalls": short, "drills": drills})
    else:
        _show_rates(seed, found, results, short)
    return 1 if short else 0


def run_idle_watch(choice: BlindChoice, *, as_json: bool) -> int:
    """Watch an idle server; the exit code is 1 if anybody was paged."""
    seconds = choice.idle or 0.0
    found = common.run_async(lambda: watch_idle(seconds, choice.neighbours, SystemClock()))
    if as_json:
        common.print_json({**asdict(found), "paged": found.paged})
        return 1 if found.paged else 0
    for one in found.incidents:
        pages = f"paged {', '.join(one.pages)}" if one.pages else "paged nobody"
        echo(f"{one.severity} {one.scenario} after {one.after:g} s: {one.title}: {pages}")
    echo(f"{found.seconds:g} s beside {found.neighbours} busy programs: {found.paged} incidents paged somebody")
    if found.slowness > 1:
        echo(f"programs ran {found.slowness:g} times slower than alone")
    return 1 if found.paged else 0


def _run_all(plans: Sequence[BlindPlan], clock: Clock, keep: Path | None, *, aside: bool) -> list[BlindResult]:
    possible = [plan for plan in plans if _possible(plan, aside=aside)]
    if not possible:
        raise UsageError("None of these drills can be carried out on this machine.")
    reference = common.run_async(lambda: run_reference(clock))
    results: list[BlindResult] = []
    try:
        # One by one: what was held before an interruption is reported.
        results.extend(_run(plan, clock, reference, keep, aside=aside) for plan in possible)
    except KeyboardInterrupt:
        if not results:
            raise
        echo("interrupted: the report is about the drills that were held until now", err=True)
    return results


def _possible(plan: BlindPlan, *, aside: bool) -> bool:
    reason = missing_need(plan)
    if reason:
        echo(f"{plan.name}: left out: {reason}", err=aside)
    return not reason


def _run(plan: BlindPlan, clock: Clock, reference: Mapping[str, str], keep: Path | None, *, aside: bool) -> BlindResult:
    # Not what was drawn: whoever watches the drill live must not know more than the system does.
    echo(f"{plan.name}: a fault, or none", err=aside)
    result = common.run_async(lambda: run_blind(plan, clock, reference, keep))
    for miss in result.verdict.misses:
        echo(f"  {miss}", err=aside)
    return result


def _show_plans(plans: Sequence[BlindPlan], as_json: bool) -> None:
    if as_json:
        common.print_json([report.plan_as_json(plan) for plan in plans])
        return
    for plan in plans:
        echo(f"{plan.number}: {'; '.join(map(str, plan.faults)) or 'no fault'}")


def _show_rates(seed: int, found: report.BlindRates, results: Sequence[BlindResult], short: Sequence[str]) -> None:
    echo(f"seed {seed}")
    for line in report.in_words(found):
        echo(line)
    if found.slowness > 1:
        echo(f"the machine was busy: programs ran {found.slowness:g} times slower than alone")
    for result in results:
        if result.verdict.misses:
            again = f"--blind-only {result.plan.number} --seed {seed}"
            echo(f"missed ({again}): {'; '.join(map(str, result.plan.faults)) or 'no fault'}")
    for line in short:
        echo(f"not good enough: {line}")
