"""GitLab: a token revokes itself.

https://docs.gitlab.com/api/personal_access_tokens/#self-revoke: `DELETE /personal_access_tokens/self`, answered 204; it
needs the scope `api`. A token that is not valid is answered 401.
"""

from __future__ import annotations

from orchestration.security.vendors.vendor import (
    CredentialProbe,
    CredentialStatus,
    CredentialVendor,
    Revocation,
    text_at,
)


class GitLabTokens(CredentialVendor):
    """Personal, project and group access tokens."""

    async def revoke(self, value: str) -> Revocation:
        answer = await self._http.send("DELETE", self._self, headers={"private-token": value})
        if answer.status == 401:
            return Revocation(f"{self.title} does not know the token any more (401)", was_revoked=True)
        if answer.status != 204:
            raise answer.refusal(text_at(answer.data, "error"))
        return Revocation(f"{self.title} has revoked the token (204)")

    async def examine(self, value: str) -> CredentialProbe:
        answer = await self._http.send("GET", self._self, headers={"private-token": value})
        if answer.status == 401:
            return self.found(CredentialStatus.REFUSED, "401 to GET /personal_access_tokens/self")
        # A token with too few scopes is one that it knows.
        known = answer.status == 200 or text_at(answer.data, "error") == "insufficient_scope"
        status = CredentialStatus.ACCEPTED if known else CredentialStatus.UNKNOWN
        return self.found(status, f"{answer.status} to GET /personal_access_tokens/self")

    @property
    def _self(self) -> str:
        return f"{self.address}/api/v4/personal_access_tokens/self"
