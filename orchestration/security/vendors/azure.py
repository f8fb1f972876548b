"""Azure OpenAI and AI services: the key of an account that was exposed is regenerated, which ends it at once.

https://learn.microsoft.com/rest/api/aiservices/accountmanagement/accounts/regenerate-key, and `list-keys` beside it. An
account has two keys; the one that was exposed is found by comparison, and the other goes on working.
"""

from __future__ import annotations

import hmac

from orchestration.config.vendors.options import AzureRevokerOptions
from orchestration.security.vendors.azure_token import resource_manager_token
from orchestration.security.vendors.vendor import (
    CredentialProbe,
    CredentialStatus,
    CredentialVendor,
    Revocation,
    text_at,
)

_VERSION = "2024-10-01"
_KEYS = {"key1": "Key1", "key2": "Key2"}


class AzureAccountKeys(CredentialVendor):
    """The two keys of a Cognitive Services account."""

    async def revoke(self, value: str) -> Revocation:
        account = self.options(AzureRevokerOptions).account
        keys = await self._post("listKeys", {})
        exposed = _name_of(value, keys)
        if exposed is None:
            # What died between the regeneration and its record finds itself here, and still needs a key.
            evidence = f"neither key of {account} is the exposed one any more"
            return Revocation(evidence, was_revoked=True, replacement=keys["key1"] or None)
        fresh = await self._post("regenerateKey", {"keyName": _KEYS[exposed]})
        return Revocation(f"{self.title} has regenerated {exposed} of {account}", replacement=fresh[exposed] or None)

    async def examine(self, value: str) -> CredentialProbe:
        options = self.options(AzureRevokerOptions)
        if options.endpoint is None:
            exposed = _name_of(value, await self._post("listKeys", {}))
            if exposed is None:
                return self.found(CredentialStatus.REFUSED, f"that it is neither key of {options.account}")
            return self.found(CredentialStatus.ACCEPTED, f"that it is {exposed} of {options.account}")
        url = f"{options.endpoint.rstrip('/')}/openai/v1/models"
        answer = await self._http.send("GET", url, headers={"api-key": value})
        status = {200: CredentialStatus.ACCEPTED, 401: CredentialStatus.REFUSED}.get(answer.status)
        return self.found(status or CredentialStatus.UNKNOWN, f"{answer.status} to GET /openai/v1/models")

    async def _post(self, call: str, body: dict[str, str]) -> dict[str, str]:
        options = self.options(AzureRevokerOptions)
        token = await resource_manager_token(self._http, options, self.secret(options.client_secret_env))
        url = f"{self.address}{options.resource_id}/{call}?api-version={_VERSION}"
        answer = await self._http.send("POST", url, headers={"authorization": f"Bearer {token}"}, body=body)
        if answer.status != 200:
            raise answer.refusal(text_at(answer.data, "error", "code"))
        return {name: text_at(answer.data, name) for name in _KEYS}


def _name_of(value: str, keys: dict[str, str]) -> str | None:
    return next((name for name, key in keys.items() if hmac.compare_digest(key.encode(), value.encode())), None)
