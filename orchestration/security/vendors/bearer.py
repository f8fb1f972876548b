"""Vendors whose credential is sent as a bearer token, and which a single GET tells everything of."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from orchestration.security.vendors.http import VendorError
from orchestration.security.vendors.vendor import CredentialProbe, CredentialStatus, CredentialVendor

_ACCEPTED, _REFUSED = CredentialStatus.ACCEPTED, CredentialStatus.REFUSED


class BearerProbe(CredentialVendor):
    """`path` is asked for; `meanings` says what each status means. All others prove nothing."""

    path: ClassVar[str]
    meanings: ClassVar[Mapping[int, CredentialStatus]] = MappingProxyType({200: _ACCEPTED, 401: _REFUSED})

    async def examine(self, value: str) -> CredentialProbe:
        if not self.address:
            raise VendorError(f"no address is known for {self.title}; set `baseUrl` of its revoker", permanent=True)
        url = f"{self.address}{self.path}"
        answer = await self._http.send("GET", url, headers={"authorization": f"Bearer {value}"})
        status = self.meanings.get(answer.status, CredentialStatus.UNKNOWN)
        return self.found(status, f"{answer.status} to GET {self.path}")


class HuggingFaceTokens(BearerProbe):
    """https://huggingface.co/docs/hub/api: `whoami-v2`. Revoking is on its pages only."""

    path = "/api/whoami-v2"


class NpmTokens(BearerProbe):
    """https://github.com/npm/registry/blob/main/docs/user/authentication.md: `whoami`. Its pages and its command line
    revoke a token by an id that the token does not contain."""

    path = "/-/whoami"


class StripeKeys(BearerProbe):
    """https://docs.stripe.com/api/balance/balance_retrieve, which changes nothing. A restricted key that may not read
    the balance is answered 403 (https://docs.stripe.com/api/errors), so it is a good one."""

    path = "/v1/balance"
    meanings = MappingProxyType({200: _ACCEPTED, 401: _REFUSED, 403: _ACCEPTED})
