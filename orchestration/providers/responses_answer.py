"""Answers of OpenAI's Responses API in the chat format. Pure.

https://developers.openai.com/api/reference/resources/responses/streaming-events lists the events of a stream.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestration.providers.responses_request import SEPARATOR
from orchestration.providers.wire import OUTPUT_OUTLINE

LAST_EVENTS = frozenset({"response.completed", "response.incomplete", "response.failed"})
_CUT = {"max_output_tokens": "length", "content_filter": "content_filter"}
_REFUSED = "response.refusal.delta"
_OF_ANSWER = ("id", "model", "service_tier")
_Delta = dict[str, Any]


class ResponseFailedError(ValueError):
    """The vendor began an answer, and failed. `error` is the vendor's own account of it."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(str(error.get("message") or error))
        self.error = error


def chat_answer(response: Mapping[str, Any], most: int | None = None) -> dict[str, Any]:
    """A whole answer to a request that permitted so many tokens at `most`. Raises ResponseFailedError; and
    AttributeError, KeyError, TypeError or ValueError for what is none."""
    reading = ItemReading()
    message: dict[str, Any] = {"role": "assistant", "content": None}
    for number, item in enumerate(response["output"]):
        for delta in reading.finished(number, item):
            _join(message, delta)
    choice = {"index": 0, "message": message, "finish_reason": _end(response, most, called=reading.called)}
    return {**_head(response), "choices": [choice], "usage": _usage(response.get("usage") or {})}


class ResponseEventReading:
    """Turns the events of a stream into chunks; the request permitted so many tokens at `most`. What a server sends of
    an item only when that is finished, is passed on then."""

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._head: dict[str, Any] = {}
        self._items = ItemReading()
        # Whether items are told apart by their ids alone, as llama.cpp does.
        self._by_id = False

    def chunks(self, event: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The chunks for an event. Raises ResponseFailedError; and AttributeError, KeyError, TypeError or ValueError
        for what is none."""
        kind = event.get("type")
        if kind == "response.created":
            self._head = _head(event["response"])
            yield self._chunk({"role": "assistant", "content": ""})
        elif kind in LAST_EVENTS:
            yield from self._ended(event["response"])
        else:
            yield from (self._chunk(delta) for delta in self._deltas(str(kind), event))

    def _deltas(self, kind: str, event: Mapping[str, Any]) -> Iterator[_Delta]:
        match kind:
            case "response.output_item.added":
                yield from self._items.begun(self._place(event), event["item"])
            case "response.output_text.delta" | "response.refusal.delta":
                yield from self._items.said(self._place(event), event["delta"], refused=kind == _REFUSED)
            case "response.function_call_arguments.delta":
                yield from self._items.argued(self._place(event), event["delta"])
            case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
                part = event.get("summary_index") or event.get("content_index") or 0
                yield from self._items.thought(self._place(event), part, event["delta"])
            case "response.output_item.done":
                yield from self._items.finished(self._place(event), event["item"])

    def _place(self, event: Mapping[str, Any]) -> Any:
        """What an event is about: the place of an item in the answer, or where a server names none, its id."""
        if (place := event.get("output_index")) is not None:
            return place
        self._by_id = True
        return event["item"]["id"] if "item" in event else event["item_id"]

    def _ended(self, response: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        # A server may have sent the whole answer with its end alone.
        for number, item in enumerate(response.get("output") or ()):
            place = item["id"] if self._by_id else number
            yield from (self._chunk(delta) for delta in self._items.finished(place, item))
        reason = _end(response, self._most, called=self._items.called)
        yield {**self._head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
        yield {**self._head, **_head(response), "choices": [], "usage": _usage(response.get("usage") or {})}

    def _chunk(self, delta: _Delta) -> dict[str, Any]:
        return {**self._head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


class ItemReading:
    """The items of one answer, each in pieces, or whole when it is finished, as parts of a message."""

    def __init__(self) -> None:
        # The items of which something has come in pieces.
        self._came: set[Any] = set()
        self._done: set[Any] = set()
        self._calls: dict[Any, int] = {}
        self._part: Any = None
        self._speaks: Any = None

    @property
    def called(self) -> bool:
        """Whether a tool was called."""
        return bool(self._calls)

    def begun(self, place: Any, item: Mapping[str, Any]) -> Iterator[_Delta]:
        """An item that is announced."""
        if item["type"] == "function_call" and place not in self._calls:
            self._calls[place] = len(self._calls)
            function = {"name": item["name"], "arguments": ""}
            yield self._call(place, {"id": item["call_id"], "type": "function", "function": function})

    def said(self, place: Any, text: str, *, refused: bool) -> Iterator[_Delta]:
        """A piece of a text."""
        if not text:
            return
        if self._speaks not in (None, place):
            yield {"content": SEPARATOR}
        self._speaks = place
        self._came.add(place)
        yield {"refusal" if refused else "content": text}

    def argued(self, place: Any, text: str) -> Iterator[_Delta]:
        """A piece of the arguments of a call."""
        if text and place in self._calls:
            self._came.add(place)
            yield self._call(place, {"function": {"arguments": text}})

    def thought(self, place: Any, part: Any, text: str) -> Iterator[_Delta]:
        """A piece of a thought."""
        if not text:
            return
        if self._part not in (None, (place, part)):
            text = SEPARATOR + text
        self._part = (place, part)
        self._came.add(place)
        yield {"reasoning_content": text}

    def finished(self, place: Any, item: Mapping[str, Any]) -> Iterator[_Delta]:
        """An item that is whole: what has not come of it yet, and its line of the outline."""
        if place in self._done:
            return
        self._done.add(place)
        match item["type"]:
            case "message":
                yield from self._message(place, item)
            case "function_call":
                yield from self.begun(place, item)
                if place not in self._came:
                    yield from self.argued(place, item["arguments"])
                yield {OUTPUT_OUTLINE: [{"type": "function_call", "call_id": item["call_id"]}]}
            case "reasoning":
                yield from self._reasoning(place, item)
            case _:
                pass

    def _message(self, place: Any, item: Mapping[str, Any]) -> Iterator[_Delta]:
        parts = item.get("content") or ()
        if place not in self._came:
            for part in parts:
                refused = part["type"] == "refusal"
                yield from self.said(place, part["refusal" if refused else "text"], refused=refused)
        if sources := [_source(one) for part in parts for one in part.get("annotations") or () if _is_source(one)]:
            yield {"annotations": sources}
        phase = {"phase": item["phase"]} if item.get("phase") else {}
        if size := sum(len(part.get("text") or part.get("refusal") or "") for part in parts):
            yield {OUTPUT_OUTLINE: [{"type": "message", "characters": size, **phase}]}

    def _reasoning(self, place: Any, item: Mapping[str, Any]) -> Iterator[_Delta]:
        summary = item.get("summary") or []
        if place not in self._came:
            for at, part in enumerate([*summary, *(item.get("content") or ())]):
                yield from self.thought(place, at, part["text"])
        if encrypted := item.get("encrypted_content"):
            # Without its id, which the vendor would look up, and what is not kept there is not found.
            yield {OUTPUT_OUTLINE: [{"type": "reasoning", "summary": summary, "encrypted_content": encrypted}]}

    def _call(self, place: Any, part: Mapping[str, Any]) -> _Delta:
        return {"tool_calls": [{"index": self._calls[place], **part}]}


def _join(message: dict[str, Any], delta: _Delta) -> None:
    """Add a part of a message to it."""
    for name, value in delta.items():
        if name == "tool_calls":
            _join_call(message.setdefault(name, []), value[0])
        else:
            message[name] = value if message.get(name) is None else message[name] + value


def _join_call(calls: list[dict[str, Any]], part: Mapping[str, Any]) -> None:
    if part["index"] == len(calls):
        calls.append({name: value for name, value in part.items() if name != "index"})
    else:
        calls[part["index"]]["function"]["arguments"] += part["function"]["arguments"]


def _is_source(annotation: Any) -> bool:
    return isinstance(annotation, Mapping) and annotation.get("type") == "url_citation"


def _source(annotation: Mapping[str, Any]) -> dict[str, Any]:
    names = ("start_index", "end_index", "url", "title")
    return {"type": "url_citation", "url_citation": {name: annotation.get(name) for name in names}}


def _end(response: Mapping[str, Any], most: int | None, *, called: bool) -> str | None:
    match response.get("status"):
        case "completed" if _may_be_cut(response, most):
            return "length"
        case "completed":
            return "tool_calls" if called else "stop"
        case "incomplete":
            reason = (response.get("incomplete_details") or {}).get("reason")
            return _CUT.get(str(reason), "length")
        case "failed" | "cancelled":
            raise ResponseFailedError(response.get("error") or {"message": f"the answer was {response['status']}"})
        case _:
            return None


def _may_be_cut(response: Mapping[str, Any], most: int | None) -> bool:
    """Whether a server that never says that an answer was cut, as llama.cpp's does not, has written all that it was
    permitted to."""
    written = (response.get("usage") or {}).get("output_tokens")
    return most is not None and "incomplete_details" not in response and isinstance(written, int) and written >= most


def _head(response: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: response[name] for name in _OF_ANSWER if response.get(name) is not None}
    created = response.get("created_at")
    return found if created is None else {**found, "created": int(created)}


def _usage(usage: Mapping[str, Any]) -> dict[str, Any]:
    """The tokens under the names of the chat format; none if the vendor has not counted."""
    if not usage:
        return {}
    prompt, answer = int(usage.get("input_tokens") or 0), int(usage.get("output_tokens") or 0)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
        "prompt_tokens_details": usage.get("input_tokens_details") or {},
        "completion_tokens_details": usage.get("output_tokens_details") or {},
    }
