"""The rates of a set of blind drills, and whether they are good enough. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from orchestration.drills.blind.plan import BlindPlan
from orchestration.drills.blind.session import BlindResult
from orchestration.drills.blind.verdict import BlindVerdict
from orchestration.errors import UsageError


@dataclass(frozen=True, slots=True)
class BlindThresholds:
    """From where on a set of blind drills fails: the first four are the least percent, the others the most cases."""

    detected: float = 95.0
    first_cause: float = 80.0
    cause: float = 80.0
    ended: float = 95.0
    harm: int = 0
    false_incidents: int = 1
    silently_wrong: int = 0
    problems: int = 0


_PERCENTAGES = ("detected", "first_cause", "cause", "ended")


@dataclass(frozen=True, slots=True)
class BlindRates:
    """What a set of drills has shown. Rates are `(hits, cases)`; the others count drills. `false_incidents` and
    `quiet` are about the drills without any fault, `unexplained` about those with other faults."""

    drills: int
    quiet: int
    detected: tuple[int, int]
    first_cause: tuple[int, int]
    cause: tuple[int, int]
    ended: tuple[int, int]
    harm: int
    false_incidents: int
    unexplained: int
    silently_wrong: int
    problems: int
    slowness: float


def rates(results: Sequence[BlindResult]) -> BlindRates:
    """The rates of these drills."""
    verdicts = [one.verdict for one in results]
    quiet = [one.verdict for one in results if not one.plan.faults]
    ended = [one.ended for one in verdicts if one.ended is not None]
    slowness = [one.seen.slowness for one in results]
    return BlindRates(
        drills=len(results),
        quiet=len(quiet),
        detected=_sum(one.detected for one in verdicts),
        first_cause=_sum(one.first_cause for one in verdicts),
        cause=_sum(one.cause for one in verdicts),
        ended=(sum(ended), len(ended)),
        harm=sum(bool(one.harm) for one in verdicts),
        false_incidents=sum(bool(one.false_incidents) for one in quiet),
        unexplained=sum(bool(one.verdict.false_incidents) for one in results if one.plan.faults),
        silently_wrong=sum(bool(one.silently_wrong) for one in verdicts),
        problems=sum(bool(one.problem) for one in verdicts),
        slowness=round(sum(slowness) / len(slowness), 2) if slowness else 1.0,
    )


def shortfalls(found: BlindRates, thresholds: BlindThresholds) -> tuple[str, ...]:
    """What is not good enough, in words; empty if everything is."""
    return tuple(_shortfalls(found, thresholds))


def _shortfalls(found: BlindRates, thresholds: BlindThresholds) -> Iterator[str]:
    for field in fields(thresholds):
        limit = getattr(thresholds, field.name)
        value = getattr(found, field.name)
        if field.name not in _PERCENTAGES:
            if value > limit:
                yield f"{field.name}: expected at most {limit}, got {value}"
        elif value[1] and 100 * value[0] / value[1] < limit:
            yield f"{field.name}: expected at least {limit:g} %, got {in_percent(value)}"


def parse_thresholds(given: Sequence[str]) -> BlindThresholds:
    """Thresholds from `name=number`, over the default ones. Raises UsageError."""
    known = {field.name for field in fields(BlindThresholds)}
    values: dict[str, Any] = {}
    for text in given:
        name, _, number = text.partition("=")
        if name not in known:
            raise UsageError(f"expected one of the thresholds {', '.join(sorted(known))}, got '{name}'")
        try:
            values[name] = float(number) if name in _PERCENTAGES else int(number)
        except ValueError:
            raise UsageError(f"expected a number for the threshold {name}, as in {name}=1, got '{number}'") from None
    return BlindThresholds(**values)


def in_percent(rate: tuple[int, int]) -> str:
    """A rate with the number of its cases, such as `95 % (57 of 60)`."""
    hits, cases = rate
    return f"{100 * hits / cases:.0f} % ({hits} of {cases})" if cases else "no case"


def in_words(found: BlindRates) -> tuple[str, ...]:
    """The rates, one line each."""
    return (
        f"drills: {found.drills}, {found.quiet} of them without any fault",
        f"detected, of the faults that had to be: {in_percent(found.detected)}",
        f"right cause first: {in_percent(found.first_cause)}; among the first two: {in_percent(found.cause)}",
        f"repaired, or handed over to the right person: {in_percent(found.ended)}",
        f"drills with harm done: {found.harm}",
        f"false incidents without a fault: {found.false_incidents} of {found.quiet}",
        f"drills with incidents that no fault explains: {found.unexplained}",
        f"silently wrong results: {found.silently_wrong}",
        f"not carried out: {found.problems}",
    )


def plan_as_json(plan: BlindPlan) -> dict[str, Any]:
    """A plan for JSON, with the truth about each fault."""
    return {
        "seed": plan.seed,
        "number": plan.number,
        "faults": [
            {
                "fault": fault.primitive.name,
                "at": fault.at,
                "lasts": fault.lasts,
                "values": dict(fault.values),
                "truth": _sorted(asdict(fault.truth)),
            }
            for fault in plan.faults
        ],
    }


def result_as_json(result: BlindResult) -> dict[str, Any]:
    """A result for JSON: the plan, what was seen, the verdict."""
    seen, verdict = result.seen, result.verdict
    return {
        **plan_as_json(result.plan),
        "seconds": round(seen.seconds, 2),
        "slowness": seen.slowness,
        "work": seen.work.status,
        "incidents": [_sorted(asdict(one)) for one in seen.incidents],
        "misses": list(verdict.misses),
        "verdict": _verdict(verdict),
    }


def _verdict(verdict: BlindVerdict) -> dict[str, Any]:
    return {field.name: getattr(verdict, field.name) for field in fields(verdict)}


def _sorted(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: sorted(value) if isinstance(value, frozenset) else value for name, value in values.items()}


def _sum(pairs: Iterable[tuple[int, int]]) -> tuple[int, int]:
    found = list(pairs)
    return sum(hits for hits, _ in found), sum(cases for _, cases in found)
