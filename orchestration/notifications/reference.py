"""The table of channel kinds in the reference page, written from their descriptors. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from orchestration.config.channels.descriptor import ChannelDescriptor


def channels_table(kinds: Iterable[ChannelDescriptor]) -> str:
    """One row for each kind, in Markdown."""
    rows = [f"| `{kind.name}` | {_required(kind)} | {_optional(kind)} | {_about(kind)} |" for kind in kinds]
    return "\n".join(["| type | required | optional | about |", "| --- | --- | --- | --- |", *rows])


def _required(kind: ChannelDescriptor) -> str:
    keys = [_key(key) + (" or `url`" if key == "urlEnv" and "url" in kind.optional else "") for key in kind.required]
    addressed = [] if kind.address is None else ["an `address` for each contact"]
    return ", ".join([*keys, *addressed]) or "nothing"


def _optional(kind: ChannelDescriptor) -> str:
    either = kind.required if "url" in kind.optional else ()
    return ", ".join(_key(key) for key in kind.optional if not (key == "url" and "urlEnv" in either))


def _about(kind: ChannelDescriptor) -> str:
    return "; ".join(text for text in (kind.summary, kind.limits) if text)


def _key(key: str) -> str:
    return f"`{key}`"
