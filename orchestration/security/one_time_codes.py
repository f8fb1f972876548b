"""Codes that a user's telephone shows, by the time (TOTP, RFC 6238), and recovery codes for a lost telephone. Pure, but
for the randomness of new secrets."""

from __future__ import annotations

import hmac
import secrets
from datetime import datetime

STEP_SECONDS = 30
# A telephone's clock and the way here may cost a step each; RFC 6238, 5.2, recommends one and no more.
_TOLERANCE = 1
_DIGITS = 6
# 160 bits, as RFC 4226, 4, R6, recommends; a multiple of five bytes, so that base32 needs no padding.
_SECRET_CHARACTERS = 32
# Letters and digits without those that are taken for each other in handwriting.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
RECOVERY_PREFIX = "orcrec-"
_GROUPS, _GROUP = 5, 5
RECOVERY_CODES = 10


def new_secret() -> str:
    """A secret in base32, as authenticator programs take it."""
    import pyotp

    return pyotp.random_base32(_SECRET_CHARACTERS)


def matching_step(secret: str, code: str, now: datetime, after: int) -> int | None:
    """The time step whose code it is, among those that are tolerated and later than `after`; None if there is none."""
    import pyotp

    digits = code.replace(" ", "")
    if not (digits.isascii() and digits.isdigit() and len(digits) == _DIGITS):
        return None
    made, present = pyotp.TOTP(secret), int(now.timestamp()) // STEP_SECONDS
    steps = range(present - _TOLERANCE, present + _TOLERANCE + 1)
    # Every step is compared, whatever the result, so that the time it takes tells nothing.
    found = [step for step in steps if hmac.compare_digest(made.generate_otp(step), digits)]
    return next((step for step in found if step > after), None)


def enrolment_uri(secret: str, user: str, issuer: str) -> str:
    """The address that authenticator programs read from a QR code."""
    import pyotp

    # A colon separates issuer and account there (https://github.com/google/google-authenticator/wiki/Key-Uri-Format).
    return pyotp.TOTP(secret).provisioning_uri(name=user, issuer_name=issuer.replace(":", " ").strip() or "agents")


def new_recovery_codes() -> tuple[str, ...]:
    """Ten codes of 124 random bits, which is why one round of SHA-256 is enough to store them (ASVS 4.0.3, 2.6.2)."""
    return tuple(_new_recovery_code() for _ in range(RECOVERY_CODES))


def _new_recovery_code() -> str:
    code = ""
    # With a digit redaction takes no code for words. One in two thousand has none, and is thrown away.
    while not any(character.isdigit() for character in code):
        groups = ("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS))
        code = RECOVERY_PREFIX + "-".join(groups)
    return code


def plain_recovery_code(text: str) -> str:
    """A recovery code as it was made, however it was typed; empty for what can be none."""
    characters = text.strip().lower().removeprefix(RECOVERY_PREFIX).replace("-", "").replace(" ", "")
    if len(characters) != _GROUPS * _GROUP or not set(characters) <= set(_ALPHABET):
        return ""
    groups = (characters[start : start + _GROUP] for start in range(0, len(characters), _GROUP))
    return RECOVERY_PREFIX + "-".join(groups)
