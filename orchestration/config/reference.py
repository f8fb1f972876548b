"""References generated from the code: the JSON Schema of the configuration, and the page of finding codes."""

from __future__ import annotations

import json
from typing import Any

from orchestration.config.findings import FindingCode, FindingLevel
from orchestration.config.providers.settings import WELL_KNOWN_PROVIDERS
from orchestration.config.schema import Configuration

_PAGE_START = """# Configuration findings

`orchestrator config validate` shows every finding at once, with file, line and column. A file with an
error is not used: the last good version stays in force. Warnings do not prevent that. Codes never change their meaning.
"""


def json_schema() -> str:
    """The JSON Schema of `config/agents.config.json`, for editors; it includes the accepted short forms."""
    schema = Configuration.model_json_schema(by_alias=True)
    parts, properties = schema["$defs"], schema["properties"]
    provider = parts["ProviderSettings"]["properties"]
    # Pydantic publishes one name for a field; an editor would underline the other spellings that are accepted.
    provider |= {"endpoint": provider["host"], "baseUrl": provider["host"], "tokenEnv": provider["apiKeyEnv"]}
    section = {"$ref": "#/$defs/ProviderSettings"}
    parts["RuntimeSettings"]["properties"] |= dict.fromkeys(WELL_KNOWN_PROVIDERS, section)
    models = properties["models"]["additionalProperties"]
    models["items"] = {"anyOf": [{"type": "string"}, models["items"]]}
    edges = properties["workflow"]
    wrapped = {"type": "object", "required": ["edges"], "properties": {"edges": edges}}
    properties["workflow"] = {"anyOf": [edges, wrapped]}
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
    return json.dumps(_without_titles(whole), indent=2, ensure_ascii=False) + "\n"


def findings_page() -> str:
    """The reference page of all codes, as Markdown."""
    return "\n".join([_PAGE_START, *(_table(severity) for severity in FindingLevel)])


def _table(severity: FindingLevel) -> str:
    rows = [f"| {code.value} | {code.meaning} |" for code in FindingCode if code.severity is severity]
    return "\n".join([f"## {severity.value.capitalize()}s", "", "| code | meaning |", "| --- | --- |", *rows, ""])


def _without_titles(part: Any) -> Any:
    """Pydantic's titles only repeat the keys in other letters."""
    if isinstance(part, dict):
        return {key: _without_titles(value) for key, value in part.items() if key != "title"}
    return [_without_titles(value) for value in part] if isinstance(part, list) else part
