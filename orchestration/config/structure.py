"""From a JSON document to a Configuration, with all structural problems at once. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic import AliasChoices, ValidationError
from pydantic_core import ErrorDetails

from orchestration.config.document import Document, JsonPath, show_path
from orchestration.config.findings import FindingCode
from orchestration.config.problems import Problem, path_in_file, suggest
from orchestration.config.providers.settings import WELL_KNOWN_PROVIDERS
from orchestration.config.runtime import RuntimeSettings
from orchestration.config.schema import Configuration
from orchestration.config.secrets import SecretFinder, names_a_secret
from orchestration.config.section import Section

_SHOWN_CHARACTERS = 40
_EXPECTED_TYPES = {
    "model_type": "an object",
    "dict_type": "an object",
    "tuple_type": "a list",
    "string_type": "a string",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
}
_EXPECTED_PATTERNS = {
    "id": "a letter, then at most 63 letters, digits, or any of _ . -",
    "name": "a letter, then at most 63 letters, digits, or any of _ . -",
    "apiKeyEnv": "the name of an environment variable",
    "tokenEnv": "the name of an environment variable",
    "databaseUrlEnv": "the name of an environment variable",
    "entryPoint": "module:function, or a command line as a list of words",
}


def build(document: Document, find_secrets: SecretFinder) -> tuple[Configuration | None, list[Problem]]:
    """The configuration, or None and all problems that prevent it; unknown keys are reported if there is one."""
    if not isinstance(document.value, dict):
        return None, [Problem(FindingCode.NOT_AN_OBJECT, (), f"the file is {_kind(document.value)}", "an object: {…}")]
    try:
        configuration = Configuration.model_validate(document.value)
    except ValidationError as error:
        # Without the input: pydantic's messages quote it, and a misplaced value may be a secret
        # (https://docs.pydantic.dev/latest/errors/errors/).
        details = error.errors(include_input=False, include_url=False, include_context=True)
        return None, [_problem(detail, document, find_secrets) for detail in details]
    return configuration, list(unknown_keys(configuration))


def unknown_keys(section: Section, path: JsonPath = ()) -> Iterator[Problem]:
    """Report every key that no part of the system reads."""
    known = known_keys(type(section))
    for key, value in (section.model_extra or {}).items():
        hint = suggest(key, known)
        if path == ("runtime",) and isinstance(value, dict):
            hint = f'{hint} A provider with a custom name needs a "type".'.strip()
        yield Problem(FindingCode.UNKNOWN_KEY, (*path, key), f'the key "{key}" is unknown here', hint=hint)
    for name, field in type(section).model_fields.items():
        yield from _unknown_within(getattr(section, name), (*path, field.alias or name))


def known_keys(model: type[Section]) -> set[str]:
    """The keys that a section of the file may have."""
    keys = set(WELL_KNOWN_PROVIDERS) if model is RuntimeSettings else set()
    for name, field in model.model_fields.items():
        alias = field.validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias or name]
        # Names with an underscore are those of the code, and are no advice for the file.
        keys |= {choice for choice in choices if isinstance(choice, str) and "_" not in choice}
    return keys


def _unknown_within(value: object, path: JsonPath) -> Iterator[Problem]:
    if isinstance(value, Section):
        yield from unknown_keys(value, path)
    elif isinstance(value, tuple):
        for index, inner in enumerate(value):
            yield from _unknown_within(inner, (*path, index))
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _unknown_within(inner, (*path, key))


def _problem(detail: ErrorDetails, document: Document, find_secrets: SecretFinder) -> Problem:
    path = path_in_file(detail["loc"], document)
    if detail["type"] == "missing":
        return Problem(FindingCode.MISSING_KEY, detail["loc"], f'"{show_path(path)}" is missing')
    came = _describe(path, document, find_secrets)
    return Problem(FindingCode.WRONG_VALUE, detail["loc"], f"{show_path(path)} is {came}", _expected(detail))


def _expected(detail: ErrorDetails) -> str:
    if detail["type"] == "string_pattern_mismatch":
        return _EXPECTED_PATTERNS.get(str(detail["loc"][-1]), "a different format")
    # Pydantic's own beginnings, which read badly behind "expected".
    own = detail["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return _EXPECTED_TYPES.get(detail["type"], own)


def _describe(path: JsonPath, document: Document, find_secrets: SecretFinder) -> str:
    """Describe a value without showing it if it may be a secret."""
    value = document.value
    for part in path:
        value = value[part]
    if not isinstance(value, str):
        return _kind(value)
    named = any(names_a_secret(part) for part in path if isinstance(part, str))
    hidden = named or len(value) > _SHOWN_CHARACTERS or find_secrets(value)
    return "a string that is not shown" if hidden else json.dumps(value, ensure_ascii=False)


def _kind(value: Any) -> str:
    if isinstance(value, dict | list | str):
        return {dict: "an object", list: "a list", str: "a string"}[type(value)]
    return json.dumps(value)
