"""Events of sign-in and access, of the audit trail, and of secrets that were redacted."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import ClassVar

from orchestration.events.payload import EventPayload


@dataclass(frozen=True, slots=True)
class SignInSucceeded(EventPayload):
    """A user signed in."""

    kind: ClassVar[str] = "sign_in.succeeded"
    template: ClassVar[str] = "{user} signed in from {source}"

    source: str
    user: str


@dataclass(frozen=True, slots=True)
class SignInFailed(EventPayload):
    """A sign-in or a token was rejected."""

    kind: ClassVar[str] = "sign_in.failed"
    template: ClassVar[str] = "sign-in of {user} from {source} failed: {reason}"
    level: ClassVar[int] = logging.ERROR

    # Failures are counted by source: a lock by name alone would let anybody lock the on-call engineer out.
    source: str
    user: str
    reason: str


@dataclass(frozen=True, slots=True)
class SignInLocked(EventPayload):
    """After too many failures, sign-in is locked for a while."""

    kind: ClassVar[str] = "sign_in.locked"
    template: ClassVar[str] = "sign-in of {user} from {source} is locked for {seconds:.0f} s"
    level: ClassVar[int] = logging.WARNING

    source: str
    user: str
    seconds: float


@dataclass(frozen=True, slots=True)
class RecoveryCodeUsed(EventPayload):
    """A user signed in by a recovery code instead of the telephone; `left` more can be used."""

    kind: ClassVar[str] = "sign_in.recovery_code_used"
    template: ClassVar[str] = "{user} used a recovery code; {left} are left"
    level: ClassVar[int] = logging.WARNING

    user: str
    left: int


@dataclass(frozen=True, slots=True)
class UserAdded(EventPayload):
    """A user was added."""

    kind: ClassVar[str] = "user.added"
    template: ClassVar[str] = "user {user} added as {role}"

    user: str
    role: str


@dataclass(frozen=True, slots=True)
class UserChanged(EventPayload):
    """A user's role, password or access was changed; `changed` names the fields."""

    kind: ClassVar[str] = "user.changed"

    user: str
    changed: tuple[str, ...]

    def sentence(self) -> str:
        return f"user {self.user} changed: {', '.join(self.changed)}"


@dataclass(frozen=True, slots=True)
class TokenAdded(EventPayload):
    """An API token was created; `scopes` is null for one that is not narrowed down."""

    kind: ClassVar[str] = "token.added"
    template: ClassVar[str] = "token {name} added as {role}"

    token: str
    name: str
    role: str
    scopes: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class TokenRevoked(EventPayload):
    """An API token was revoked."""

    kind: ClassVar[str] = "token.revoked"
    template: ClassVar[str] = "token {name} revoked"

    token: str
    name: str


@dataclass(frozen=True, slots=True)
class RevokedTokenUsed(EventPayload):
    """A request came with an API token that is revoked."""

    kind: ClassVar[str] = "token.used_after_revocation"
    template: ClassVar[str] = "{source} used the revoked token {name}"
    level: ClassVar[int] = logging.WARNING

    source: str
    token: str
    name: str


@dataclass(frozen=True, slots=True)
class AuditWritten(EventPayload):
    """A line was added to the audit trail, sealed by `digest`."""

    kind: ClassVar[str] = "audit.written"
    template: ClassVar[str] = "audit: {action}: {outcome}"

    action: str
    outcome: str
    # With the digest, so that the log holds a copy elsewhere: the chain alone cannot show that lines are missing at its
    # end.
    number: int
    digest: str


@dataclass(frozen=True, slots=True)
class SecretRedacted(EventPayload):
    """Secrets were removed from text before it was stored or sent."""

    kind: ClassVar[str] = "secret.redacted"
    template: ClassVar[str] = "{count} × {found} redacted from {place}"

    # The kind of secret, never a part of it; `kind` is the event's own.
    found: str
    place: str
    # Repetitions within a minute are counted in one event, so that a loop that prints a key does not flood the
    # timeline.
    count: int = 1


@dataclass(frozen=True, slots=True)
class IsolationStarted(EventPayload):
    """The system was isolated: no run starts, agents have no tools, clients get no model calls."""

    kind: ClassVar[str] = "isolation.started"
    template: ClassVar[str] = "the system is isolated: {reason}"
    level: ClassVar[int] = logging.WARNING

    reason: str
    # The override that keeps it in force, and the incident that it was done for.
    override: str
    incident: str | None = None


@dataclass(frozen=True, slots=True)
class IsolationLifted(EventPayload):
    """A person lifted the isolation."""

    kind: ClassVar[str] = "isolation.lifted"
    template: ClassVar[str] = "the isolation was lifted: {reason}"
    level: ClassVar[int] = logging.WARNING

    reason: str
    override: str
    incident: str | None = None
