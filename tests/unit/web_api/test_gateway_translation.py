"""Every row of the tables of what is translated is what the code does."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from orchestration.providers import anthropic_request, responses_request
from orchestration.providers.translation import Translation, Treatment, UntranslatableError
from orchestration.web.gateway.dialect import ModelRequest
from orchestration.web.gateway.errors import BadRequestError
from orchestration.web.gateway.messages import fields as messages
from orchestration.web.gateway.messages.request import parse_messages
from orchestration.web.gateway.ollama import fields as ollama
from orchestration.web.gateway.ollama.request import parse_chat, parse_generate
from orchestration.web.gateway.responses import fields as responses
from orchestration.web.gateway.responses.request import OPTIONAL, ResponsesRequest, parse_responses_request

MESSAGE: dict[str, Any] = {"model": "m", "max_tokens": 9000, "messages": [{"role": "user", "content": "x"}]}
RESPONSE: dict[str, Any] = {"input": "x"}
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "x"}]}
TEXT = {"type": "text", "text": "x"}
TOOL = {"name": "f", "input_schema": {"type": "object"}}
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
SCHEMA = {"type": "json_schema", "name": "n", "schema": {"type": "object"}}
# A value for each field that shows in what it is translated to.
OF_MESSAGES: dict[str, Any] = {
    "model": "a/m", "messages": MESSAGE["messages"], "system": "x", "max_tokens": 7, "stream": True, "temperature": 0.3,
    "top_p": 0.3, "stop_sequences": ["x"], "tools": [TOOL], "tool_choice": {"type": "any"},
    "thinking": {"type": "enabled", "budget_tokens": 2000}, "output_config": {"effort": "low"},
}  # fmt: skip
BLOCKS: dict[str, Any] = {
    "image": {"type": "image", "source": {"type": "url", "url": "x"}},
    "document": {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "x"}},
    "search_result": {"type": "search_result", "title": "t", "source": "s", "content": [TEXT]},
    "tool_result": {"type": "tool_result", "tool_use_id": "c", "content": "x"},
    "tool_use": {"type": "tool_use", "id": "c", "name": "f", "input": {}},
    "thinking": {"type": "thinking", "thinking": "secret", "signature": "x"},
    "redacted_thinking": {"type": "redacted_thinking", "data": "secret"},
    "citations": {"type": "document", "citations": {"enabled": True}, "source": {"type": "text", "data": "x"}},
}
OF_RESPONSES: dict[str, Any] = {
    "model": "a/m", "input": "y", "instructions": "x", "previous_response_id": "resp-1", "store": False, "stream": True,
    "temperature": 0.3, "top_p": 0.3, "max_output_tokens": 7, "metadata": {"a": "b"}, "prompt_cache_key": "k",
    "tools": [{"type": "function", "name": "f"}], "tool_choice": "required", "parallel_tool_calls": False,
    "text": {"format": SCHEMA, "verbosity": "low"}, "reasoning": {"effort": "low"},
    "include": ["reasoning.encrypted_content"],
}  # fmt: skip
ITEMS: dict[str, Any] = {
    "message": {"role": "user", "content": "y"},
    "function_call": {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    "function_call_output": {"type": "function_call_output", "call_id": "c", "output": "y"},
    "*": {"type": "web_search_call"},
}
OF_CHAT: dict[str, Any] = {
    "messages": [{"role": "user", "content": "y"}], "max_tokens": 7, "max_completion_tokens": 7, "temperature": 0.3,
    "top_p": 0.3, "stop": "y", "tools": [FUNCTION], "tool_choice": "required", "parallel_tool_calls": False,
    "response_format": {"type": "json_schema", "json_schema": SCHEMA}, "reasoning_effort": "low",
    "logit_bias": {"1": 1}, "functions": [{"name": "f"}], "verbosity": "low", "metadata": {"a": "b"},
}  # fmt: skip
TOOLS_WITH = ("tool_choice", "parallel_tool_calls")


OF_OLLAMA: dict[str, Any] = {
    "model": "a/m", "messages": [{"role": "user", "content": "y"}], "tools": [FUNCTION], "format": "json",
    "stream": False, "think": True, "options": {"num_predict": 3}, "prompt": "y", "system": "y", "images": ["y"],
}  # fmt: skip
OF_OPTIONS: dict[str, Any] = {"stop": ["y"], "*": 3}


def names(rows: Sequence[Translation]) -> list[Any]:
    return [pytest.param(row, id=row.name) for row in rows]


def message(**more: Any) -> ModelRequest:
    return parse_messages(json.dumps({**MESSAGE, **more}).encode(), {})


def response(**more: Any) -> ResponsesRequest:
    return parse_responses_request(json.dumps({**RESPONSE, **more}).encode())


def shown(request: Any) -> str:
    """What can be told of a request, apart from what it was made of."""
    if isinstance(request, ModelRequest):
        return repr((request.body, request.model, request.stream, request.dialect))
    return repr({name: getattr(request, name) for name in request.__slots__ if name != "shown"}) + repr(
        request.shown["metadata"]
    )


@pytest.mark.parametrize("row", names(messages.REQUEST))
def test_each_field_of_the_messages_api(row: Translation) -> None:
    more = {"tools": [TOOL]} if row.name in TOOLS_WITH else {}
    given = {row.name: OF_MESSAGES.get(row.name, {"x": 1})}
    if row.treatment is Treatment.REFUSED:
        with pytest.raises(BadRequestError, match=row.name):
            message(**more, **given)
        return
    found = message(**more, **given)
    changed = shown(found) != shown(message(**more)) or row.name in MESSAGE
    assert changed is (row.treatment is not Treatment.IGNORED)
    assert found.native is not None
    assert found.native.lost == ()


@pytest.mark.parametrize("row", names(messages.BLOCKS))
def test_each_block_of_the_messages_api(row: Translation) -> None:
    role = "assistant" if row.name in ("tool_use", "thinking", "redacted_thinking") else "user"
    turns = [{"role": "user", "content": "x"}, {"role": role, "content": [TEXT, BLOCKS.get(row.name, TEXT)]}]
    if row.treatment is Treatment.REFUSED:
        with pytest.raises(BadRequestError, match=row.name):
            message(messages=turns)
        return
    found = message(messages=turns)
    assert found.native is not None
    assert found.native.lost == ()
    without = message(messages=[turns[0], {"role": role, "content": [TEXT]}])
    changed = found.body != without.body or row.name == "text"
    assert changed is (row.treatment is Treatment.TRANSLATED)


@pytest.mark.parametrize("row", names(messages.TOOLS))
def test_each_tool_of_the_messages_api(row: Translation) -> None:
    tool = {**TOOL, "type": row.name.replace("*", "20250101")}
    if row.treatment is Treatment.REFUSED:
        with pytest.raises(BadRequestError, match="20250101"):
            message(tools=[tool])
        return
    native = message(tools=[tool]).native
    assert native is not None
    assert bool(native.lost) is (row.treatment is Treatment.ONLY_NATIVE)


@pytest.mark.parametrize("row", names(responses.REQUEST))
def test_each_field_of_the_responses_api(row: Translation) -> None:
    more = {"tools": OF_RESPONSES["tools"]} if row.name in TOOLS_WITH else {}
    given = {row.name: OF_RESPONSES.get(row.name, "x")}
    if row.treatment is Treatment.REFUSED:
        with pytest.raises(BadRequestError, match=row.name):
            response(**more, **given)
        return
    found = response(**more, **given)
    changed = shown(found) != shown(response(**more))
    assert changed is (row.treatment is not Treatment.IGNORED)
    if row.treatment is Treatment.OPTIONAL:
        assert found.body.keys() & OPTIONAL


@pytest.mark.parametrize("row", names(responses.ITEMS))
def test_each_item_of_the_responses_api(row: Translation) -> None:
    items = [{"role": "user", "content": "x"}, ITEMS.get(row.name, {"type": row.name, "summary": [], "id": "i"})]
    if row.treatment is Treatment.REFUSED:
        with pytest.raises(BadRequestError, match=items[1]["type"]):
            response(input=items)
    else:
        assert len(response(input=items).messages) == 1 + (row.name != "reasoning")


@pytest.mark.parametrize("row", names((*ollama.REQUEST, *ollama.GENERATE)))
def test_each_field_of_ollamas_api(row: Translation) -> None:
    generates = row in ollama.GENERATE
    parse = parse_generate if generates else parse_chat
    plain = {"model": "m", **({"prompt": "x"} if generates else CHAT)}
    given = json.dumps({**plain, row.name: OF_OLLAMA.get(row.name, 1)}).encode()
    if row.treatment is Treatment.REFUSED:
        with pytest.raises(BadRequestError, match=row.name):
            parse(given, {})
        return
    changed = shown(parse(given, {})) != shown(parse(json.dumps(plain).encode(), {}))
    assert changed is (row.treatment is not Treatment.IGNORED)


@pytest.mark.parametrize("row", names(ollama.OPTIONS))
def test_each_option_of_ollamas_api(row: Translation) -> None:
    plain = {"model": "m", **CHAT}
    name = row.name.replace("*", "num_ctx")
    given = json.dumps({**plain, "options": {name: OF_OPTIONS.get(row.name, 3)}}).encode()
    changed = parse_chat(given, {}).body != parse_chat(json.dumps(plain).encode(), {}).body
    assert changed is (row.treatment is not Treatment.IGNORED)


APIS: dict[str, tuple[tuple[Translation, ...], Callable[[Mapping[str, Any]], Any]]] = {
    "anthropic": (
        anthropic_request.CHAT_FIELDS,
        lambda body: anthropic_request.messages_request(body, 8192, adaptive=True),
    ),
    "responses": (
        responses_request.CHAT_FIELDS,
        lambda body: responses_request.responses_request(body, encrypted=True),
    ),
}


@pytest.mark.parametrize(
    ("api", "row"), [pytest.param(api, row, id=f"{api}-{row.name}") for api in APIS for row in APIS[api][0]]
)
def test_each_field_of_the_chat_format(api: str, row: Translation) -> None:
    translate = APIS[api][1]
    more = {"tools": [FUNCTION]} if row.name in TOOLS_WITH else {}
    given = {**CHAT, **more, row.name: OF_CHAT.get(row.name, 1)}
    if row.treatment is Treatment.REFUSED:
        with pytest.raises(UntranslatableError, match=row.name):
            translate(given)
        return
    assert (translate(given) != translate({**CHAT, **more})) is (row.treatment is not Treatment.IGNORED)
