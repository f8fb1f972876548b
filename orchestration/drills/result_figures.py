"""The result of a drill as figures: for the history, for JSON and for the table. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestration.drills.coverage import ScenarioOption, named
from orchestration.drills.observer import BY_ITSELF
from orchestration.drills.runner import DrillResult
from orchestration.drills.scoring import median_resolution

_HEADS = (
    *("drill", "result", "expected", "severity", "detected", "resolved", "watched", "lost", "repeated", "calls again"),
    "what helped, or who was called",
)


@dataclass(frozen=True, slots=True)
class DrillTotals:
    """The totals of one session of drills, times in seconds. `median_resolution` is that of the `resolved` ones,
    without the stability window, None without any; `options_helped` are the options of playbooks that were carried out
    to the end that was expected, by scenario; `slowness` is the mean over the drills."""

    held: int
    passed: int
    resolved: int
    median_resolution: float | None
    longest_detection: float | None
    slowness: float
    steps_lost: int
    steps_repeated: int
    options_helped: Sequence[str] = ()


def figures(result: DrillResult) -> dict[str, Any]:
    """The figures of a drill as JSON values; times in seconds after the fault."""
    response, work = result.seen.response, result.seen.work
    values: dict[str, Any] = {
        "ending": result.drill.expects.ending.value,
        "seconds": round(result.seen.seconds, 2),
        "slowness": result.seen.slowness,
        "run": work.status.partition("\n")[0][:200],
        "steps": work.steps,
        "steps_lost": work.lost,
        "steps_repeated": work.repeated,
        "model_calls": work.calls,
        "model_calls_repeated": work.calls_repeated,
        "by_hand": list(result.seen.manual_steps),
    }
    if response is None:
        return values
    return values | {
        "severity": response.severity.value,
        "detected_after": _rounded(response.detected_after),
        "mitigated_after": _rounded(response.mitigated_after),
        "resolved_after": _rounded(response.resolved_after),
        "stable_seconds": response.stable,
        "playbook": response.playbook,
        "helped": response.helped,
        "level_called": response.level,
        "approval_asked_for": list(response.asked),
        "actions": [
            {"phase": act.phase, "step": act.step, "action": act.action, "state": act.state, "says": act.summary}
            for act in response.actions
            # A verification is repeated every second: it would hide the few actions that matter.
            if act.phase != "verify"
        ],
    }


def total(results: Sequence[DrillResult]) -> DrillTotals:
    """The totals of a session."""
    efforts = [one.seen.work for one in results]
    responses = [one.seen.response for one in results if one.seen.response is not None]
    slowness = [one.seen.slowness for one in results]
    return DrillTotals(
        held=len(results),
        passed=sum(one.passed for one in results),
        resolved=sum(one.resolved_after is not None for one in responses),
        longest_detection=_rounded(max((one.detected_after for one in responses), default=None)),
        slowness=round(sum(slowness) / len(slowness), 2) if slowness else 1.0,
        median_resolution=_rounded(median_resolution([one.seen for one in results])),
        steps_lost=sum(work.lost for work in efforts),
        steps_repeated=sum(work.repeated for work in efforts),
        options_helped=tuple(sorted({named(option) for option in _carried_out(results)})),
    )


def _carried_out(results: Sequence[DrillResult]) -> Iterator[ScenarioOption]:
    for one in results:
        response = one.seen.response
        if response is not None and response.helped not in (None, BY_ITSELF):
            yield response.scenario, str(response.helped)
        if one.passed and one.drill.expects.contains and one.drill.expects.scenario:
            yield one.drill.expects.scenario, one.drill.expects.contains


def who_helped(known: Mapping[str, Any]) -> str:
    """What helped, or who was called, in a few words."""
    helped = known.get("helped") or ""
    level = f"level {known['level_called']}" if known.get("level_called") else ""
    asks = f"asks for {', '.join(known['approval_asked_for'])}" if known.get("approval_asked_for") else ""
    return "; ".join(part for part in (helped, level, asks) if part)


def markdown(rows: Sequence[tuple[str, bool, Mapping[str, Any]]], whole: DrillTotals) -> str:
    """Drills by name, whether they passed, and their figures, as the table of `docs/explanation/drills.md`."""
    lines = [_line(_HEADS), _line(["---"] * len(_HEADS))]
    for name, passed, known in rows:
        times = [_in_seconds(known.get(key)) for key in ("detected_after", "resolved_after")]
        watched = _in_seconds(known.get("stable_seconds")) if known.get("resolved_after") is not None else ""
        counts = [str(known[key]) for key in ("steps_lost", "steps_repeated", "model_calls_repeated")]
        result = "passed" if passed else "FAILED"
        severity = str(known.get("severity", ""))
        lines.append(_line([name, result, str(known["ending"]), severity, *times, watched, *counts, who_helped(known)]))
    return "\n".join([*lines, "", in_words(whole)])


def in_words(whole: DrillTotals) -> str:
    """The totals of a session, in a few sentences."""
    resolution = "none" if whole.median_resolution is None else f"{whole.median_resolution:.1f} s"
    slow = (
        f" Limits were widened: programs ran {whole.slowness:g} times slower than alone." if whole.slowness > 1 else ""
    )
    return (
        f"{whole.passed} of {whole.held} as expected. Median resolution beyond the watching, of {whole.resolved}: "
        f"{resolution}. Steps lost: {whole.steps_lost}; committed steps repeated: {whole.steps_repeated}.{slow}"
    )


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _in_seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
