"""What an agent does at this moment, in words: the same on a terminal, in a browser and from the API. Pure."""

from __future__ import annotations

from datetime import datetime

from orchestration.domain.work_phase import WorkPhase
from orchestration.storage.timeline import HeartbeatRow

# A process beats every two seconds; a machine that is busy may delay that.
_ALIVE_SECONDS = 10.0
_FRESH_SECONDS = 5.0


def activity_text(beat: HeartbeatRow) -> str:
    """The activity in a few words, without its time."""
    match beat.phase:
        case WorkPhase.QUEUED:
            return f"{beat.activity}, {beat.ahead} ahead" if beat.ahead else f"{beat.activity}, next in the queue"
        case WorkPhase.READING if beat.prompt_tokens:
            return f"{beat.about} reads about {beat.prompt_tokens:,} tokens of prompt"
        case WorkPhase.THINKING:
            return f"{beat.about} thinks: {beat.tokens:,} tokens"
        case WorkPhase.ANSWERING:
            return f"{beat.about} answers: {beat.tokens:,} tokens"
        case WorkPhase.TOOL | WorkPhase.WAITING if beat.about:
            return f"{beat.activity}: {beat.about}"
    return f"{beat.activity}, {beat.tokens:,} tokens" if beat.tokens else beat.activity


def activity_seconds(beat: HeartbeatRow, now: datetime) -> float:
    """How long the activity has lasted; of earlier versions, since its last progress."""
    # Never negative: the time may come from a machine whose clock is ahead.
    return max(0.0, (now - (beat.since or beat.progress_at)).total_seconds())


def tail_lines(beat: HeartbeatRow, count: int) -> list[str]:
    """The last lines of the answer or the output that are not empty."""
    return [line for line in beat.tail.splitlines() if line.strip()][-count:]


def lost_seconds(beat: HeartbeatRow, now: datetime) -> float | None:
    """For how long its process has given no sign of life, if that is too long."""
    gone = 0.0 if beat.beat_at is None else (now - beat.beat_at).total_seconds()
    return gone if gone > _ALIVE_SECONDS else None


def is_fresh(beat: HeartbeatRow, now: datetime) -> bool:
    """Whether it was sent just now: the only sign that what is no agent, such as a check, is still at work."""
    return beat.beat_at is not None and (now - beat.beat_at).total_seconds() < _FRESH_SECONDS
