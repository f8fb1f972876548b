"""The items of a request of the Responses API as messages of the chat format. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from typing import Any

from orchestration.providers.wire import THINKING_BLOCKS
from orchestration.web.gateway.errors import BadRequestError
from orchestration.web.gateway.fields import as_object, objects, text_in

_ROLES = ("user", "assistant", "system", "developer")
_TEXTS = ("input_text", "output_text", "text")
# Marks what we have packed ourselves: OpenAI's own contents are encrypted, and nobody else can read them.
_PACKED = "orc1."


def input_items(given: object) -> list[Mapping[str, Any]]:
    """The items of an input, which may be a text. Raises BadRequestError."""
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": given}]}]
    return [item for _, item in objects(given, "input")]


def pack_thought(block: Mapping[str, Any]) -> str:
    """A thought as the content of an item, which a client sends back unread."""
    kept = {name: block[name] for name in ("type", "thinking", "signature", "data") if block.get(name)}
    return _PACKED + base64.b64encode(json.dumps(kept).encode()).decode()


class ItemReader:
    """Translates the items of one input."""

    def __init__(self) -> None:
        self._messages: list[dict[str, Any]] = []
        self._thoughts: list[dict[str, Any]] = []
        # What a message of a tool cannot hold; it comes after the last of the results.
        self._media: list[dict[str, Any]] = []

    def messages(self, items: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The messages. Raises BadRequestError."""
        for number, item in enumerate(items):
            self._read(item, f"input.{number}")
        self._place_media()
        return self._messages

    def _read(self, item: Mapping[str, Any], place: str) -> None:
        kind = item.get("type", "message")
        if kind != "function_call_output":
            self._place_media()
        match kind:
            case "message":
                self._message(item, place)
            case "function_call":
                function = {"name": text_in(item, "name", place), "arguments": text_in(item, "arguments", place)}
                call = {"id": text_in(item, "call_id", place), "type": "function", "function": function}
                self._assistant().setdefault("tool_calls", []).append(call)
            case "function_call_output":
                self._result(item, place)
            case "reasoning":
                self._thoughts += _thought(item)
            case _:
                raise BadRequestError(f"`{place}`: items of the type `{kind}` cannot be used through this gateway.")

    def _message(self, item: Mapping[str, Any], place: str) -> None:
        role, content = item.get("role"), item.get("content")
        if role not in _ROLES:
            raise BadRequestError(f"`{place}.role` must be one of {', '.join(_ROLES)}.")
        said = content if isinstance(content, str) else _joined(list(_parts(content, f"{place}.content")))
        if role == "assistant":
            if isinstance(said, list):
                raise BadRequestError(f"`{place}.content` of the assistant must be text.")
            message = self._assistant(begins=True)
            message["content"] = f"{message['content']}{said}"
        else:
            self._messages.append({"role": role, "content": said})

    def _assistant(self, *, begins: bool = False) -> dict[str, Any]:
        """The message of the assistant that an item belongs to; a text `begins` one unless it follows thoughts."""
        last = self._messages[-1] if self._messages else None
        if last is None or last["role"] != "assistant" or (begins and last.get("tool_calls")) or self._thoughts:
            last = {"role": "assistant", "content": ""}
            self._messages.append(last)
        if self._thoughts:
            last[THINKING_BLOCKS], self._thoughts = self._thoughts, []
        return last

    def _result(self, item: Mapping[str, Any], place: str) -> None:
        output = item.get("output")
        parts = [{"type": "text", "text": output}] if isinstance(output, str) else None
        parts = list(_parts(output, f"{place}.output")) if parts is None else parts
        text = "\n".join(part["text"] for part in parts if part["type"] == "text")
        media = [part for part in parts if part["type"] != "text"]
        text = f"{text}\n(What else it returned follows.)".strip() if media else text
        self._media += media
        self._messages.append({"role": "tool", "tool_call_id": text_in(item, "call_id", place), "content": text})

    def _place_media(self) -> None:
        if self._media:
            self._messages.append({"role": "user", "content": self._media})
            self._media = []


def _parts(content: object, place: str) -> Iterator[dict[str, Any]]:
    for where, part in objects(content, place):
        kind = part.get("type")
        if kind in _TEXTS:
            yield {"type": "text", "text": text_in(part, "text", where)}
        elif kind == "refusal":
            yield {"type": "text", "text": text_in(part, "refusal", where)}
        elif kind == "input_image" and part.get("image_url") is not None:
            detail = {"detail": text_in(part, "detail", where)} if part.get("detail") is not None else {}
            yield {"type": "image_url", "image_url": {"url": text_in(part, "image_url", where), **detail}}
        elif kind == "input_file" and part.get("file_data") is not None:
            name = text_in(part, "filename", where) if part.get("filename") is not None else "file.pdf"
            yield {"type": "file", "file": {"filename": name, "file_data": text_in(part, "file_data", where)}}
        elif kind == "input_audio":
            yield {"type": "input_audio", "input_audio": as_object(part.get("input_audio"), f"{where}.input_audio")}
        else:
            missing = {"input_image": " without `image_url`", "input_file": " without `file_data`"}
            what = f"`{kind}`{missing.get(str(kind), '')}"
            raise BadRequestError(f"`{where}`: a part of the type {what} cannot be used through this gateway.")


def _joined(parts: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Texts alone as one text, which every server understands."""
    return parts if any(part["type"] != "text" for part in parts) else "".join(part["text"] for part in parts)


def _thought(item: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The thought in an item, if it is one that we have packed."""
    content = item.get("encrypted_content")
    if isinstance(content, str) and content.startswith(_PACKED):
        try:
            found = json.loads(base64.b64decode(content.removeprefix(_PACKED), validate=True))
        except (ValueError, binascii.Error, RecursionError):
            return
        if isinstance(found, dict) and all(isinstance(value, str) for value in found.values()):
            yield found
