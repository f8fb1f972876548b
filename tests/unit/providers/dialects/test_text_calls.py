from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.slips.behaviours.text_tools import TEXT_FORMS
from benchmarks.slips.wire import ToolCall
from orchestration.agents.tools.registry import ALL
from orchestration.providers.dialects.offered_tools import OfferedTools
from orchestration.providers.dialects.text_calls import find_calls

TOOLS = OfferedTools([tool.schema() for tool in ALL.values()])
LINES = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="<>"), max_size=20)
CALLS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "read_file": st.fixed_dictionaries({"path": LINES}, optional={"start_line": st.integers(1, 99)}),
    "replace_in_file": st.fixed_dictionaries({"path": LINES, "old": LINES, "new": LINES}),
    "run_command": st.fixed_dictionaries({"command": st.lists(st.sampled_from(["ls", "-l", "a b"]), min_size=1)}),
    "list_files": st.just({}),
}
ONE_CALL = st.sampled_from(sorted(CALLS)).flatmap(lambda name: st.tuples(st.just(name), CALLS[name]))
# Without quotes, whether a parameter is a text or a number is known from the schema alone.
MARKED = {name: write for name, (_, write) in TEXT_FORMS.items()}


@given(st.sampled_from(sorted(MARKED)), st.lists(ONE_CALL, min_size=1, max_size=2))
def test_every_form_is_read_as_the_call_that_was_written(form: str, calls: list[tuple[str, dict[str, Any]]]) -> None:
    found = find_calls(MARKED[form]([ToolCall(name, json.dumps(given)) for name, given in calls]), TOOLS)
    assert [(call.name, call.arguments) for call in found.calls] == calls
    assert found.alone == (form != "words, then JSON")


@pytest.mark.parametrize(
    "text",
    [
        '<invoke name="read_file"><parameter name="path">a.py</parameter></invoke>',
        "<tool_call>read_file\n<arg_key>path</arg_key>\n<arg_value>a.py</arg_value>\n</tool_call>",
        '```python\nread_file(path="a.py")\n```',
        'print(read_file(path="a.py"))',
        '<|tool_call_begin|>functions.read_file:0<|tool_call_argument_begin|>{"path": "a.py"}<|tool_call_end|>',
        '{"tool_calls": [{"function": {"name": "read_file", "arguments": "{\\"path\\": \\"a.py\\"}"}}]}',
        '{"action": "Read-File", "action_input": {"file_path": "a.py", "explanation": "I look."}}',
    ],
)
def test_other_templates(text: str) -> None:
    assert [(call.name, call.arguments) for call in find_calls(text, TOOLS).calls] == [("read_file", {"path": "a.py"})]


@pytest.mark.parametrize(
    "text",
    [
        "I would call read_file(path='a.py') next.",
        '{"name": "fly", "arguments": {}}',
        '{"summary": "s", "done": true}',
        'read_file("a.py", mode=open)',
        '{"name": "read_file", "author": "me"}',
        '<think>{"name": "read_file", "arguments": {"path": "a"}}</think>',
        '{"name": "read_file", "arguments": {"path": "a.p',
    ],
)
def test_what_is_no_call_for_certain_is_none(text: str) -> None:
    assert find_calls(text, TOOLS).calls == ()


@given(st.text(alphabet='{}[]"<>/=()_,: \naefilnortuc', max_size=150))
def test_no_text_raises(text: str) -> None:
    for call in find_calls(text, TOOLS).calls:
        assert call.name in ALL


@pytest.mark.parametrize("text", ["<function=read_file>" * 20_000, "<tool_call>{" * 20_000, "(" * 50_000, "-" * 50_000])
def test_damaged_text_ends(text: str) -> None:
    find_calls(text, TOOLS)


@pytest.mark.parametrize(
    ("name", "given", "meant"),
    [
        ("read_file", '"{\\"path\\": \\"a\\"}"', {"path": "a"}),
        ("read_file", '{"path": "a", "start_line": "3", "end_line": null}', {"path": "a", "start_line": 3}),
        ("replace_in_file", {"file_path": "a", "old_str": "1", "new_str": "2"}, {"path": "a", "old": "1", "new": "2"}),
        ("read_file", {"arguments": {"path": "a"}}, {"path": "a"}),
        ("run_command", {"cmd": '["ls", "-l"]'}, {"command": ["ls", "-l"]}),
        ("list_files", None, {}),
        ("list_files", "", {}),
        # Another key may mean something, and the tool has to refuse it.
        ("write_file", {"path": "a", "content": "b", "append": True}, {"path": "a", "content": "b", "append": True}),
        # A text that looks like JSON stays a text where the tool wants one.
        ("write_file", {"path": "a", "content": "[1]"}, {"path": "a", "content": "[1]"}),
        ("read_file", '{"path": "a', None),
        ("read_file", [1], None),
    ],
)
def test_arguments_are_understood_where_one_meaning_is_possible(name: str, given: Any, meant: Any) -> None:
    assert TOOLS.arguments_of(name, given) == meant


def test_the_example_of_every_tool_is_correct() -> None:
    for name, tool in ALL.items():
        tool.arguments.model_validate_json(TOOLS.example_of(name))
