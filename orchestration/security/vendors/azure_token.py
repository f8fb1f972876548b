"""A token for the Azure Resource Manager, by the client credentials of an application.

https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow. Each call gets a token of its
own: revocations are rare, and a token that is kept is one more secret.
"""

from __future__ import annotations

from typing import Protocol
from urllib.parse import quote

from orchestration.security.vendors.http import VendorHttp
from orchestration.security.vendors.vendor import text_at

_SCOPE = "https://management.azure.com/.default"


class AzureApplication(Protocol):
    """The identity of an application, as options name it."""

    @property
    def tenant(self) -> str: ...

    @property
    def client_id(self) -> str: ...

    @property
    def authority(self) -> str: ...


async def resource_manager_token(http: VendorHttp, application: AzureApplication, secret: str) -> str:
    """Get a token. Raises VendorError."""
    url = f"{application.authority.rstrip('/')}/{quote(application.tenant, safe='')}/oauth2/v2.0/token"
    form = {
        "grant_type": "client_credentials",
        "client_id": application.client_id,
        "client_secret": secret,
        "scope": _SCOPE,
    }
    answer = await http.send("POST", url, form=form)
    token = text_at(answer.data, "access_token")
    if answer.status != 200 or not token:
        raise answer.refusal(text_at(answer.data, "error"))
    return token
