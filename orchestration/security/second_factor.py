"""The second factor of users: one-time codes by the time, and recovery codes. Every method blocks.

The database holds no usable secret: that of the codes is sealed by a key outside of it, recovery codes are digests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from enum import StrEnum

from orchestration.clock import Clock
from orchestration.errors import ConflictError, UsageError
from orchestration.events import EventBus
from orchestration.events.security import RecoveryCodeUsed, UserChanged
from orchestration.security import one_time_codes
from orchestration.storage.database import Database
from orchestration.storage.second_factors import SecondFactorRow, SecondFactorTable

_CHANGED = ("second factor",)


class SignInProof(StrEnum):
    """What proved a user beside the password; stored with the session."""

    CODE = "code"
    RECOVERY_CODE = "recovery-code"
    PROVIDER = "provider"


class SecondFactors:
    """Sets up, checks and removes second factors. `key` seals their secrets; it may be empty or raise OSError."""

    def __init__(self, database: Database, bus: EventBus, clock: Clock, key: Callable[[], str | None]) -> None:
        self.table = SecondFactorTable(database)
        self._bus = bus
        self._clock = clock
        self._key = key

    def has_one(self, user: str) -> bool:
        """Whether a user has a second factor."""
        return self.table.find(user) is not None

    def new_secret(self, user: str) -> str:
        """A new secret, sealed. Raises ConflictError without a key."""
        from orchestration.security.sealed_secret import seal

        return seal(one_time_codes.new_secret(), self._required_key(), user)

    def open_secret(self, user: str, sealed: str) -> str:
        """A secret in base32. Raises ConflictError without a key, SealError with another one."""
        from orchestration.security.sealed_secret import SealError, unseal

        try:
            return unseal(sealed, self._required_key(), user)
        except SealError as error:
            raise SealError(f"{error} Use a recovery code, or ask an admin to reset your second factor.") from error

    def enrol(self, user: str, sealed: str, code: str) -> tuple[str, ...] | None:
        """Store a second factor that a code has confirmed; returns its recovery codes, or None for a wrong code. Raises
        ConflictError if there is one already."""
        now = self._clock.now()
        step = one_time_codes.matching_step(self.open_secret(user, sealed), code, now, after=0)
        if step is None:
            return None
        codes = one_time_codes.new_recovery_codes()
        # The code that confirmed it is used up with it.
        self.table.add(SecondFactorRow(user, sealed, step, now), map(_digest, codes))
        self._bus.publish(UserChanged(user=user, changed=_CHANGED), actor=user)
        return codes

    def accept(self, user: str, text: str) -> SignInProof | None:
        """What a text is, if it is a code that was not used before: of the telephone, or a recovery code."""
        now = self._clock.now()
        if recovery := one_time_codes.plain_recovery_code(text):
            if not self.table.claim_recovery_code(user, _digest(recovery), now):
                return None
            self._bus.publish(RecoveryCodeUsed(user, self.table.count_recovery_codes(user)), actor=user)
            return SignInProof.RECOVERY_CODE
        factor = self.table.find(user)
        if factor is None:
            return None
        secret = self.open_secret(user, factor.secret)
        step = one_time_codes.matching_step(secret, text, now, factor.last_step)
        return SignInProof.CODE if step is not None and self.table.claim_step(user, step) else None

    def renew_recovery_codes(self, user: str) -> tuple[str, ...]:
        """New recovery codes; the earlier ones are void."""
        codes = one_time_codes.new_recovery_codes()
        self.table.replace_recovery_codes(user, map(_digest, codes), self._clock.now())
        self._bus.publish(UserChanged(user=user, changed=("recovery codes",)), actor=user)
        return codes

    def remove(self, user: str, *, actor: str) -> None:
        """Remove a second factor with its recovery codes; the user's sessions end. Raises ConflictError if there is
        none."""
        if not self.table.remove(user):
            raise ConflictError(f"'{user}' has no second factor.")
        self._bus.publish(UserChanged(user=user, changed=_CHANGED), actor=actor)

    def _required_key(self) -> str:
        try:
            key = self._key()
        except OSError as error:
            raise ConflictError(f"The key of second factors cannot be read: {error.strerror or error}.") from error
        if not key:
            raise UsageError(
                "There is no key for second factors. Set the variable that access.secondFactorKeyEnv names to at least "
                "32 characters."
            )
        return key


def _digest(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
