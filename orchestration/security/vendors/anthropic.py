"""Anthropic: an admin key finds an exposed key by its hint, and makes it inactive.

https://platform.claude.com/docs/en/api/admin/api_keys: `GET /v1/organizations/api_keys` with `partial_key_hint`, and
`POST /v1/organizations/api_keys/{id}` with the status `inactive`. Keys cannot be deleted by the API.
"""

from __future__ import annotations

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
_VERSION = {"anthropic-version": "2023-06-01"}


class AnthropicKeys(CredentialVendor):
    """API keys of an organization."""

    async def revoke(self, value: str) -> Revocation:
        found = [key for key in await self._keys() if matches_hint(value, text_at(key, "partial_key_hint"))]
        active = [key for key in found if text_at(key, "status") == "active"]
        if len(active) > 1:
            names = ", ".join(text_at(key, "id") for key in active)
            raise VendorError(f"{self.title} shows several keys that look like it ({names})", permanent=True)
        if not active:
            return await self._inactive(value)
        name = text_at(active[0], "id")
        url = f"{self.address}/v1/organizations/api_keys/{name}"
        answer = await self._http.send("POST", url, headers=self._admin(), body={"status": "inactive"})
        if answer.status != 200 or text_at(answer.data, "status") != "inactive":
            raise answer.refusal(text_at(answer.data, "error", "type"))
        return Revocation(f"{self.title} has made the key {name} inactive")

    async def examine(self, value: str) -> CredentialProbe:
        headers = {**_VERSION, "x-api-key": value}
        answer = await self._http.send("GET", f"{self.address}/v1/models", headers=headers)
        kind = text_at(answer.data, "error", "type")
        if answer.status == 401 and kind == "authentication_error":
            return self.found(CredentialStatus.REFUSED, "401 authentication_error to GET /v1/models")
        status = CredentialStatus.ACCEPTED if answer.status == 200 else CredentialStatus.UNKNOWN
        return self.found(status, f"{answer.status} {kind} to GET /v1/models")

    async def _inactive(self, value: str) -> Revocation:
        probe = await self.examine(value)
        if probe.status is not CredentialStatus.REFUSED:
            raise VendorError(f"no active key of the organization looks like it, but {probe.evidence}", permanent=True)
        return Revocation(f"no active key looks like it, and {probe.evidence}", was_revoked=True)

    async def _keys(self) -> list[Any]:
        keys: list[Any] = []
        after = ""
        for _ in range(_MOST_PAGES):
            url = f"{self.address}/v1/organizations/api_keys?limit=100{after}"
            answer = await self._http.send("GET", url, headers=self._admin())
            if answer.status != 200 or not isinstance(answer.data, dict):
                raise answer.refusal(text_at(answer.data, "error", "type"))
            keys += answer.data.get("data") or ()
            if answer.data.get("has_more") is not True:
                break
            after = f"&after_id={text_at(answer.data, 'last_id')}"
        return keys

    def _admin(self) -> dict[str, str]:
        return {**_VERSION, "x-api-key": self.secret(self.options(AdminKeyOptions).admin_key_env)}
