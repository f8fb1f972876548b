"""How the fields of a command are asked for: on the console, in the API and on a page."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic_core import CoreSchema


class Choices(StrEnum):
    """Lists that only the page itself knows, since they depend on the incident or run that it shows."""

    CONTACTS = "contacts"
    SEVERITIES = "severities"
    SCENARIOS = "scenarios"
    OTHER_INCIDENTS = "others"
    LEVELS = "levels"
    PATHS = "paths"
    PARTS = "parts"


@dataclass(frozen=True, slots=True)
class Input:
    """One field as people meet it, written as an annotation beside its type.

    `description` is the help of the console and of the API. On the console the field is an option of its own name,
    or of `option`; an `argument` is positional instead, and shown as `metavar`. `past` reads `12h` as twelve hours
    ago rather than from now. `console_default` is a default of the console alone. `remote_argument` fields may also
    be positional with `--server`, as they were at first. `in_path` fields are part of the API's path, all others of
    the request body. On the page a field has a `label` with an optional `hint`, and `rows` where it takes more than
    one line; it is filled with the `prefill` attribute of what it shows. Fields without a label are not on the page.
    """

    description: str
    label: str = ""
    hint: str = ""
    argument: bool = False
    option: str = ""
    metavar: str = ""
    past: bool = False
    in_path: bool = False
    rows: int = 0
    prefill: str = ""
    choices: Choices | None = None
    console_default: Any = None
    # Kept for scripts of users that pass the value by position to `--server`.
    remote_argument: bool = False

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Publish the description in the OpenAPI document."""
        return {**handler(schema), "description": self.description}
