"""What is published beside the code says what the code says."""

from __future__ import annotations

import json
from pathlib import Path

from orchestration.config.credentials import read_env_file
from orchestration.config.findings import FindingCode, FindingLevel
from orchestration.config.loader import load
from orchestration.config.reference import findings_page, json_schema

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "config" / "agents.config.json"


def test_the_json_schema_is_current() -> None:
    text = (ROOT / "config" / "agents.config.schema.json").read_text(encoding="utf-8")
    assert text == json_schema(), "write it anew with `orchestrator config schema`"


def test_the_json_schema_knows_every_key_of_the_shipped_file() -> None:
    schema = json.loads(json_schema())
    runtime = schema["$defs"]["RuntimeSettings"]["properties"]
    shipped = json.loads(SHIPPED.read_text(encoding="utf-8"))
    assert set(shipped) <= set(schema["properties"])
    assert not {name for name in shipped["runtime"] if name not in runtime}
    provider = schema["$defs"]["ProviderSettings"]["properties"]
    assert {"host", "endpoint", "baseUrl", "apiKeyEnv", "tokenEnv"} <= set(provider)


def test_the_page_of_findings_is_current() -> None:
    page = ROOT / "docs" / "reference" / "configuration-findings.md"
    assert page.read_text(encoding="utf-8") == findings_page()


def test_every_code_is_explained() -> None:
    assert all(code.meaning.endswith(".") for code in FindingCode)
    assert {code.value[0]: code.severity for code in FindingCode} == {
        "E": FindingLevel.ERROR,
        "W": FindingLevel.WARNING,
    }


def test_the_shipped_configuration_only_lacks_a_second_provider() -> None:
    loaded = load(SHIPPED)
    assert [finding.code for finding in loaded.findings] == [FindingCode.NO_FALLBACK]
    runtime = loaded.usable().runtime
    assert (runtime.default_provider, runtime.fallback_providers) == ("ollama", ())
    assert set(runtime.providers) == {"ollama", "azure", "github", "openai", "anthropic", "rehearsal"}


def test_the_example_of_env_names_every_variable_of_the_shipped_file_and_holds_no_value() -> None:
    values, findings = read_env_file(ROOT / ".env.example")
    providers = load(SHIPPED).usable().runtime.providers.values()
    assert set(values) == {provider.api_key_env for provider in providers if provider.api_key_env}
    assert set(values.values()) == {""}
    assert findings == ()
