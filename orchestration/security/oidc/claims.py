"""What an ID token says, after everything about it was checked (OpenID Connect Core 1.0, 3.1.3.7). Pure."""

from __future__ import annotations

import hmac
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet

from orchestration.domain.role import Role
from orchestration.security.sign_in_locks import SignInError

# Between our clock and the provider's.
_LEEWAY_SECONDS = 60
# A token is made while its user waits; an old one comes from somewhere else.
_OLDEST_SECONDS = 600
_LONGEST = 255
# RFC 8176: what a provider says of a sign-in that took more than one factor.
_SEVERAL_FACTORS = "mfa"


class IdentityTokenError(SignInError):
    """An ID token, or what came instead, was refused."""


class UnknownKeyError(IdentityTokenError):
    """A token names a key that is not among those that are known; there may be new ones."""


@dataclass(frozen=True, slots=True)
class ExpectedToken:
    """What a token has to be: whose, for whom, for which sign-in, signed how, and at what time."""

    issuer: str
    client: str
    nonce: str
    algorithms: Collection[str]
    now: float


@dataclass(frozen=True, slots=True)
class Identity:
    """A person at an identity provider."""

    issuer: str
    subject: str
    claims: Mapping[str, Any]

    @property
    def had_several_factors(self) -> bool:
        """Whether the provider says that more than a password was asked for."""
        methods = self.claims.get("amr")
        return isinstance(methods, list) and _SEVERAL_FACTORS in methods

    def text(self, claim: str) -> str:
        """A claim that is a text; empty if it is none."""
        value = self.claims.get(claim)
        return value if isinstance(value, str) else ""

    def texts(self, claim: str) -> frozenset[str]:
        """A claim that is a list of texts, or one text."""
        value = self.claims.get(claim)
        found = [value] if isinstance(value, str) else value if isinstance(value, list) else []
        return frozenset(one for one in found if isinstance(one, str))


def read_identity(token: str, keys: KeySet, expected: ExpectedToken) -> Identity:
    """Who an ID token is about. Raises IdentityTokenError, which does not quote it."""

    def key_for(header: Any) -> Key:
        return _key_for(header.headers().get("kid"), keys)

    try:
        # Only algorithms with a pair of keys are ever allowed: with `none` or HS256 anybody could sign.
        claims = jwt.decode(token, key_for, algorithms=list(expected.algorithms)).claims
    except UnknownKeyError:
        raise
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise IdentityTokenError(f"The ID token was refused ({type(error).__name__}).") from None
    _check(claims, expected)
    return Identity(expected.issuer, claims["sub"], claims)


def mapped_role(identity: Identity, claim: str, roles: Mapping[str, Role]) -> Role | None:
    """The highest role that the values of a claim are mapped to; None if there is none."""
    order = list(Role)
    found = [roles[value] for value in identity.texts(claim) if value in roles]
    return max(found, key=order.index, default=None)


def _key_for(kid: object, keys: KeySet) -> Key:
    usable = [key for key in keys.keys if key.key_type != "oct" and key.get("use") in (None, "sig")]
    if kid is None and len(usable) == 1:
        return usable[0]
    found = [key for key in usable if key.kid == kid and kid is not None]
    if len(found) != 1:
        raise UnknownKeyError("The ID token was signed by an unknown key.")
    return found[0]


def _check(claims: Mapping[str, Any], expected: ExpectedToken) -> None:
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    party = claims.get("azp")
    subject, nonce = claims.get("sub"), claims.get("nonce")
    problems = {
        "issuer": claims.get("iss") != expected.issuer,
        "audience": expected.client not in audiences,
        "authorised party": party != expected.client if party is not None else len(audiences) > 1,
        "subject": not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST,
        "nonce": not (isinstance(nonce, str) and hmac.compare_digest(nonce.encode(), expected.nonce.encode())),
        "time": not _is_timely(claims, expected.now),
    }
    wrong: Sequence[str] = [name for name, is_wrong in problems.items() if is_wrong]
    if wrong:
        raise IdentityTokenError(f"The ID token was refused: wrong {', '.join(wrong)}.")


def _is_timely(claims: Mapping[str, Any], now: float) -> bool:
    times = [_time(claims.get("exp")), _time(claims.get("iat")), _time(claims.get("nbf", 0))]
    expires, issued, not_before = times
    early, late = now - _LEEWAY_SECONDS, now + _LEEWAY_SECONDS
    return bool(expires > early and now - _OLDEST_SECONDS < issued <= late and not_before <= late)


def _time(value: object) -> float:
    """Seconds since 1970; what is no number compares as false with everything."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
