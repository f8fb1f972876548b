"""Answers of Anthropic's Messages API in the chat format. Pure.

https://platform.claude.com/docs/en/build-with-claude/streaming describes the events of a stream.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from orchestration.providers.wire import THINKING_BLOCKS

LAST_EVENTS = frozenset({"message_stop"})
# https://platform.claude.com/docs/en/build-with-claude/handling-stop-reasons
_REASONS = {
    "end_turn": "stop", "stop_sequence": "stop", "pause_turn": "stop", "max_tokens": "length",
    "model_context_window_exceeded": "length", "tool_use": "tool_calls", "refusal": "content_filter",
}  # fmt: skip


def chat_answer(message: Mapping[str, Any]) -> dict[str, Any]:
    """A whole answer. Raises AttributeError, KeyError, TypeError or ValueError for what is none."""
    said: dict[str, Any] = {"role": "assistant", "content": None}
    calls, blocks = [], []
    for number, block in enumerate(message["content"]):
        match block["type"]:
            case "text":
                said["content"] = f"{said['content'] or ''}{block['text']}"
            case "tool_use":
                calls.append(_call(block, json.dumps(block.get("input") or {}, ensure_ascii=False)))
            case "thinking" | "redacted_thinking":
                blocks.append({"index": number, **block})
            case _:
                pass
    if thoughts := "".join(str(block.get("thinking") or "") for block in blocks):
        said["reasoning_content"] = thoughts
    said |= ({THINKING_BLOCKS: blocks} if blocks else {}) | ({"tool_calls": calls} if calls else {})
    choice = {"index": 0, "message": said, **_end(message)}
    return {"id": message.get("id"), "choices": [choice], "usage": _usage(message.get("usage") or {})}


class EventReading:
    """Turns the events of a stream into chunks."""

    def __init__(self) -> None:
        self._identifier: Any = None
        self._usage: dict[str, Any] = {}
        # The number among the calls of the block that is being sent.
        self._calls: dict[Any, int] = {}

    def chunks(self, event: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The chunks for an event. Raises AttributeError, KeyError or TypeError for what is none."""
        match event.get("type"):
            case "message_start":
                self._identifier = event["message"].get("id")
                self._count(event["message"].get("usage"))
                yield self._chunk({"role": "assistant", "content": ""})
            case "content_block_start":
                if delta := self._begun(event["index"], event["content_block"]):
                    yield self._chunk(delta)
            case "content_block_delta":
                if delta := self._more(event["index"], event["delta"]):
                    yield self._chunk(delta)
            case "message_delta":
                self._count(event.get("usage"))
                yield {"id": self._identifier, "choices": [{"index": 0, "delta": {}, **_end(event["delta"])}]}
                yield {"id": self._identifier, "choices": [], "usage": _usage(self._usage)}
            case _:
                pass

    def _chunk(self, delta: dict[str, Any]) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        return {"id": self._identifier, "choices": [choice]}

    def _begun(self, index: Any, block: Mapping[str, Any]) -> dict[str, Any]:
        match block["type"]:
            case "tool_use":
                number = self._calls[index] = len(self._calls)
                # Its `input` is an empty object here, and comes in pieces.
                return {"tool_calls": [{"index": number, **_call(block, "")}]}
            case "redacted_thinking":
                return {THINKING_BLOCKS: [{"index": index, **block}]}
            case "thinking":
                return _thought(index, str(block.get("thinking") or ""), str(block.get("signature") or ""))
            case "text" if block.get("text"):
                return {"content": block["text"]}
            case _:
                return {}

    def _more(self, index: Any, delta: Mapping[str, Any]) -> dict[str, Any]:
        match delta["type"]:
            case "text_delta":
                return {"content": delta["text"]}
            case "thinking_delta":
                return _thought(index, delta["thinking"], "")
            case "signature_delta":
                return _thought(index, "", delta["signature"])
            case "input_json_delta" if index in self._calls:
                part = {"index": self._calls[index], "function": {"arguments": delta["partial_json"]}}
                return {"tool_calls": [part]} if delta["partial_json"] else {}
            case _:
                return {}

    def _count(self, usage: Mapping[str, Any] | None) -> None:
        """The counts are those of the whole answer so far, and the later ones leave some out."""
        self._usage |= {name: count for name, count in (usage or {}).items() if count is not None}


def _thought(index: Any, text: str, signature: str) -> dict[str, Any]:
    """Thoughts as everybody reads them, and as Anthropic wants them back."""
    if not text and not signature:
        return {}
    signed = {"signature": signature} if signature else {}
    block = {"index": index, "type": "thinking", "thinking": text, **signed}
    return {THINKING_BLOCKS: [block], **({"reasoning_content": text} if text else {})}


def _call(block: Mapping[str, Any], arguments: str) -> dict[str, Any]:
    return {"id": block["id"], "type": "function", "function": {"name": block["name"], "arguments": arguments}}


def _end(ended: Mapping[str, Any]) -> dict[str, Any]:
    reason = ended.get("stop_reason")
    found: dict[str, Any] = {"finish_reason": _REASONS.get(reason, "stop") if isinstance(reason, str) else None}
    if reason:
        found["native_finish_reason"] = reason
    if ended.get("stop_sequence"):
        found["stop_sequence"] = ended["stop_sequence"]
    return found


def _usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    """The tokens as others count them: those of the cache are part of the prompt's."""
    read, written = int(usage.get("cache_read_input_tokens") or 0), int(usage.get("cache_creation_input_tokens") or 0)
    prompt, answer = int(usage.get("input_tokens") or 0) + read + written, int(usage.get("output_tokens") or 0)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
        "prompt_tokens_details": {"cached_tokens": read},
        "cache_creation_input_tokens": written,
    }
