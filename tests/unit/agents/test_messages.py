from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.agents.model_calls import clean_message
from orchestration.agents.text import sound

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet=st.characters()) | st.just("\ud83d"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(JSON)
def test_every_text_can_be_encoded_and_all_else_stays(value: Any) -> None:
    json.dumps(sound(value), ensure_ascii=False).encode()
    if "\\ud83d" not in json.dumps(value):
        assert sound(value) == value


@given(JSON, JSON)
def test_whatever_a_provider_sends_becomes_a_message_of_one_form(content: Any, tool_calls: Any) -> None:
    message = clean_message({"content": content, "tool_calls": tool_calls, "extra": 1})
    assert message["role"] == "assistant"
    assert isinstance(message["content"], str | None)
    for call in message.get("tool_calls", []):
        assert set(call) == {"id", "type", "function"}
        assert isinstance(call["id"], str)
        assert isinstance(call["function"]["name"], str)
        assert isinstance(call["function"]["arguments"], str)
    json.dumps(message, ensure_ascii=False).encode()


def test_a_usual_message_stays_as_it_is() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "read_file", "arguments": '{"path": "a"}'}}
    message = {"role": "assistant", "content": "I look.", "tool_calls": [call]}
    assert clean_message(message) == message


@pytest.mark.parametrize("arguments", [{"path": "a"}, '{"path": "a"}'])
def test_arguments_become_text(arguments: Any) -> None:
    message = clean_message({"tool_calls": [{"function": {"name": "x", "arguments": arguments}}]})
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {"path": "a"}
    assert message["tool_calls"][0]["id"] == "call_0"
