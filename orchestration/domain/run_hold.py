"""Why a run does not go on."""

from __future__ import annotations

from enum import StrEnum


class RunHold(StrEnum):
    """Why a run waits, is stopped or was cancelled. The sentence beside it is for people; programs decide by this."""

    NO_PROVIDER = "no-provider"
    APPROVAL = "approval"
    PAUSED_BY_RESPONSE = "paused-by-response"
    STOPPED_BY_RESPONSE = "stopped-by-response"
    PAUSED_BY_PERSON = "paused-by-person"
    CANCELLED_BY_PERSON = "cancelled-by-person"
    WORKER_STOPPED = "worker-stopped"
    INTERRUPTED = "interrupted"
