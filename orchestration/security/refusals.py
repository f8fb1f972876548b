"""Whether a refused tool call is a slip of the model or evidence of intent, from it and those refused before. Pure.

Models slip all the time: they write `/workspace/app.py`, run `ls -la`, invent a tool. Told what is allowed, they go on
properly. What they are not led to by a habit is evidence: secrets, our own state, hosts, and trying again to get out of
the workspace after that was refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestration.domain.refusal import RefusalAssessment, RefusalReason
from orchestration.security.attempt_signs import ProtectedPaths, RefusedAttempt, sign_of

__all__ = ["PastRefusal", "ProtectedPaths", "RefusalJudgement", "RefusedAttempt", "assess_refusal"]

# A model that was refused twice has been told twice; a third attempt within ten minutes is no slip any more, and with
# the fifth it is not merely stubborn.
ESCAPE_WINDOW = timedelta(minutes=10)
ESCAPES_SUSPICIOUS, ESCAPES_ATTACK = 3, 5

_ESCAPES = frozenset({RefusalReason.OUTSIDE_WORKSPACE, RefusalReason.ESCAPE_REPEATED})
# Evidence that a person has to look at. A second piece of it in one run is an attack.
_EVIDENCE = frozenset(
    {
        RefusalReason.ACCOUNTS_SOUGHT,
        RefusalReason.SECRET_SOUGHT,
        RefusalReason.STATE_SOUGHT,
        RefusalReason.HOST_REACHED_FOR,
        RefusalReason.PRIVATE_ADDRESS,
    }
)
# No task of an agent leads to these by mistake.
_UNMISTAKABLE = frozenset(
    {
        RefusalReason.KEYS_SOUGHT,
        RefusalReason.PROCESS_MEMORY_SOUGHT,
        RefusalReason.METADATA_SERVICE,
        RefusalReason.EXFILTRATION,
        RefusalReason.SANDBOX_ESCAPE,
        RefusalReason.DESTRUCTION,
    }
)


@dataclass(frozen=True, slots=True)
class PastRefusal:
    """An earlier refusal of the same run."""

    at: datetime
    reason: RefusalReason


@dataclass(frozen=True, slots=True)
class RefusalJudgement:
    """How a refused call is judged, and why."""

    assessment: RefusalAssessment
    reason: RefusalReason


def assess_refusal(
    attempt: RefusedAttempt, at: datetime, earlier: Sequence[PastRefusal], places: ProtectedPaths
) -> RefusalJudgement:
    """Judge a call that was refused at a time, after the earlier ones of its run."""
    reason = sign_of(attempt, places)
    if reason in _UNMISTAKABLE:
        return RefusalJudgement(RefusalAssessment.ATTACK, reason)
    if reason in _EVIDENCE:
        again = any(past.reason in _EVIDENCE | _UNMISTAKABLE for past in earlier)
        return RefusalJudgement(RefusalAssessment.ATTACK if again else RefusalAssessment.SUSPICIOUS, reason)
    if reason in _ESCAPES:
        return _assess_escape(1 + sum(past.reason in _ESCAPES and at - past.at <= ESCAPE_WINDOW for past in earlier))
    return RefusalJudgement(RefusalAssessment.SLIP, reason)


def _assess_escape(count: int) -> RefusalJudgement:
    if count < ESCAPES_SUSPICIOUS:
        return RefusalJudgement(RefusalAssessment.SLIP, RefusalReason.OUTSIDE_WORKSPACE)
    assessment = RefusalAssessment.SUSPICIOUS if count < ESCAPES_ATTACK else RefusalAssessment.ATTACK
    return RefusalJudgement(assessment, RefusalReason.ESCAPE_REPEATED)
