"""docs/reference/providers.md says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestration.config.loader import ConfigLoader
from orchestration.config.providers.settings import BreakerSettings, ProviderSettings, Timeouts
from orchestration.config.runtime import RuntimeSettings
from orchestration.domain.provider_kind import ProviderKind
from orchestration.providers.failures import FailureKind

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "providers.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```json\n(.*?)```", PAGE, flags=re.DOTALL)
# In the order of the page.
KINDS = [ProviderKind.OLLAMA, ProviderKind.AZURE, ProviderKind.OPENAI, ProviderKind.ANTHROPIC, ProviderKind.GITHUB]


def test_the_table_has_every_class_of_failure() -> None:
    assert re.findall(r"^\| `(\w+)` \| .* \| .* \| .* \| .* \|$", PAGE, flags=re.MULTILINE)[: len(FailureKind)] == [
        kind.value for kind in FailureKind
    ]


@pytest.mark.parametrize("section", [ProviderSettings, Timeouts, BreakerSettings])
def test_every_setting_of_a_provider_is_explained(section: type[ProviderSettings]) -> None:
    for name, field in section.model_fields.items():
        alias = field.validation_alias if isinstance(field.validation_alias, str) else None
        spelt = alias or re.sub(r"_(\w)", lambda match: match[1].upper(), name)
        assert re.search(rf"[`.]{spelt}[`.]", PAGE), spelt


def test_the_gateways_settings_of_the_runtime_are_explained() -> None:
    for name in ("when_busy", "fallback_on_content_filter", "daily_tokens", "daily_usd", "fallback_providers"):
        alias = RuntimeSettings.model_fields[name].validation_alias
        assert f"`{alias}`" in PAGE


@pytest.mark.parametrize(("text", "kind"), list(zip(EXAMPLES, KINDS, strict=True)))
def test_every_example_can_be_used_as_it_is(text: str, kind: ProviderKind, tmp_path: Path) -> None:
    keys = frozenset({"AZURE_OPENAI_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GITHUB_TOKEN"})
    loaded = ConfigLoader(tmp_path / "config" / "agents.config.json").parse(text, keys)
    configuration = loaded.usable()
    assert [finding for finding in loaded.findings if finding.code.value.startswith("E")] == []
    assert not [finding for finding in loaded.findings if "unknown" in finding.message]
    provider = configuration.provider(configuration.runtime.default_provider)
    assert provider is not None
    assert provider.type is kind
