"""What is read off the effects and the output of a peer's processes. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

STEPS = ("plan", "part-1", "part-2", "part-3", "review")

_TROUBLE = re.compile(
    r"error|exception|traceback|fail|retry|falling back|refused|timed? ?out|unavailable|recover|leak|secret|credential"
    r"|denied|HTTP/1\.1 [45]\d\d",
    re.IGNORECASE,
)
# What differs from one time that a line is printed to the next: times, durations, identifiers.
_CHANGING = re.compile(r"[0-9a-f]{8}[0-9a-f-]*|\d+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Record:
    """An effect on the disk: a `tool` was begun, or has `worked` to its end, or a step's artifact was `saved`; `at` in
    seconds since the epoch."""

    what: str
    step: str
    at: float


@dataclass(frozen=True, slots=True)
class Line:
    """Something printed by a contender; `at` in seconds since the epoch."""

    at: float
    text: str


def read_records(text: str) -> list[Record]:
    """The effects in the file; a last line that was cut off does not count."""
    return [Record(**json.loads(line)) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def repeated_steps(records: Sequence[Record]) -> set[str]:
    """Committed steps that were carried out again: any effect of a step that comes after one of a later step."""
    repeated, furthest = set(), 0
    for record in records:
        place = STEPS.index(record.step)
        if place < furthest:
            repeated.add(record.step)
        furthest = max(furthest, place)
    return repeated


def committed_steps(records: Sequence[Record]) -> set[str]:
    """Steps before the furthest that was begun."""
    return set(STEPS[: max((STEPS.index(record.step) for record in records), default=0)])


def saved_after(records: Sequence[Record], step: str, since: float) -> float | None:
    """How long after `since` the step's artifact was written first; None when it was not."""
    return next(
        (one.at - since for one in records if (one.what, one.step) == ("saved", step) and one.at >= since), None
    )


def hollow_steps(records: Sequence[Record]) -> list[str]:
    """Steps that were done although their tool never worked to its end: the model went on without it."""
    worked = {record.step for record in records if record.what == "worked"}
    begun = {record.step for record in records if record.what == "tool"}
    saved = {record.step for record in records if record.what == "saved"}
    return sorted((begun & saved) - worked)


def first_sign(lines: Sequence[Line], since: float) -> Line | None:
    """The first line after `since` that speaks of trouble, and is not one of those that are printed on a good day."""
    usual = {_CHANGING.sub("", line.text) for line in lines if line.at < since}
    return next(
        (
            line
            for line in lines
            if line.at >= since and _TROUBLE.search(line.text) and _CHANGING.sub("", line.text) not in usual
        ),
        None,
    )


def broken_artifacts(artifacts: Mapping[str, str]) -> list[str]:
    """Steps whose artifact is not the whole answer: every answer of the rehearsal model to this job is JSON."""
    return [step for step in STEPS if step in artifacts and not _is_json(artifacts[step])]


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
