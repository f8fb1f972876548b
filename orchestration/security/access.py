"""Access control: users with passwords, browser sessions, API tokens, and the creation of the first user.

The database holds no usable secret: sessions and tokens are random, and only their SHA-256 is stored.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestration.clock import Clock
from orchestration.errors import ConflictError, NotFoundError, OrchestratorError, UsageError
from orchestration.events import Event, EventBus
from orchestration.events.security import (
    RevokedTokenUsed,
    SignInFailed,
    SignInLocked,
    SignInSucceeded,
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
from orchestration.storage.access import AccessTable, SessionRow, TokenRow, UserRow
from orchestration.storage.database import Database

# The areas to which the scopes of a token can restrict it.
AREAS = (
    *("runs", "agents", "incidents", "alerts", "providers", "configuration", "contacts", "statistics", "playbooks"),
    *("drills", "maintenance", "events", "metrics", "access", "gateway"),
)
GATEWAY = "gateway"
# The limits of a gateway client: use per day (UTC), requests per minute, concurrent requests.
CLIENT_LIMITS = ("daily_tokens", "daily_usd", "requests_per_minute", "concurrency")
TOKEN_PREFIX = "orc_"  # noqa: S105 (a prefix by which secret scanners recognise a leaked token)
# A session ends overnight, and at the latest after a week, as OWASP's session management cheat sheet advises for
# administrative interfaces.
_IDLE = timedelta(hours=12)
_LONGEST = timedelta(days=7)
# Each request uses the session; writing that down more often would make every page view a write.
_TOUCH = timedelta(minutes=1)
_WINDOW = timedelta(minutes=15)
# Failures count per source: a low limit by user name alone would let anyone lock the on-call engineer out. A high one
# stops many sources together, and never a browser that its user has signed in with before.
_MOST_FOR_USER = 5
_MOST_OF_SOURCE = 25
_MOST_OF_STRANGERS = 100
_DEVICE = "device "
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")


class SignInError(OrchestratorError):
    """A sign-in was refused. The message never says whether the name or the password was wrong."""


class LockedError(SignInError):
    """Too many sign-ins of this source have failed; it is refused for `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"Too many sign-ins have failed. Try again in {seconds / 60:.0f} minutes.")
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class SignedIn:
    """An authenticated caller. `csrf` is empty for a token; `token` is its record."""

    principal: Principal
    csrf: str = ""
    token: TokenRow | None = None


class AccessControl:
    """Authenticates users, sessions and tokens, and manages them. Every method but `recent_token` blocks."""

    def __init__(self, database: Database, bus: EventBus, clock: Clock) -> None:
        self.table = AccessTable(database)
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

    def set_up(self, key: str, name: str, password: str) -> str:
        """Create the first user, an admin, and sign them in; returns the session. Raises SignInError for a wrong key,
        and ConflictError if there are users."""
        if not (self._setup and hmac.compare_digest(digest(key), self._setup)):
            raise SignInError(
                "This set-up link is not valid. Use the one that `orchestrator serve` printed, or restart it for "
                "a new one."
            )
        self.add_user(name, Role.ADMIN, password, actor="setup", first=True)
        self._setup = ""
        return self._new_session(name)

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
        user = self.table.find_user(name)
        if user is None:
            raise ConflictError(f"The user '{name}' no longer exists.")
        return user

    def sign_in(self, name: str, password: str, source: str, *, place: str = "", device: str = "") -> str:
        """Sign a user in; returns the session, for the browser's cookie. Raises SignInError. Raises LockedError,
        without checking the password, if too many sign-ins of the source have failed, for this name or in total, or too
        many for this name from anywhere.

        `place` is what counts as one source, `source` what is shown of it. A `device` is a browser with which this user
        has signed in before: it has a count of its own, and other locks do not concern it.
        """
        now = self._clock.now()
        place = self._counted_as(name, place or source, device, now)
        self._check_lock(name, place, now)
        user = self.table.find_user(name)
        # An unknown name costs the same time as a wrong password, so that the time does not tell which names exist.
        kept = user.password if user is not None else passwords.NOBODY
        # Cut, because a caller who has not signed in must not decide how much there is to hash.
        right = passwords.matches(password[:1024], kept) and user is not None and user.disabled_at is None
        if not right:
            self.note_failure(name, source, "wrong name or password", place)
            raise SignInError("The name or the password is wrong.")
        # For this name only: a source that guesses at others must not clear its count by signing in as itself.
        self.table.remove_failures(place, name)
        self._bus.publish(SignInSucceeded(source=source, user=name), actor=name)
        return self._new_session(name)

    def note_failure(self, name: str, source: str, reason: str, place: str = "") -> None:
        """Record a failed sign-in, and report it if it locks the source out."""
        now, shown, place = self._clock.now(), name[:64], place or source
        self.table.add_failure(place, shown, now, now - _WINDOW)
        self._bus.publish(SignInFailed(source=source, user=shown, reason=reason))
        if self._wait(shown, place, now):
            self._bus.publish(SignInLocked(source=source, user=shown, seconds=_WINDOW.total_seconds()))

    def of_session(self, session: str) -> SignedIn | None:
        """The user of a session; None for one that has ended or never existed."""
        found, now = self.table.find_session(digest(session)), self._clock.now()
        if found is None:
            return None
        known, user = found
        if user.disabled_at is not None or now >= min(known.expires_at, known.used_at + _IDLE):
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
        if self.table.find_user(name) is None:
            raise NotFoundError(f"There is no user '{name}'. `orchestrator users list` shows all.")
        ended = self.table.remove_sessions(name)
        self._bus.publish(UserChanged(user=name, changed=("sessions",)), actor=actor)
        return ended

    def of_token(self, secret: str, source: str, *, place: str = "") -> SignedIn:
        """The caller with a token. Raises SignInError for an invalid one, LockedError for a source that guesses."""
        # The lock applies to invalid tokens only. Behind a shared address, one client that guesses would otherwise shut
        # out all others.
        entered = self.known_token(secret)
        if entered is None:
            self._check_lock("", place or source, self._clock.now())
            self.note_failure("", source, "no token that is in force", place)
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
    ) -> tuple[str, TokenRow]:
        """Create a token; returns the secret, which is shown only once, and its record. Raises UsageError."""
        now = self._clock.now()
        _check_name(name)
        if unknown := sorted(set(scopes or ()) - set(AREAS)):
            raise UsageError(f"expected scopes among {', '.join(AREAS)}, got '{unknown[0]}'")
        if expires_at is not None and expires_at <= now:
            raise UsageError("The expiry is in the past.")
        secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
        chosen = None if scopes is None else sorted(set(scopes))
        token = TokenRow(
            new_id("token", now.timestamp()), digest(secret), name, role.value, chosen, actor, now,
            dict(limits or {}), expires_at,
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

    def _new_session(self, name: str) -> str:
        secret, now = secrets.token_urlsafe(32), self._clock.now()
        self.table.add_session(SessionRow(digest(secret), name, secrets.token_urlsafe(24), now, now, now + _LONGEST))
        return secret

    def _counted_as(self, name: str, place: str, device: str, now: datetime) -> str:
        """What a sign-in counts for: a device that guesses, too, is a stranger's."""
        known = f"{_DEVICE}{device}"[:64] if device else ""
        return known if known and not self._wait(name[:64], known, now) else place

    def _check_lock(self, name: str, place: str, now: datetime) -> None:
        if wait := self._wait(name[:64], place, now):
            raise LockedError(wait)

    def _wait(self, name: str, place: str, now: datetime) -> float:
        """Seconds until this source may try again. The user whose name was guessed can still sign in from elsewhere."""
        wait = locked_for(self.table.list_failures(place, now - _WINDOW), name, now)
        if wait or place.startswith(_DEVICE) or not name:
            return wait
        return _remaining(self.table.list_failures_for(name, now - _WINDOW), _MOST_OF_STRANGERS, now)


def _signed_in(token: TokenRow) -> SignedIn:
    scopes = None if token.scopes is None else frozenset(token.scopes)
    return SignedIn(Principal(token.name, Role(token.role), scopes), token=token)


def _check_name(name: str) -> None:
    """Raise UsageError for what cannot be a name, or should be none: names are shown everywhere."""
    if any(find_patterns(name)):
        raise UsageError("The name looks like a secret. Choose another one.")
    if not _NAME.fullmatch(name):
        raise UsageError(f"expected a name of letters, digits and . _ @ -, got '{name[:64]}'")


def locked_for(failures: Sequence[tuple[str, datetime]], name: str, now: datetime) -> float:
    """Seconds for which a source stays locked out as `name`, given its recent failures; 0 if it is not. Pure."""
    mine = [at for user, at in failures if user == name]
    everybodys = [at for _, at in failures]
    return max(_remaining(mine, _MOST_FOR_USER, now), _remaining(everybodys, _MOST_OF_SOURCE, now))


def _remaining(times: Sequence[datetime], most: int, now: datetime) -> float:
    """Seconds until fewer than `most` of these failures are within the window."""
    return (times[-most] + _WINDOW - now).total_seconds() if len(times) >= most else 0.0


def digest(secret: str) -> str:
    """The digest of a random secret. One round of SHA-256 is enough: 256 random bits cannot be guessed."""
    return hashlib.sha256(secret.encode()).hexdigest()
