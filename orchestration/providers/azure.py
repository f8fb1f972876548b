"""Azure OpenAI and AI Foundry: the v1 address and the older one, with a key or an Entra token.

https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle describes both kinds of address.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import anyio.to_thread

from orchestration.providers.endpoint import CallFailed, Endpoint
from orchestration.providers.failures import Failure, FailureKind

_SCOPE = "https://ai.azure.com/.default"


class AzureEndpoint(Endpoint):
    """`model` is the name of the deployment. With `apiVersion` the older addresses are used, otherwise v1."""

    hint = "check the endpoint, the deployment's name and AZURE_OPENAI_API_KEY in .env"

    _token_source: Any = None

    def chat_url(self, model: str) -> str:
        if self.settings.api_version:
            version = self.settings.api_version
            return f"{self._resource}/openai/deployments/{quote(model, safe='')}/chat/completions?api-version={version}"
        return f"{self._resource}/openai/v1/chat/completions"

    # Azure's Resource Health would tell more, but needs credentials of its own for the Resource Manager:
    # https://learn.microsoft.com/azure/service-health/resource-health-overview.
    def probe_url(self) -> str:
        if self.settings.api_version:
            return f"{self._resource}/openai/models?api-version={self.settings.api_version}"
        return f"{self._resource}/openai/v1/models"

    async def headers(self) -> dict[str, str]:
        if self.settings.auth == "entra":
            # In a thread: the library blocks while it asks the metadata service or a command line for a token.
            return {"authorization": f"Bearer {await anyio.to_thread.run_sync(self._entra_token)}"}
        key = self.api_key()
        return {"api-key": key} if key else {}

    def chat_body(self, model: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return dict(body) if self.settings.api_version else {"model": model, **body}

    @property
    def _resource(self) -> str:
        # People paste any of the forms that the portal shows.
        return self.base_url.removesuffix("/v1").removesuffix("/openai")

    def _entra_token(self) -> str:
        """A token for the scope of AI Foundry; the library caches it until shortly before it expires."""
        try:
            # Optional and slow to import: only those who use Entra pay for it.
            from azure.core.exceptions import AzureError, ClientAuthenticationError  # type: ignore[import-not-found]
            from azure.identity import DefaultAzureCredential  # type: ignore[import-not-found]
        except ImportError as error:
            message = "auth 'entra' needs the azure extra: pip install 'agent-orchestration[azure]'"
            raise CallFailed(Failure(FailureKind.AUTHENTICATION, message)) from error
        try:
            if self._token_source is None:
                self._token_source = DefaultAzureCredential()
            return str(self._token_source.get_token(_SCOPE).token)
        except ClientAuthenticationError as error:
            raise CallFailed(Failure(FailureKind.AUTHENTICATION, f"no Entra token: {error}")) from error
        except AzureError as error:
            raise CallFailed(Failure(FailureKind.UNREACHABLE, f"no Entra token: {error}")) from error
