"""GitHub: its API takes any exposed token and revokes it, without credentials of ours.

https://docs.github.com/rest/credentials/revoke: `POST /credentials/revoke` with up to 1,000 tokens; 202 is its only
good answer, also for tokens that it revoked before. It takes classic and fine-grained personal access tokens, and since
2026-03-26 tokens of OAuth and GitHub apps; 60 requests an hour. On github.com a request with credentials is answered
403; GitHub Enterprise Server takes only requests with credentials.
"""

from __future__ import annotations

from orchestration.config.vendors.options import GitHubRevokerOptions
from orchestration.security.vendors.http import VendorError
from orchestration.security.vendors.vendor import (
    CredentialProbe,
    CredentialStatus,
    CredentialVendor,
    Revocation,
    text_at,
)

# Not `ghs_`: installation tokens end by themselves within an hour.
_REVOCABLE = ("ghp_", "github_pat_", "gho_", "ghu_", "ghr_")
_HEADERS = {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}


class GitHubTokens(CredentialVendor):
    """Personal access tokens and tokens of apps."""

    async def revoke(self, value: str) -> Revocation:
        if not value.startswith(_REVOCABLE):
            forms = ", ".join(_REVOCABLE)
            raise VendorError(f"{self.title} revokes only tokens that begin with {forms}", permanent=True)
        answer = await self._http.send(
            "POST", f"{self.address}/credentials/revoke", headers=self._headers(), body={"credentials": [value]}
        )
        if answer.status != 202:
            raise answer.refusal(text_at(answer.data, "message"))
        return Revocation(f"{self.title} has accepted the token for revocation (202)")

    async def examine(self, value: str) -> CredentialProbe:
        headers = {**_HEADERS, "authorization": f"Bearer {value}"}
        answer = await self._http.send("GET", f"{self.address}/user", headers=headers)
        # By its words too: a proxy in between that wants a password of its own answers 401 as well.
        if answer.status == 401 and text_at(answer.data, "message") == "Bad credentials":
            return self.found(CredentialStatus.REFUSED, "401 Bad credentials to GET /user")
        status = CredentialStatus.ACCEPTED if answer.status == 200 else CredentialStatus.UNKNOWN
        return self.found(status, f"{answer.status} to GET /user")

    def _headers(self) -> dict[str, str]:
        variable = self.options(GitHubRevokerOptions).token_env
        return {**_HEADERS, "authorization": f"Bearer {self.secret(variable)}"} if variable else _HEADERS
