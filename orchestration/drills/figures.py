"""A drill's result as figures: for the history, for JSON and for the table. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orchestration.drills.conducting import Result
from orchestration.drills.scoring import median_resolution


@dataclass(frozen=True, slots=True)
class Total:
    """All drills of one session together. `median_resolution` is beyond the window of watching, None without any."""

    held: int
    passed: int
    median_resolution: float | None
    steps_lost: int
    steps_repeated: int


def figures(result: Result) -> dict[str, Any]:
    """What is kept of a drill, as JSON values; times in seconds after the fault."""
    response, effort = result.seen.response, result.seen.effort
    values: dict[str, Any] = {
        "ending": result.drill.expects.ending.value,
        "seconds": round(result.seen.seconds, 2),
        "slowness": result.seen.slowness,
        "run": effort.status.partition("\n")[0][:200],
        "steps": effort.steps,
        "steps_lost": effort.lost,
        "steps_repeated": effort.repeated,
        "model_calls": effort.calls,
        "model_calls_repeated": effort.calls_repeated,
        "by_hand": list(result.seen.by_hand),
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
            {"phase": act.phase, "step": act.step, "action": act.action, "state": act.state, "says": act.says}
            for act in response.acts
            if act.phase != "verify"
        ],
    }


def total(results: Sequence[Result]) -> Total:
    """The sum of a session."""
    efforts = [one.seen.effort for one in results]
    return Total(
        held=len(results),
        passed=sum(one.passed for one in results),
        median_resolution=_rounded(median_resolution([one.seen for one in results])),
        steps_lost=sum(effort.lost for effort in efforts),
        steps_repeated=sum(effort.repeated for effort in efforts),
    )


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
