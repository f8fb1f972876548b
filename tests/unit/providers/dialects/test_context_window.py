"""Whatever a conversation holds, it is made to fit without losing its task, its last turns, or the pairs in it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestration.providers.dialects.context_window import estimated_tokens, fold, room_for_prompt


def folded(body: Any, window: int) -> Any:
    return fold(body, window).body


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
    assert "characters left out to save space; ask again for the part" in found[3]["content"]
    assert found[-6:] == body["messages"][-6:]


def test_then_long_arguments_of_older_calls_which_stay_json() -> None:
    body = talk(*[10] * 8, argument="y" * 9000)
    first = folded(body, 20_000)["messages"][2]["tool_calls"][0]["function"]
    assert json.loads(first["arguments"])["path"] == "a.py"
    assert len(first["arguments"]) < 500


def test_a_growing_conversation_keeps_its_beginning_for_some_turns() -> None:
    beginnings = {json.dumps(folded(talk(*[3000] * length), 9000)["messages"][:8]) for length in range(10, 14)}
    assert len(beginnings) <= 2


TEXTS = st.one_of(
    st.text(max_size=300),
    st.builds(
        lambda text, times: text * times,
        st.sampled_from(["x", "ab c\n", "名前は", "\ud83d", "é\0"]),
        st.integers(0, 9000),
    ),
)
MESSAGES = st.lists(
    st.one_of(
        st.builds(lambda size: turn(size, size), st.integers(0, 60_000)),
        st.builds(lambda text: [{"role": "assistant", "content": text}], TEXTS),
        st.builds(lambda text: [{"role": "assistant", "content": "ok"}, {"role": "user", "content": text}], TEXTS),
        st.builds(lambda text: turn(7, 10, text), TEXTS),
        st.just([{"role": "assistant", "content": None, "tool_calls": [{"id": "z", "function": None}]}]),
    ),
    max_size=15,
)


@given(MESSAGES, TEXTS, st.integers(1500, 20_000), st.floats(1.0, 3.0))
def test_any_conversation_fits_and_every_result_has_its_call(
    turns: Any, task: str, window: int, per_token: float
) -> None:
    goal = {"role": "user", "content": f"the goal{task}"}
    body = {"messages": [TASK[0], goal, *(message for one in turns for message in one)]}
    found = fold(body, window, per_token).body
    room = room_for_prompt(body, window)
    # The beginning of the task and of the last results stay, whatever the room: less would be no task.
    assert estimated_tokens(found, per_token) <= max(room, 3000 / per_token)
    assert found["messages"][0] == TASK[0]
    assert found["messages"][1]["content"].startswith("the goal")
    assert [one["role"] for one in found["messages"][-1:]] == [one["role"] for one in body["messages"][-1:]]
    called: set[str] = set()
    for message in found["messages"]:
        called |= {call["id"] for call in message.get("tool_calls") or ()}
        assert message["role"] != "tool" or message["tool_call_id"] in called
    assert fold(body, window, per_token).body == found
    assert fold(found, window, per_token).left_out == 0 or estimated_tokens(found, per_token) > room


def test_a_summary_before_the_first_turn_is_not_shortened_before_the_results_are() -> None:
    summary = {"role": "user", "content": "what was done " * 300}
    body = talk(*[6000] * 6)
    body["messages"].insert(2, summary)
    assert folded(body, 14_000)["messages"][2] == summary


def test_a_large_last_result_keeps_its_head_and_its_end_before_turns_are_left_out() -> None:
    body = talk(100, 100, 90_000)
    body["messages"][-1]["content"] += "the verdict"
    found = fold(body, 8000)
    assert found.left_out == 0
    assert found.body["messages"][-1]["content"].startswith("2 2")
    assert found.body["messages"][-1]["content"].endswith("the verdict")


def test_the_answer_that_is_asked_for_needs_room_too() -> None:
    body = {**talk(3000), "max_tokens": 3000}
    assert room_for_prompt(body, 8192) == 5192
    assert room_for_prompt({**body, "max_tokens": 100_000}, 8192) == 4096


def test_tokens_of_chinese_are_not_taken_for_a_third_of_what_they_are() -> None:
    assert estimated_tokens({"messages": [{"role": "user", "content": "名" * 3000}]}) >= 3000
