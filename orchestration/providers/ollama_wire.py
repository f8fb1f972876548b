"""Ollama's own chat API in terms of the OpenAI dialect, in both directions. Pure.

https://docs.ollama.com/api/chat. Unlike the compatible API it takes `num_ctx`, the context that the model is loaded
with; without it Ollama cuts a longer conversation at its default, in silence.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# OpenAI's names of the options, and Ollama's: https://docs.ollama.com/modelfile#valid-parameters-and-values.
_OPTIONS = {
    **{name: name for name in ("num_ctx", "temperature", "top_p", "seed", "stop")},
    **{name: name for name in ("frequency_penalty", "presence_penalty")},
    "max_tokens": "num_predict",
    "max_completion_tokens": "num_predict",
}
_NO_THINKING = "none"


def native_request(model: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """The request that asks the same. What Ollama does not know is left out."""
    request: dict[str, Any] = {
        "model": model,
        "messages": list(_messages(body["messages"])),
        "options": {theirs: body[ours] for ours, theirs in _OPTIONS.items() if body.get(ours) is not None},
    }
    if body.get("tools"):
        request["tools"] = body["tools"]
    if form := body.get("response_format"):
        request["format"] = form["json_schema"]["schema"] if form.get("type") == "json_schema" else "json"
    if effort := body.get("reasoning_effort"):
        request["think"] = False if effort == _NO_THINKING else effort
    return request


def _messages(messages: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    names: dict[str, str] = {}
    for message in messages:
        text, images = _content(message.get("content"))
        changed: dict[str, Any] = {"role": message["role"], "content": text}
        if images:
            changed["images"] = images
        if calls := message.get("tool_calls"):
            names |= {call["id"]: call["function"]["name"] for call in calls}
            changed["tool_calls"] = [{"function": _function(call["function"])} for call in calls]
        if message["role"] == "tool":
            changed["tool_name"] = names.get(message.get("tool_call_id", ""), "")
        yield changed


def _content(content: Any) -> tuple[str, list[str]]:
    """The text, and the images without the prefix of a data URL."""
    if not isinstance(content, list):
        return str(content or ""), []
    text = "".join(str(part.get("text") or "") for part in content)
    urls = [str((part.get("image_url") or {}).get("url", "")) for part in content if part.get("type") == "image_url"]
    return text, [url.partition("base64,")[2] for url in urls if "base64," in url]


def _function(function: Mapping[str, Any]) -> dict[str, Any]:
    try:
        arguments = json.loads(function.get("arguments") or "{}")
    except ValueError:
        arguments = {}
    return {"name": function["name"], "arguments": arguments if isinstance(arguments, dict) else {}}


class NativeReading:
    """Turns the parts of an answer into chunks. Older releases give no ids to calls."""

    def __init__(self) -> None:
        self._calls = 0

    def chunk(self, part: Mapping[str, Any]) -> dict[str, Any]:
        """One line of a stream, or the whole of an answer that was not streamed."""
        message = part.get("message") or {}
        delta: dict[str, Any] = {"role": "assistant", "content": message.get("content") or ""}
        if message.get("thinking"):
            delta["reasoning_content"] = message["thinking"]
        if calls := message.get("tool_calls"):
            delta["tool_calls"] = [self._call(call) for call in calls]
        chunk: dict[str, Any] = {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        if part.get("done"):
            chunk["choices"][0]["finish_reason"] = self._reason(part)
            chunk["usage"] = _usage(part)
        return chunk

    def _call(self, call: Mapping[str, Any]) -> dict[str, Any]:
        function, number = call.get("function") or {}, self._calls
        self._calls += 1
        arguments = json.dumps(function.get("arguments") or {}, ensure_ascii=False)
        named = {"name": str(function.get("name") or ""), "arguments": arguments}
        return {"index": number, "id": str(call.get("id") or f"call_{number}"), "type": "function", "function": named}

    def _reason(self, part: Mapping[str, Any]) -> str:
        reason = str(part.get("done_reason") or "stop")
        return "tool_calls" if self._calls and reason == "stop" else reason


def _usage(part: Mapping[str, Any]) -> dict[str, int]:
    prompt, answer = int(part.get("prompt_eval_count") or 0), int(part.get("eval_count") or 0)
    return {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}


def loaded_windows(document: Any) -> dict[str, int]:
    """The context of each loaded model, under its names."""
    models = document.get("models") if isinstance(document, dict) else None
    found: dict[str, int] = {}
    for model in models if isinstance(models, list) else ():
        size = model.get("context_length") if isinstance(model, dict) else None
        if isinstance(size, int) and size > 0:
            found |= {str(model[name]): size for name in ("name", "model") if model.get(name)}
    # A name without a tag means the latest.
    return found | {name.removesuffix(":latest"): size for name, size in found.items()}


def whole_answer(part: Mapping[str, Any]) -> dict[str, Any]:
    """An answer that was not streamed."""
    chunk = NativeReading().chunk(part)
    choice = chunk["choices"][0]
    message = {name: value for name, value in choice["delta"].items() if name != "tool_calls"}
    if calls := choice["delta"].get("tool_calls"):
        message["tool_calls"] = [{name: value for name, value in call.items() if name != "index"} for call in calls]
    finish = choice["finish_reason"] or "stop"
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish}], "usage": _usage(part)}
