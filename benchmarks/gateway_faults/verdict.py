"""What a client's experience of a fault is worth. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

from benchmarks.gateway_faults.client import Answer
from benchmarks.gateway_faults.upstream import PRIMARY, SECONDARY


class Verdict(IntEnum):
    """The worst first. `SAFE`: no answer, but an error that the client can act on. `PARTIAL`: an answer, but late,
    damaged in a detail, or at the cost of other clients."""

    FAIL = 0
    PARTIAL = 1
    SAFE = 2
    PASS = 3

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True)
class Judgement:
    """A verdict and what it rests on."""

    verdict: Verdict
    why: str


def answered(answer: Answer, *, within: float = 10.0, by: str | None = None) -> Judgement:
    """Whether a client got the right answer in time, and from whom it should."""
    right = answer.text in ((PRIMARY, SECONDARY) if by is None else (by,))
    if answer.is_answer and right and answer.finish in ("stop", "tool_calls"):
        return Judgement(Verdict.PASS if answer.seconds <= within else Verdict.PARTIAL, str(answer))
    if answer.is_honest:
        return Judgement(Verdict.SAFE if answer.seconds <= within else Verdict.PARTIAL, str(answer))
    known = answer.is_answer and answer.text in (PRIMARY, SECONDARY)
    return Judgement(Verdict.PARTIAL if known else Verdict.FAIL, str(answer))


def refused(answer: Answer, *, within: float = 10.0) -> Judgement:
    """Whether a client got an error that it can read, where that is the right answer."""
    told = answer.is_honest and answer.seconds <= within
    return Judgement(Verdict.PASS if told else Verdict.SAFE if answer.is_honest else Verdict.FAIL, str(answer))


def worst(judgements: Iterable[Judgement]) -> Judgement:
    """The worst of several clients' experiences."""
    return min(judgements, key=lambda one: one.verdict)


def fact(holds: bool, why: str, otherwise: Verdict = Verdict.FAIL) -> Judgement:
    """A pass if something holds."""
    return Judgement(Verdict.PASS if holds else otherwise, why)
