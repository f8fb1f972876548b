"""Access control: users with passwords, browser sessions, API tokens, and the creation of the first user.

The database holds no usable secret: sessions and tokens are random, and only their SHA-256 is stored.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestration.clock import Clock
from orchestration.errors import NotFoundError, UsageError
from orchestration.events import Event, EventBus
from orchestration.events.security import (
    RevokedTokenUsed,
    TokenAdded,
    TokenRevoked,
    UserAdded,
    UserChanged,
)
from orchestration.ids import new_id
from orchestration.security import passwords
from orchestration.security.principal import Principal, Role
from orchestration.security.recent_tokens import RecentTokens
from orchestration.security.secret_search import find_patterns
from orchestration.security.sign_in_locks import SignInError, SignInLocks
from orchestration.storage.access import AccessTable, SessionRow, TokenRow, UserRow
from orchestration.storage.database import Database

# The areas to which the scopes of a token can restrict it.
AREAS = (
    *("runs", "agents", "incidents", "alerts", "providers", "configuration", "contacts", "statistics", "playbooks"),
    *("drills", "maintenance", "events", "metrics", "access", "gateway"),
)
GATEWAY = "gateway"
# The limits of a gateway client: use per day and per month (UTC), requests per minute, concurrent requests, and the
# percentage of its use at which people are notified.
CLIENT_LIMITS = (
    *("daily_tokens", "daily_usd", "requests_per_minute", "concurrency"),
    *("monthly_tokens", "monthly_usd", "soft_percent"),
)
TOKEN_PREFIX = "orc_"  # noqa: S105 (a prefix by which secret scanners recognise a leaked token)
# A session ends overnight, and at the latest after a week, as OWASP's session management cheat sheet advises for
# administrative interfaces.
_IDLE = timedelta(hours=12)
_LONGEST = timedelta(days=7)
# Each request uses the session; writing that down more often would make every page view a write.
_TOUCH = timedelta(minutes=1)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")


@dataclass(frozen=True, slots=True)
class SignedIn:
    """An authenticated caller. `csrf` is empty for a token; `token` is its record."""

    principal: Principal
    csrf: str = ""
    token: TokenRow | None = None


class AccessControl:
    """Authenticates sessions and tokens, and manages them and users. Every method but `recent_token` blocks.

    `needs_second_factor` are the roles whose sessions have to be proven by more than a password.
    """

    def __init__(
        self,
        database: Database,
        bus: EventBus,
        clock: Clock,
        needs_second_factor: Callable[[], frozenset[Role]] = frozenset,
    ) -> None:
        self.table = AccessTable(database)
        self.locks = SignInLocks(self.table, bus, clock)
        self.needs_second_factor = needs_second_factor
        self._bus = bus
        self._clock = clock
        self._setup = ""
        self._recent = RecentTokens()
        bus.subscribe(self._on_event)

    def has_users(self) -> bool:
        """Whether there is any user."""
        return bool(self.table.list_users())

    def new_setup_key(self) -> str:
        """A key for creating the first user, valid once and in this process only; it replaces an earlier key."""
        key = secrets.token_urlsafe(24)
        self._setup = digest(key)
        return key

    def set_up(self, key: str, name: str, password: str) -> UserRow:
        """Create the first user, an admin. Raises SignInError for a wrong key, and ConflictError if there are users."""
        if not (self._setup and hmac.compare_digest(digest(key), self._setup)):
            raise SignInError(
                "This set-up link is not valid. Use the one that `orchestrator serve` printed, or restart it for "
                "a new one."
            )
        user = self.add_user(name, Role.ADMIN, password, actor="setup", first=True)
        self._setup = ""
        return user

    def add_user(self, name: str, role: Role, password: str, *, actor: str, first: bool = False) -> UserRow:
        """Add a user. Raises UsageError for an invalid name or password, ConflictError if the name exists."""
        _check_name(name)
        user = UserRow(name, role.value, passwords.digest(passwords.checked(password)), self._clock.now())
        self.table.add_user(user, first=first)
        self._bus.publish(UserAdded(user=name, role=role.value), actor=actor)
        return user

    def change_user(
        self,
        name: str,
        *,
        actor: str,
        role: Role | None = None,
        password: str | None = None,
        disabled: bool | None = None,
    ) -> UserRow:
        """Change a user's role or password, or disable them; their sessions end. Raises NotFoundError, UsageError, and
        ConflictError for the last admin."""
        values: dict[str, str | datetime | None] = {}
        if role is not None:
            values["role"] = role.value
        if password is not None:
            values["password"] = passwords.digest(passwords.checked(password))
        if disabled is not None:
            values["disabled_at"] = self._clock.now() if disabled else None
        if disabled is False:
            # The way out for a user whom guessers have locked out of every browser.
            self.table.remove_failures_for(name)
        if not values:
            raise UsageError("Nothing to change. Give a role, a password, or whether the user is disabled.")
        self.table.update_user(name, keep_an=Role.ADMIN.value, **values)
        self._bus.publish(UserChanged(user=name, changed=tuple(sorted(values))), actor=actor)
        return self.user(name)

    def user(self, name: str) -> UserRow:
        """The user of that name. Raises NotFoundError."""
        user = self.table.find_user(name)
        if user is None:
            raise NotFoundError(f"There is no user '{name}'. `orchestrator users list` shows all.")
        return user

    def new_session(self, name: str, proof: str | None = None) -> str:
        """Begin a session; returns its secret, for the browser's cookie."""
        secret, now = secrets.token_urlsafe(32), self._clock.now()
        self.table.add_session(
            SessionRow(digest(secret), name, secrets.token_urlsafe(24), now, now, now + _LONGEST, proof)
        )
        return secret

    def of_session(self, session: str) -> SignedIn | None:
        """The user of a session; None for one that has ended or never existed."""
        found, now = self.table.find_session(digest(session)), self._clock.now()
        if found is None:
            return None
        known, user = found
        if user.disabled_at is not None or now >= min(known.expires_at, known.used_at + _IDLE):
            return None
        if known.proof is None and Role(user.role) in self.needs_second_factor():
            return None
        if now - known.used_at > _TOUCH:
            self.table.touch_session(known.digest, now)
        return SignedIn(Principal(user.name, Role(user.role)), known.csrf)

    def sign_out(self, session: str, *, everywhere: bool = False) -> None:
        """End a session, or all of its user."""
        found = self.table.find_session(digest(session))
        if everywhere and found is not None:
            self.sign_out_everywhere(found[1].name, actor=found[1].name)
        self.table.remove_session(digest(session))

    def sign_out_everywhere(self, name: str, *, actor: str) -> int:
        """End all sessions of a user; returns how many there were. Raises NotFoundError."""
        self.user(name)
        ended = self.table.remove_sessions(name)
        self._bus.publish(UserChanged(user=name, changed=("sessions",)), actor=actor)
        return ended

    def of_token(self, secret: str, source: str, *, place: str = "") -> SignedIn:
        """The caller with a token. Raises SignInError for an invalid one, LockedError for a source that guesses."""
        # The lock applies to invalid tokens only. Behind a shared address, one client that guesses would otherwise shut
        # out all others.
        entered = self.known_token(secret)
        if entered is None:
            self.locks.check("", place or source)
            self.locks.note_failure("", source, "no token that is in force", place)
            self._report_revoked(secret, source)
            raise SignInError("The token is unknown, expired or revoked. Create a new one.")
        return entered

    def _report_revoked(self, secret: str, source: str) -> None:
        token = self.table.find_token_by_digest(digest(secret))
        if token is not None and token.revoked_at is not None:
            self._bus.publish(RevokedTokenUsed(source=source, token=token.id, name=token.name))

    def known_token(self, secret: str) -> SignedIn | None:
        """The caller with a token; None for an invalid one."""
        asked_at, generation = self._clock.monotonic(), self._recent.generation
        token = self.table.find_token_by_digest(digest(secret))
        if token is None or not token.is_valid(self._clock.now()):
            return None
        self._recent.add(token, asked_at, generation)
        return _signed_in(token)

    def recent_token(self, secret: str) -> SignedIn | None:
        """The caller with a token that the database has confirmed within the last second; None if it has to be asked.

        Never blocks. A token that this process revokes is forgotten at once.
        """
        token = self._recent.find(digest(secret), self._clock.monotonic())
        return None if token is None or not token.is_valid(self._clock.now()) else _signed_in(token)

    def add_token(
        self,
        name: str,
        role: Role,
        *,
        actor: str,
        scopes: Sequence[str] | None = None,
        expires_at: datetime | None = None,
        limits: Mapping[str, float] | None = None,
        team: str | None = None,
    ) -> tuple[str, TokenRow]:
        """Create a token; returns the secret, which is shown only once, and its record. Raises UsageError."""
        now = self._clock.now()
        for one in filter(None, (name, team)):
            _check_name(one)
        if unknown := sorted(set(scopes or ()) - set(AREAS)):
            raise UsageError(f"expected scopes among {', '.join(AREAS)}, got '{unknown[0]}'")
        if expires_at is not None and expires_at <= now:
            raise UsageError("The expiry is in the past.")
        secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
        chosen = None if scopes is None else sorted(set(scopes))
        token = TokenRow(
            new_id("token", now.timestamp()), digest(secret), name, role.value, chosen, actor, now,
            dict(limits or {}), expires_at, team=team,
        )  # fmt: skip
        self.table.add_token(token)
        self._bus.publish(
            TokenAdded(token=token.id, name=name, role=role.value, scopes=None if chosen is None else tuple(chosen)),
            actor=actor,
        )
        return secret, token

    def revoke_token(self, text: str, *, actor: str) -> TokenRow:
        """Revoke a token. Raises NotFoundError."""
        token = self.table.find_token(text)
        self.table.revoke_token(token.id, self._clock.now())
        self._bus.publish(TokenRevoked(token=token.id, name=token.name), actor=actor)
        return self.table.find_token(token.id)

    def _on_event(self, event: Event) -> None:
        if event.kind == TokenRevoked.kind:
            self._recent.forget()


def _signed_in(token: TokenRow) -> SignedIn:
    scopes = None if token.scopes is None else frozenset(token.scopes)
    return SignedIn(Principal(token.name, Role(token.role), scopes), token=token)


def _check_name(name: str) -> None:
    """Raise UsageError for what cannot be a name, or should be none: names are shown everywhere."""
    if any(find_patterns(name)):
        raise UsageError("The name looks like a secret. Choose another one.")
    if not _NAME.fullmatch(name):
        raise UsageError(f"expected a name of letters, digits and . _ @ -, got '{name[:64]}'")


def digest(secret: str) -> str:
    """The digest of a random secret. One round of SHA-256 is enough: 256 random bits cannot be guessed."""
    return hashlib.sha256(secret.encode()).hexdigest()
