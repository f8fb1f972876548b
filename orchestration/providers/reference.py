"""The table of provider kinds in the reference page, written from their descriptors. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from orchestration.config.providers.descriptor import ProviderDescriptor


def providers_table(kinds: Iterable[ProviderDescriptor]) -> str:
    """One row for each kind, in Markdown."""
    header = "| type | for | address unless given | key in `.env` unless named | other settings |"
    return "\n".join([header, "| --- | --- | --- | --- | --- |", *(_row(kind) for kind in kinds)])


def _row(kind: ProviderDescriptor) -> str:
    return f"| `{kind.name}` | {kind.summary} | {_code(kind.base_url)} | {_key(kind)} | {_others(kind)} |"


def _key(kind: ProviderDescriptor) -> str:
    if kind.api_key_env is None or kind.sends_key_to_own_address:
        return _code(kind.api_key_env)
    return f"{_code(kind.api_key_env)}; with a `baseUrl`, none"


def _others(kind: ProviderDescriptor) -> str:
    return ", ".join(f"`{key}`" for key in kind.optional) or "none"


def _code(text: str | None) -> str:
    return f"`{text}`" if text else "none"
