"""Duties: what has to be done before an incident may be resolved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class DutyKind(StrEnum):
    """What kind of work is left over when the symptom of a problem is gone."""

    ROTATE_CREDENTIAL = "rotate-credential"
    RECOVER_RUN = "recover-run"
    LIFT_ISOLATION = "lift-isolation"
    CHECK_QUARANTINED_FILE = "check-quarantined-file"
    REMOVE_WORKAROUND = "remove-workaround"
    CHECK_DATA = "check-data"
    CONFIRM_AT_SOURCE = "confirm-at-source"
    MERGE_BRANCH = "merge-branch"
    RESTART_SYSTEM = "restart-system"


class DutyOwner(StrEnum):
    """Who does a duty. What `automation` owns ends by itself once its cause is gone, and nobody is called for it."""

    RESPONDER = "responder"
    ADMIN = "admin"
    AUTOMATION = "automation"


class DutyState(StrEnum):
    """Whether a duty is still open, and how it ended."""

    OPEN = "open"
    DONE = "done"
    DISMISSED = "dismissed"


@dataclass(frozen=True, slots=True)
class DutyRequest:
    """A duty that an alert or an action asks for. `subject` is what it is about, by name: a run, a file, an override.

    An incident has at most one open duty of a kind and a subject, so asking again changes nothing.
    """

    kind: DutyKind
    subject: str
    summary: str
    owner: DutyOwner = DutyOwner.RESPONDER


@dataclass(frozen=True, slots=True)
class Duty:
    """A duty of an incident. `evidence` is the proof that it was done, or the reason why it was dismissed."""

    number: int
    kind: DutyKind
    subject: str
    summary: str
    owner: DutyOwner
    opened_at: datetime
    opened_by: str
    state: DutyState = DutyState.OPEN
    ended_at: datetime | None = None
    ended_by: str = ""
    evidence: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it keeps its incident open."""
        return self.state is DutyState.OPEN
