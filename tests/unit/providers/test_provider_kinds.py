"""Every kind of provider has a whole descriptor."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from orchestration.config.providers.kinds import SHIPPED_PROVIDERS
from orchestration.config.providers.settings import ProviderSettings
from orchestration.domain.provider_kind import ProviderKind
from orchestration.providers.endpoint_factory import UnusableEndpoint, make_endpoint


def settings(**values: object) -> ProviderSettings:
    return ProviderSettings.model_validate(values)


def test_there_is_one_descriptor_for_each_kind() -> None:
    assert set(SHIPPED_PROVIDERS) == set(ProviderKind)


@pytest.mark.parametrize("kind", ProviderKind)
async def test_every_kind_can_be_made_from_its_descriptor(kind: ProviderKind) -> None:
    endpoint = make_endpoint("a", settings(type=kind.value), {})
    await endpoint.aclose()
    assert not isinstance(endpoint, UnusableEndpoint)


def test_a_shipped_kind_is_read_as_what_it_is_and_another_must_have_a_full_stop() -> None:
    assert settings(type="azure").type is ProviderKind.AZURE
    assert settings(type="own.lab").type == "own.lab"
    with pytest.raises(ValidationError, match="or a kind of your own such as"):
        settings(type="vllm")


@pytest.mark.parametrize(
    ("values", "address", "key"),
    [
        ({"type": "ollama"}, "http://localhost:11434", None),
        ({"type": "openai"}, "https://api.openai.com/v1", "OPENAI_API_KEY"),
        ({"type": "openai", "baseUrl": "http://h/v1"}, "http://h/v1", None),
        ({"type": "openai", "baseUrl": "http://h/v1", "auth": "key"}, "http://h/v1", "OPENAI_API_KEY"),
        ({"type": "openai", "baseUrl": "http://h/v1", "apiKeyEnv": "K"}, "http://h/v1", "K"),
        ({"type": "azure", "endpoint": "https://r"}, "https://r", "AZURE_OPENAI_API_KEY"),
        ({"type": "azure", "endpoint": "https://r", "auth": "entra"}, "https://r", None),
        ({"type": "github", "endpoint": "https://g"}, "https://g", "GITHUB_TOKEN"),
        ({"type": "rehearsal"}, None, None),
        ({"type": "own.absent", "baseUrl": "http://h"}, "http://h", None),
    ],
)
def test_what_the_settings_leave_out_comes_from_the_kind(
    values: dict[str, str], address: str | None, key: str | None
) -> None:
    read = settings(**values)
    assert (read.effective_base_url, read.effective_api_key_env) == (address, key)
