"""Slack: a token revokes itself.

https://docs.slack.dev/reference/methods/auth.revoke and https://docs.slack.dev/reference/methods/auth.test. Slack
answers 200 with `ok` and an error's name; a rate limit is 429 with Retry-After.
"""

from __future__ import annotations

from typing import Any

from orchestration.security.vendors.http import VendorAnswer, VendorError
from orchestration.security.vendors.vendor import (
    CredentialProbe,
    CredentialStatus,
    CredentialVendor,
    Revocation,
    text_at,
)

_DEAD = frozenset({"invalid_auth", "token_revoked", "token_expired", "account_inactive"})


class SlackTokens(CredentialVendor):
    """Tokens of bots, users and apps."""

    async def revoke(self, value: str) -> Revocation:
        answer = await self._call("auth.revoke", value)
        error = text_at(answer.data, "error")
        if error in _DEAD:
            return Revocation(f"{self.title} does not accept the token any more ({error})", was_revoked=True)
        if not _is_true(answer.data, "ok") or not _is_true(answer.data, "revoked"):
            raise VendorError(f"{self.title} has not revoked the token ({error or 'no reason given'})", permanent=True)
        return Revocation(f"{self.title} has revoked the token (auth.revoke)")

    async def examine(self, value: str) -> CredentialProbe:
        answer = await self._call("auth.test", value)
        error = text_at(answer.data, "error")
        if error in _DEAD:
            return self.found(CredentialStatus.REFUSED, f"{error} to auth.test")
        if _is_true(answer.data, "ok"):
            return self.found(CredentialStatus.ACCEPTED, "ok to auth.test")
        return self.found(CredentialStatus.UNKNOWN, f"{error or answer.status} to auth.test")

    async def _call(self, method: str, value: str) -> VendorAnswer:
        return await self._http.send("POST", f"{self.address}/{method}", headers={"authorization": f"Bearer {value}"})


def _is_true(data: Any, key: str) -> bool:
    return isinstance(data, dict) and data.get(key) is True
