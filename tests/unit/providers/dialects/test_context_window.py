"""Whatever a conversation holds, it is made to fit without losing its task, its last turns, or the pairs in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.providers.dialects.context_window import estimated_tokens, folded, window_after

TASK = [{"role": "system", "content": "rules"}, {"role": "user", "content": "the task"}]


def turn(number: int, size: int, argument: str = "x") -> list[dict[str, Any]]:
    arguments = json.dumps({"path": "a.py", "content": argument})
    call = {"id": f"c{number}", "type": "function", "function": {"name": "write_file", "arguments": arguments}}
    return [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": f"c{number}", "content": f"{number} " * (size // 2)},
    ]


def talk(*sizes: int, argument: str = "x") -> dict[str, Any]:
    return {"messages": [*TASK, *(one for number, size in enumerate(sizes) for one in turn(number, size, argument))]}


def test_what_fits_is_not_touched() -> None:
    body = talk(100, 100)
    assert folded(body, 4000) is body


def test_the_oldest_results_are_left_out_first_and_say_how_much() -> None:
    body = talk(*[6000] * 6)
    found = folded(body, 14_000)["messages"]
    assert "characters left out to save space; the call can be made again" in found[3]["content"]
    assert found[-6:] == body["messages"][-6:]


def test_then_long_arguments_of_older_calls_which_stay_json() -> None:
    body = talk(*[10] * 8, argument="y" * 9000)
    first = folded(body, 20_000)["messages"][2]["tool_calls"][0]["function"]
    assert json.loads(first["arguments"])["path"] == "a.py"
    assert len(first["arguments"]) < 500


def test_a_growing_conversation_keeps_its_beginning_for_some_turns() -> None:
    beginnings = {json.dumps(folded(talk(*[3000] * length), 9000)["messages"][:8]) for length in range(10, 14)}
    assert len(beginnings) <= 2


MESSAGES = st.lists(
    st.one_of(
        st.builds(lambda size: turn(size, size), st.integers(0, 5000)),
        st.builds(lambda text: [{"role": "assistant", "content": text}], st.text(max_size=300)),
        st.builds(lambda text: [{"role": "user", "content": text}], st.text(max_size=300)),
        st.just([{"role": "assistant", "content": None, "tool_calls": [{"id": "z", "function": None}]}]),
        st.just([{"role": "user", "content": [{"type": "text", "text": "x"}]}]),
    ),
    max_size=15,
)


@given(MESSAGES, st.integers(1000, 20_000))
def test_any_conversation_gets_shorter_and_every_result_has_its_call(turns: Any, window: int) -> None:
    body = {"messages": [*TASK, *(message for one in turns for message in one)]}
    found = folded(body, window)
    assert estimated_tokens(found, 3) <= estimated_tokens(body, 3)
    assert found["messages"][:2] == TASK
    assert found["messages"][-1:] == body["messages"][-1:]
    called: set[str] = set()
    for message in found["messages"]:
        called |= {call["id"] for call in message.get("tool_calls") or ()}
        assert message["role"] != "tool" or message["tool_call_id"] in called
    assert folded(found, window)["messages"] == found["messages"] or estimated_tokens(found, 3) > window * 0.6


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("This model's maximum context length is 8192 tokens. However, you requested 9000 tokens", 8192),
        ("the request exceeds the available context size (4096 tokens), try increasing it", 4096),
        ("prompt is too long: 210000 tokens > 200000 maximum", 200_000),
        ("Please reduce the length of the messages or completion.", 7000),
        ("input is too long for requested model", 7000),
        ("unknown field 'tools'", None),
    ],
)
def test_a_refusal_says_how_much_fits(message: str, expected: int | None) -> None:
    assert window_after(message, 400, 10_000, None) == expected


def test_a_limit_that_does_not_help_is_lowered_until_it_makes_no_sense() -> None:
    window: int | None = None
    seen = []
    while (window := window_after("maximum context length is 4096 tokens", 400, 9000, window)) is not None:
        seen.append(window)
    assert seen == sorted(seen, reverse=True)
    assert 2 <= len(seen) < 10
