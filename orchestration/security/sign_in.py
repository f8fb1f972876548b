"""Signing in, step by step: the password, then a one-time code or setting one up where that is required.

What lies between two steps is in the database, so that any process can go on with it, and is bound to one browser by a
cookie. No session begins before the last step.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from orchestration.clock import Clock
from orchestration.errors import ConflictError
from orchestration.events import EventBus
from orchestration.events.security import SignInSucceeded
from orchestration.security import one_time_codes, passwords
from orchestration.security.access import AccessControl, digest
from orchestration.security.principal import Role
from orchestration.security.second_factor import SecondFactors, SignInProof
from orchestration.security.sign_in_locks import SignInError
from orchestration.storage.access import UserRow
from orchestration.storage.sign_in_challenges import ChallengeRow, SignInChallenges

_CODE_TIME = timedelta(minutes=5)
# Installing an authenticator program may come in between.
_ENROLMENT_TIME = timedelta(minutes=15)
_MOST_ATTEMPTS = 5


class SignInStepKind(StrEnum):
    """What comes next for a browser: a session, which is the end, or one more step."""

    SESSION = "session"
    CODE = "code"
    ENROLMENT = "enrolment"


@dataclass(frozen=True, slots=True)
class SignInStep:
    """The next step, and the secret that binds it to the browser."""

    kind: SignInStepKind
    secret: str
    user: str


@dataclass(frozen=True, slots=True)
class SignInOrigin:
    """Where a sign-in comes from. `source` is what is shown of it, `place` what counts as one source, and a `device`
    is a browser in which this user has signed in before: it has a count of its own, and other locks do not concern
    it."""

    source: str
    place: str = ""
    device: str = ""


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A second factor that is being set up: the secret in base32, and the address for a QR code."""

    user: str
    secret: str
    uri: str


class ExpiredSignInError(SignInError):
    """A sign-in took too long, was used already, or had too many attempts."""

    def __init__(self) -> None:
        super().__init__("This sign-in has expired. Start again.")


class SignIn:
    """Signs users in, and manages their second factors. Every method blocks."""

    def __init__(
        self, access: AccessControl, factors: SecondFactors, challenges: SignInChallenges, bus: EventBus, clock: Clock
    ) -> None:
        self.factors = factors
        self._access = access
        self._challenges = challenges
        self._bus = bus
        self._clock = clock

    def set_up(self, key: str, name: str, password: str, origin: SignInOrigin) -> SignInStep:
        """Create the first user, an admin, and go on as after the right password. Raises SignInError for a wrong key,
        and ConflictError if there are users."""
        return self._after_password(self._access.set_up(key, name, password), origin)

    def sign_in(self, name: str, password: str, origin: SignInOrigin) -> SignInStep:
        """Check a user's password. Raises SignInError; LockedError, without checking it, if too many have failed."""
        user, place = self._checked(name, password, origin)
        return self._after_password(user, SignInOrigin(origin.source, place))

    def enter(self, user: UserRow, origin: SignInOrigin, *, has_proof: bool) -> SignInStep:
        """Go on with a user whom an identity provider has proven, with several factors where `has_proof` says so."""
        if has_proof:
            return self._session(user, origin, SignInProof.PROVIDER.value)
        return self._after_password(user, origin)

    def confirm(self, challenge: str, code: str, source: str) -> SignInStep:
        """Finish a sign-in by a one-time code or a recovery code. Raises SignInError, LockedError."""
        row = self._claim(challenge, SignInStepKind.CODE)
        user = self._user_of(row)
        place = str(row.data.get("place", ""))
        self._access.locks.check_code(user.name, place)
        proof = self.factors.accept(user.name, code)
        if proof is None:
            self._access.locks.note_wrong_code(user.name, source, place)
            raise SignInError("The code is wrong, or was used before. Wait for the next one, and try again.")
        if not self._challenges.remove(row.digest):
            raise ExpiredSignInError
        return self._session(user, SignInOrigin(source, place), proof.value)

    def begin_enrolment(self, name: str, password: str, origin: SignInOrigin) -> SignInStep:
        """Begin to set up a second factor for a user who is signed in. Raises SignInError for a wrong password, and
        ConflictError if there is one."""
        user, _ = self._checked(name, password, origin)
        if self.factors.has_one(name):
            raise ConflictError("There is a second factor already. Remove it before setting up another one.")
        return self._enrolment(user)

    def enrolment(self, challenge: str, issuer: str) -> Enrolment:
        """What to show to somebody who is setting up a second factor. Raises ExpiredSignInError."""
        row = self._challenges.find(digest(challenge), SignInStepKind.ENROLMENT.value, self._clock.now())
        if row is None or row.user is None:
            raise ExpiredSignInError
        secret = self.factors.open_secret(row.user, str(row.data["secret"]))
        return Enrolment(row.user, secret, one_time_codes.enrolment_uri(secret, row.user, issuer))

    def enrol(self, challenge: str, code: str, source: str) -> tuple[SignInStep, tuple[str, ...]]:
        """Set up the second factor that a code confirms; returns the session, and the recovery codes, which are never
        shown again. Every other session of the user ends. Raises SignInError for a wrong code."""
        row = self._claim(challenge, SignInStepKind.ENROLMENT)
        user = self._user_of(row)
        codes = self.factors.enrol(user.name, str(row.data["secret"]), code)
        if codes is None:
            raise SignInError("The code is wrong. Check the clock of your telephone, and try the next one.")
        return self._session(user, SignInOrigin(source), SignInProof.CODE.value), codes

    def remove_second_factor(self, name: str, password: str, code: str, origin: SignInOrigin) -> None:
        """Remove one's own second factor. Raises SignInError, ConflictError."""
        self._prove(name, password, code, origin)
        self.factors.remove(name, actor=name)

    def renew_recovery_codes(self, name: str, password: str, code: str, origin: SignInOrigin) -> tuple[str, ...]:
        """New recovery codes for oneself; the earlier ones are void. Raises SignInError, ConflictError."""
        self._prove(name, password, code, origin)
        return self.factors.renew_recovery_codes(name)

    def _prove(self, name: str, password: str, code: str, origin: SignInOrigin) -> None:
        """Whoever finds an unlocked browser must not be able to take its user's second factor away."""
        _, place = self._checked(name, password, origin)
        self._access.locks.check_code(name, place)
        if self.factors.accept(name, code) is None:
            self._access.locks.note_wrong_code(name, origin.source, place)
            raise SignInError("The code is wrong, or was used before. Wait for the next one, and try again.")

    def _checked(self, name: str, password: str, origin: SignInOrigin) -> tuple[UserRow, str]:
        """A user whose password it is, and what further failures count for."""
        locks = self._access.locks
        place = locks.counted_as(name, origin.place or origin.source, origin.device)
        locks.check(name, place)
        user = self._access.table.find_user(name)
        # An unknown name costs the same time as a wrong password, so that the time does not tell which names exist.
        kept = user.password if user is not None else passwords.NOBODY
        # Cut, because a caller who has not signed in must not decide how much there is to hash.
        if not passwords.matches(password[:1024], kept) or user is None or user.disabled_at is not None:
            locks.note_failure(name, origin.source, "wrong name or password", place)
            raise SignInError("The name or the password is wrong.")
        return user, place

    def _after_password(self, user: UserRow, origin: SignInOrigin) -> SignInStep:
        if self.factors.has_one(user.name):
            data = {"place": origin.place or origin.source}
            return self._challenge(SignInStepKind.CODE, user, _CODE_TIME, data)
        if Role(user.role) in self._access.needs_second_factor():
            return self._enrolment(user)
        return self._session(user, origin, None)

    def _enrolment(self, user: UserRow) -> SignInStep:
        data = {"secret": self.factors.new_secret(user.name)}
        return self._challenge(SignInStepKind.ENROLMENT, user, _ENROLMENT_TIME, data)

    def _challenge(self, kind: SignInStepKind, user: UserRow, time: timedelta, data: Mapping[str, Any]) -> SignInStep:
        secret, now = secrets.token_urlsafe(32), self._clock.now()
        self._challenges.add(ChallengeRow(digest(secret), kind.value, user.name, now + time, data=data), now)
        return SignInStep(kind, secret, user.name)

    def _claim(self, challenge: str, kind: SignInStepKind) -> ChallengeRow:
        row = self._challenges.claim_attempt(digest(challenge), kind.value, self._clock.now(), _MOST_ATTEMPTS)
        if row is None:
            raise ExpiredSignInError
        return row

    def _user_of(self, row: ChallengeRow) -> UserRow:
        user = None if row.user is None else self._access.table.find_user(row.user)
        if user is None or user.disabled_at is not None:
            raise ExpiredSignInError
        return user

    def _session(self, user: UserRow, origin: SignInOrigin, proof: str | None) -> SignInStep:
        # Only now: a right password alone must not clear the count of wrong codes.
        self._access.locks.clear(user.name, origin.place or origin.source)
        self._bus.publish(SignInSucceeded(source=origin.source, user=user.name), actor=user.name)
        return SignInStep(SignInStepKind.SESSION, self._access.new_session(user.name, proof), user.name)
