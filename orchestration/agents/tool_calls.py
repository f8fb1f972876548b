"""An agent's tool calls: permitted, limited, reported, and recorded without secrets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def name_of(call: Mapping[str, Any]) -> str:
    """The name of the tool that a model asks for; models write all sorts of things there."""
    return str((call.get("function") or {}).get("name") or "")[:64]
