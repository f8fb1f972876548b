from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.providers.dialects.call_assembly import ToolCallAssembly

NAMES = st.sampled_from(["read_file", "list_files", "run_command"])
ARGUMENTS = st.dictionaries(st.sampled_from("ab"), st.integers() | st.text(max_size=5), max_size=2).map(json.dumps)
CALLS = st.lists(st.tuples(NAMES, ARGUMENTS), min_size=1, max_size=3)


def assembled(parts: list[dict[str, Any]]) -> list[tuple[str, str]]:
    assembly = ToolCallAssembly()
    for part in parts:
        assembly.add(part)
    return [(one["function"]["name"], one["function"]["arguments"]) for one in assembly.messages()]


def halves(text: str) -> list[str]:
    return [text[: len(text) // 2], text[len(text) // 2 :]]


@given(CALLS, st.sampled_from(["openai", "all in each", "one index", "no index", "object", "no index or id"]))
def test_calls_come_out_as_they_went_in(calls: list[tuple[str, str]], form: str) -> None:
    parts: list[dict[str, Any]] = []
    for number, (name, arguments) in enumerate(calls):
        index = {"index": 0 if form == "one index" else number} if not form.startswith("no index") else {}
        head = {**index, "id": f"c{number}"} if form != "no index or id" else {}
        if form == "openai":
            parts.append({**head, "function": {"name": name, "arguments": ""}})
            parts += [{**index, "function": {"arguments": piece}} for piece in halves(arguments)]
        elif form == "all in each":
            parts += [{**head, "function": {"name": name, "arguments": piece}} for piece in halves(arguments)]
        elif form == "object":
            parts.append({**head, "function": {"name": name, "arguments": json.loads(arguments)}})
        else:
            parts.append({**head, "function": {"name": name, "arguments": arguments}})
    # Without any mark, a call that repeats the one before it cannot be told from a part that is sent twice.
    if form == "no index or id":
        calls = [one for place, one in enumerate(calls) if place == 0 or one != calls[place - 1]]
    assert assembled(parts) == calls


@pytest.mark.parametrize(
    ("parts", "calls"),
    [
        (
            [{"index": 0, "function": {"name": "read_"}}, {"index": 0, "function": {"name": "file"}}],
            [("read_file", "")],
        ),
        (
            [{"index": 0, "function": {"name": "read"}}, {"index": 0, "function": {"name": "read_file"}}],
            [("read_file", "")],
        ),
        (
            [{"function": {"name": "f", "arguments": '{"a"'}}, {"function": {"arguments": ": 1}"}}],
            [("f", '{"a": 1}')],
        ),
        ([{"index": 0, "id": "x", "function": None}], [("", "")]),
    ],
)
def test_odd_parts(parts: list[dict[str, Any]], calls: list[tuple[str, str]]) -> None:
    assert assembled(parts) == calls


def test_the_call_of_an_older_api_is_a_call() -> None:
    assembly = ToolCallAssembly()
    for part in ({"name": "f", "arguments": ""}, {"arguments": '{"a"'}, {"arguments": ": 1}"}):
        assembly.add_function_call(part)
    assert [one["function"] for one in assembly.messages()] == [{"name": "f", "arguments": '{"a": 1}'}]
