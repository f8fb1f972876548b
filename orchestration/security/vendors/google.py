"""Google: an OAuth token is revoked with the token itself; an API key only with other credentials, so by a person.

https://developers.google.com/identity/protocols/oauth2/web-server#tokenrevoke
"""

from __future__ import annotations

from orchestration.security.vendors.vendor import (
    CredentialProbe,
    CredentialStatus,
    CredentialVendor,
    Revocation,
    text_at,
)


class GoogleTokens(CredentialVendor):
    """Access and refresh tokens of OAuth; revoking one ends all of its grant."""

    async def revoke(self, value: str) -> Revocation:
        answer = await self._http.send("POST", f"{self.address}/revoke", form={"token": value})
        if answer.status == 400 and text_at(answer.data, "error") == "invalid_token":
            return Revocation(f"{self.title}: it is expired or revoked already (invalid_token)", was_revoked=True)
        if answer.status != 200:
            raise answer.refusal(text_at(answer.data, "error"))
        return Revocation(f"{self.title}: revoked (200)")

    async def examine(self, value: str) -> CredentialProbe:
        # As a form: an address ends up in the logs of whatever lies in between.
        answer = await self._http.send("POST", f"{self.address}/tokeninfo", form={"access_token": value})
        error = text_at(answer.data, "error")
        if answer.status == 400 and error in ("invalid_token", "invalid_value"):
            return self.found(CredentialStatus.REFUSED, f"400 {error} to tokeninfo")
        status = CredentialStatus.ACCEPTED if answer.status == 200 else CredentialStatus.UNKNOWN
        return self.found(status, f"{answer.status} to tokeninfo")


class GoogleApiKeys(CredentialVendor):
    """API keys, asked of the Gemini API (https://ai.google.dev/api/models). A key that is restricted to other APIs is
    answered 403, which proves nothing."""

    async def examine(self, value: str) -> CredentialProbe:
        answer = await self._http.send("GET", f"{self.address}/v1beta/models", headers={"x-goog-api-key": value})
        if answer.status == 400 and "API_KEY_INVALID" in answer.text:
            return self.found(CredentialStatus.REFUSED, "400 API_KEY_INVALID to GET /v1beta/models")
        status = CredentialStatus.ACCEPTED if answer.status == 200 else CredentialStatus.UNKNOWN
        return self.found(status, f"{answer.status} to GET /v1beta/models")
