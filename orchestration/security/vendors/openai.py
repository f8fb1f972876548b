"""OpenAI: an admin key finds an exposed key by what its list shows of it, and deletes it.

https://developers.openai.com/api/reference/resources/organization: projects, their keys with `redacted_value`, and
`DELETE /organization/projects/{project}/api_keys/{key}`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from orchestration.config.vendors.options import AdminKeyOptions
from orchestration.security.vendors.http import VendorError
from orchestration.security.vendors.vendor import (
    CredentialProbe,
    CredentialStatus,
    CredentialVendor,
    Revocation,
    matches_hint,
    text_at,
)

_MOST_PAGES = 50
# The middle part of its older keys is the name in base64; other vendors copy the first three letters only.
_FORMS = ("sk-proj-", "sk-svcacct-", "sk-admin-")
_MARK = "T3BlbkFJ"


class OpenAiKeys(CredentialVendor):
    """Keys of projects and of their service accounts."""

    async def revoke(self, value: str) -> Revocation:
        found = [(project, key) async for project, key in self._keys() if matches_hint(value, key["redacted_value"])]
        if not found:
            return await self._gone(value)
        if len(found) > 1:
            names = ", ".join(key["id"] for _, key in found)
            raise VendorError(f"{self.title} shows several keys that look like it ({names})", permanent=True)
        project, key = found[0]
        path = f"organization/projects/{project}/api_keys/{key['id']}"
        answer = await self._http.send("DELETE", f"{self.address}/{path}", headers=self._admin())
        if answer.status not in (200, 404):
            raise answer.refusal(text_at(answer.data, "error", "code"))
        return Revocation(f"{self.title} has deleted the key {key['id']}", was_revoked=answer.status == 404)

    async def examine(self, value: str) -> CredentialProbe:
        if not self.is_own_address and not value.startswith(_FORMS) and _MARK not in value:
            # Sending another vendor's key there would expose it once more.
            return CredentialProbe(CredentialStatus.UNKNOWN, "other vendors have keys of this form; it was not sent")
        answer = await self._http.send("GET", f"{self.address}/models", headers={"authorization": f"Bearer {value}"})
        code = text_at(answer.data, "error", "code")
        # A key from an address that is not allowed is answered 401 as well, and is a good one.
        if answer.status == 401 and code in ("invalid_api_key", ""):
            return self.found(CredentialStatus.REFUSED, f"401 {code} to GET /models")
        status = CredentialStatus.ACCEPTED if answer.status == 200 else CredentialStatus.UNKNOWN
        return self.found(status, f"{answer.status} {code} to GET /models")

    async def _gone(self, value: str) -> Revocation:
        probe = await self.examine(value)
        if probe.status is not CredentialStatus.REFUSED:
            raise VendorError(f"no key of the organization looks like it, but {probe.evidence}", permanent=True)
        return Revocation(f"no key of the organization looks like it, and {probe.evidence}", was_revoked=True)

    async def _keys(self) -> AsyncIterator[tuple[str, Mapping[str, str]]]:
        async for project in self._list("organization/projects"):
            name = text_at(project, "id")
            async for key in self._list(f"organization/projects/{name}/api_keys"):
                yield name, {part: text_at(key, part) for part in ("id", "redacted_value")}

    async def _list(self, path: str) -> AsyncIterator[Any]:
        after = ""
        for _ in range(_MOST_PAGES):
            answer = await self._http.send("GET", f"{self.address}/{path}?limit=100{after}", headers=self._admin())
            if answer.status != 200 or not isinstance(answer.data, dict):
                raise answer.refusal(text_at(answer.data, "error", "code"))
            for one in answer.data.get("data") or ():
                yield one
            if answer.data.get("has_more") is not True:
                return
            after = f"&after={text_at(answer.data, 'last_id')}"

    def _admin(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.secret(self.options(AdminKeyOptions).admin_key_env)}"}
