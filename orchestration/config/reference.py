"""What is published of the configuration, written from the code itself: the JSON Schema and the page of codes."""

from __future__ import annotations

import json
from typing import Any

from orchestration.config.findings import FindingCode, FindingLevel
from orchestration.config.schema import WELL_KNOWN_PROVIDERS, Configuration

_PAGE_START = """# Configuration findings

`orchestrator config validate` shows every finding at once, with file, line and column. An error keeps the file out of
use: the last good one stays in force. A warning does not. Codes never change their meaning.
"""


def json_schema() -> str:
    """The JSON Schema of `config/agents.config.json`, for editors; the short forms that we accept are in it."""
    schema = Configuration.model_json_schema(by_alias=True)
    parts, properties = schema["$defs"], schema["properties"]
    provider = parts["ProviderSettings"]["properties"]
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
    """The reference page of all codes, in Markdown."""
    return "\n".join([_PAGE_START, *(_table(severity) for severity in FindingLevel)])


def _table(severity: FindingLevel) -> str:
    rows = [f"| {code.value} | {code.meaning} |" for code in FindingCode if code.severity is severity]
    return "\n".join([f"## {severity.value.capitalize()}s", "", "| code | meaning |", "| --- | --- |", *rows, ""])


def _without_titles(part: Any) -> Any:
    """Titles that only repeat the key in other letters help nobody."""
    if isinstance(part, dict):
        return {key: _without_titles(value) for key, value in part.items() if key != "title"}
    return [_without_titles(value) for value in part] if isinstance(part, list) else part
