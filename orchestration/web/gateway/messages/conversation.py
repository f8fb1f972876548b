"""The messages of Anthropic's API as messages of the chat format. Pure.

https://platform.claude.com/docs/en/api/messages describes the blocks. What has no counterpart is noted in `lost`, so
that only Anthropic itself is asked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from orchestration.web.gateway.errors import BadRequestError
from orchestration.web.gateway.fields import as_list, as_object, as_text, objects, text_in

_TURNS = ("user", "assistant", "system")
_Block = Mapping[str, Any]


class ConversationReader:
    """Translates one conversation."""

    def __init__(self) -> None:
        self.lost: list[str] = []

    def messages(self, system: object, turns: object) -> list[dict[str, Any]]:
        """The whole conversation. Raises BadRequestError."""
        found = [{"role": "system", "content": self.system(system)}] if system not in (None, "", []) else []
        if not as_list(turns, "messages"):
            raise BadRequestError("`messages` must have at least one message.")
        for place, turn in objects(turns, "messages"):
            found += self._turn(turn, place)
        if not self.lost and all(message["role"] == "system" for message in found):
            raise BadRequestError("`messages` must have a message that is not empty.")
        return found

    def system(self, system: object) -> str:
        """The instructions, which are a text or blocks of text."""
        if isinstance(system, str):
            return system
        return "\n\n".join(text_in(block, "text", place) for place, block in objects(system, "system"))

    def _turn(self, turn: _Block, place: str) -> Iterator[dict[str, Any]]:
        role, content = turn.get("role"), turn.get("content")
        if role not in _TURNS:
            raise BadRequestError(f"`{place}.role` must be `user` or `assistant`.")
        if isinstance(content, str):
            if content:
                yield {"role": role, "content": content}
            return
        blocks = [
            (where, block, text_in(block, "type", where)) for where, block in objects(content, f"{place}.content")
        ]
        if role == "assistant":
            yield from self._said(blocks)
        else:
            yield from self._asked(str(role), blocks)

    def _said(self, blocks: list[tuple[str, _Block, str]]) -> Iterator[dict[str, Any]]:
        texts, calls = [], []
        for place, block, kind in blocks:
            match kind:
                case "text":
                    texts.append(text_in(block, "text", place))
                case "tool_use":
                    calls.append(_call(block, place))
                case "thinking" | "redacted_thinking":
                    pass
                case _:
                    self.lost.append(f"a block `{kind}` of the assistant")
        message: dict[str, Any] = {"role": "assistant", "content": "".join(texts)}
        if calls:
            message["tool_calls"] = calls
        if calls or message["content"]:
            yield message

    def _asked(self, role: str, blocks: list[tuple[str, _Block, str]]) -> Iterator[dict[str, Any]]:
        """Results of tools come first: the chat format wants them right after the calls."""
        parts: list[dict[str, Any]] = []
        for place, block, kind in blocks:
            if kind == "tool_result":
                text, media = self._result(block, place)
                yield {"role": "tool", "tool_call_id": text_in(block, "tool_use_id", place), "content": text}
                parts += media
            else:
                parts += self._parts(block, kind, place)
        if all(part["type"] == "text" for part in parts):
            text = "\n\n".join(part["text"] for part in parts)
            if text:
                yield {"role": role, "content": text}
        else:
            yield {"role": role, "content": parts}

    def _result(self, block: _Block, place: str) -> tuple[str, list[dict[str, Any]]]:
        """The text of a result, and the images and files in it, which a message of a tool cannot hold."""
        content = block.get("content")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else []
        if content is not None and not isinstance(content, str):
            for where, inner in objects(content, f"{place}.content"):
                parts += self._parts(inner, text_in(inner, "type", where), where)
        text = "\n".join(part["text"] for part in parts if part["type"] == "text")
        media = [part for part in parts if part["type"] != "text"]
        if media:
            text = f"{text}\n(What else it returned follows.)".strip()
        return (f"Error: {text}" if block.get("is_error") is True else text), media

    def _parts(self, block: _Block, kind: str, place: str) -> Iterator[dict[str, Any]]:
        _refuse_citations(block, place)
        match kind:
            case "text":
                yield {"type": "text", "text": text_in(block, "text", place)}
            case "image":
                yield from self._image(as_object(block.get("source"), f"{place}.source"), f"{place}.source")
            case "document":
                yield from self._document(block, as_object(block.get("source"), f"{place}.source"), f"{place}.source")
            case "search_result":
                texts = [
                    text_in(one, "text", where) for where, one in objects(block.get("content"), f"{place}.content")
                ]
                title = f"{text_in(block, 'title', place)} ({text_in(block, 'source', place)})"
                yield {"type": "text", "text": "\n".join([title, *texts])}
            case _:
                self.lost.append(f"a block `{kind}`")

    def _image(self, source: _Block, place: str) -> Iterator[dict[str, Any]]:
        match source.get("type"):
            case "base64":
                url = f"data:{text_in(source, 'media_type', place)};base64,{text_in(source, 'data', place)}"
                yield {"type": "image_url", "image_url": {"url": url}}
            case "url":
                yield {"type": "image_url", "image_url": {"url": text_in(source, "url", place)}}
            case other:
                self.lost.append(f"an image from a source `{other}`")

    def _document(self, block: _Block, source: _Block, place: str) -> Iterator[dict[str, Any]]:
        title = block.get("title")
        match source.get("type"):
            case "base64":
                data = f"data:{text_in(source, 'media_type', place)};base64,{text_in(source, 'data', place)}"
                name = title if isinstance(title, str) and title else "document.pdf"
                yield {"type": "file", "file": {"filename": name, "file_data": data}}
            case "text":
                text = text_in(source, "data", place)
                yield {"type": "text", "text": f"{title}\n{text}" if isinstance(title, str) else text}
            case "content":
                content = source.get("content")
                if isinstance(content, str):
                    yield {"type": "text", "text": content}
                    return
                for where, inner in objects(content, f"{place}.content"):
                    yield from self._parts(inner, text_in(inner, "type", where), where)
            case other:
                self.lost.append(f"a document from a source `{other}`")


def _call(block: _Block, place: str) -> dict[str, Any]:
    given = as_object(block.get("input", {}), f"{place}.input")
    function = {"name": text_in(block, "name", place), "arguments": json.dumps(given, ensure_ascii=False)}
    return {"id": as_text(block.get("id"), f"{place}.id"), "type": "function", "function": function}


def _refuse_citations(block: _Block, place: str) -> None:
    citations = block.get("citations")
    if isinstance(citations, Mapping) and citations.get("enabled") is True:
        raise BadRequestError(f"`{place}.citations` cannot be used through this gateway: answers come without them.")
