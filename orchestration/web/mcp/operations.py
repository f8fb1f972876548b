"""The operations of the API, as tools: from its own description (OpenAPI 3.1). Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

_AREAS = frozenset({"runs", "incidents", "playbooks"})
# Streams never end, and a file is a resource.
_LEFT_OUT = frozenset({"stream_progress", "get_artifact"})
_NOUNS = {"runs": "run", "incidents": "incident", "playbooks": "playbook"}
_READS = "GET"


@dataclass(frozen=True, slots=True)
class ApiOperation:
    """One operation of the API as a tool. `in_path` and `in_query` are names of parameters; the rest is the body."""

    name: str
    method: str
    path: str
    description: str
    parameters: Mapping[str, Any]
    in_path: frozenset[str] = frozenset()
    in_query: frozenset[str] = frozenset()
    has_body: bool = field(default=False)

    @property
    def reads_only(self) -> bool:
        return self.method == _READS

    def request(self, arguments: Mapping[str, Any]) -> ApiRequest:
        """The request of a call. Raises ValueError for arguments that the operation does not have."""
        known = self.parameters["properties"]
        if unknown := sorted(set(arguments) - set(known)):
            raise ValueError(f"{self.name} has no argument '{unknown[0]}'; it has: {', '.join(known) or 'none'}")
        if missing := [one for one in self.parameters["required"] if one not in arguments]:
            raise ValueError(f"{self.name} needs the argument '{missing[0]}'")
        path = self.path
        for name in self.in_path:
            # Quoted whole, slashes included: an argument must not lead to another address.
            path = path.replace(f"{{{name}}}", quote(str(arguments[name]), safe=""))
        query = [(name, one) for name in sorted(self.in_query) if name in arguments for one in _each(arguments[name])]
        body = {name: value for name, value in arguments.items() if name not in self.in_path | self.in_query}
        return ApiRequest(self.method, path, tuple(query), body if self.has_body and body else None)


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request to the API."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    body: Mapping[str, Any] | None


def operations_of(openapi: Mapping[str, Any]) -> tuple[ApiOperation, ...]:
    """The operations on runs, incidents, playbooks and approvals."""
    return tuple(_operations(openapi))


def _operations(openapi: Mapping[str, Any]) -> Iterator[ApiOperation]:
    schemas = openapi.get("components", {}).get("schemas", {})
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            [tag, *_] = operation.get("tags") or [""]
            if tag in _AREAS and operation["operationId"] not in _LEFT_OUT:
                yield _operation(path, method.upper(), tag, operation, schemas)


def _operation(
    path: str, method: str, tag: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]
) -> ApiOperation:
    given = operation.get("parameters", [])
    properties = {one["name"]: _described(one, schemas) for one in given}
    required = [one["name"] for one in given if one.get("required")]
    body = _resolved(
        operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {}), schemas
    )
    properties |= body.get("properties", {})
    required += body.get("required", [])
    return ApiOperation(
        _name(path, tag, operation["operationId"]),
        method,
        path,
        " ".join(operation.get("description", "").split()),
        {"type": "object", "properties": properties, "required": required, "additionalProperties": False},
        frozenset(one["name"] for one in given if one["in"] == "path"),
        frozenset(one["name"] for one in given if one["in"] == "query"),
        bool(body),
    )


def _name(path: str, tag: str, operation: str) -> str:
    """`acknowledge` of an incident is `incident_acknowledge`: a tool stands beside those of other servers."""
    noun = "approval" if path.startswith("/approvals") else _NOUNS[tag]
    return operation if noun in operation else f"{noun}_{operation}"


def _described(parameter: Mapping[str, Any], schemas: Mapping[str, Any]) -> dict[str, Any]:
    schema = _resolved(parameter.get("schema", {}), schemas)
    return {**schema, "description": parameter["description"]} if "description" in parameter else schema


def _resolved(schema: Any, schemas: Mapping[str, Any]) -> dict[str, Any]:
    """A schema without references, and without the choice of leaving it out, which the caller has anyway."""
    value = _replaced(schema, schemas)
    choices = [one for one in value.get("anyOf", []) if one.get("type") != "null"]
    return {**choices[0]} if len(choices) == 1 and set(value) <= {"anyOf", "title"} else value


def _replaced(value: Any, schemas: Mapping[str, Any]) -> Any:
    if isinstance(value, Mapping):
        if "$ref" in value:
            return _replaced(schemas[value["$ref"].rpartition("/")[2]], schemas)
        return {key: _replaced(inner, schemas) for key, inner in value.items()}
    return [_replaced(inner, schemas) for inner in value] if isinstance(value, list) else value


def _each(value: Any) -> list[str]:
    return [one if isinstance(one, str) else json.dumps(one) for one in (value if isinstance(value, list) else [value])]
