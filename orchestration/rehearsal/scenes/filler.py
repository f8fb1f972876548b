"""The smallest value that a JSON schema allows, so that a rehearsal answer passes the client's validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestration.rehearsal.labels import LABEL

Schema = Mapping[str, Any]


def example(schema: Schema, root: Schema | None = None) -> Any:
    """A value of this schema: only what is required, the first of each choice. `root` holds the `$defs`."""
    root = schema if root is None else root
    if "$ref" in schema:
        return example(_resolve(schema["$ref"], root), root)
    # Pydantic writes an optional field as `anyOf` with null last, so the first choice is the real type.
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return example(choices[0], root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    return _of_type(schema, root)


def _of_type(schema: Schema, root: Schema) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else "string")
    match kind[0] if isinstance(kind, list) else kind:
        case "object":
            properties = schema.get("properties", {})
            return {name: example(properties.get(name, {}), root) for name in schema.get("required", ())}
        case "array":
            return [example(schema.get("items", {}), root) for _ in range(schema.get("minItems", 0))]
        case "integer" | "number":
            return schema.get("minimum", 0)
        case "boolean":
            return False
        case "null":
            return None
        case _:
            return LABEL


def _resolve(reference: str, root: Schema) -> Schema:
    """Follow a reference within the same document, such as `#/$defs/Step`."""
    found: Any = root
    for name in reference.removeprefix("#/").split("/"):
        found = found[name]
    schema: Schema = found
    return schema
