from __future__ import annotations

import json
from typing import Any

import pytest

from orchestration.agents.conversation import AgentConversation
from orchestration.agents.model_calls import ModelReply
from orchestration.agents.tool_calls import ToolAnswer
from orchestration.agents.usage_budget import AgentGaveUpError, AgentSetup
from orchestration.config.agents import AgentRole
from orchestration.workflows.model import AgentTask, AgentUsage, ReviewReport, StepReport, TextAnswer

TASK = AgentTask(run_id="r", agent="a", role=AgentRole.EXECUTOR, goal="g")
SETUP = AgentSetup(system="s", tools=({},), limits={}, attempts=1, provider=None, model=None, entry_point=None)
APPROVED = json.dumps({"verdict": "approved", "summary": "s"})
REPORT = json.dumps({"summary": "s", "done": True})
READ = {"id": "c", "type": "function", "function": {"name": "read_file", "arguments": "{}"}}


def reply(text: str | None, *, cut: bool = False, calls: list[Any] | None = None) -> ModelReply:
    message = {"role": "assistant", "content": text, **({"tool_calls": calls} if calls else {})}
    return ModelReply(message=message, use=AgentUsage(), route="p/m", cut=cut)


def last(conversation: AgentConversation) -> str:
    return str(conversation.messages(SETUP)[-1]["content"])


def test_a_text_that_was_cut_is_put_together_from_its_parts() -> None:
    conversation = AgentConversation(TASK, TextAnswer)
    assert conversation.conclude(reply("The first half, ", cut=True), SETUP) is None
    assert "exactly where it ends" in last(conversation)
    assert conversation.conclude(reply("the second."), SETUP) == TextAnswer(text="The first half, the second.")


def test_a_text_without_end_is_given_up() -> None:
    conversation = AgentConversation(TASK, TextAnswer)
    for _ in range(7):
        conversation.conclude(reply("more and ", cut=True), SETUP)
    with pytest.raises(AgentGaveUpError, match="did not end"):
        conversation.conclude(reply("more and ", cut=True), SETUP)


@pytest.mark.parametrize(("text", "cut"), [(APPROVED, True), (APPROVED[:20], True), (APPROVED[:20], False), ("", True)])
def test_a_review_that_was_cut_off_is_asked_for_again(text: str, cut: bool) -> None:
    conversation = AgentConversation(TASK, ReviewReport)
    assert conversation.conclude(reply(text, cut=cut), SETUP) is None
    assert ("cut off" in last(conversation)) == cut
    assert conversation.conclude(reply(APPROVED), SETUP) == ReviewReport(verdict="approved", summary="s")


def test_a_call_that_was_cut_off_is_named_as_such() -> None:
    conversation = AgentConversation(TASK, StepReport)
    conversation.add_reply(reply(None, cut=True, calls=[READ]))
    conversation.add_results([READ], [ToolAnswer(text="no JSON", ok=False, seconds=0, command=None)], str.isalpha)
    assert "cut off at the limit of length" in last(conversation)


def test_talk_is_pushed_three_times_and_the_failure_quotes_it() -> None:
    conversation = AgentConversation(TASK, StepReport)
    for _ in range(3):
        assert conversation.conclude(reply("Sure! I'll start."), SETUP) is None
        assert "call the next tool" in last(conversation)
        assert not conversation.enforces_form
    with pytest.raises(AgentGaveUpError) as caught:
        conversation.conclude(reply("Sure! I'll start."), SETUP)
    assert caught.value.failing.kind == "malformed_answer"
    assert str(caught.value).endswith('(after 3 corrections; the last answer was "Sure! I\'ll start.")')


def test_work_that_gets_on_is_given_its_corrections_anew() -> None:
    conversation = AgentConversation(TASK, StepReport)
    for number in range(3):
        conversation.conclude(reply("Next I read."), SETUP)
        call = {**READ, "function": {"name": "read_file", "arguments": json.dumps({"path": str(number)})}}
        conversation.add_results([call], [ToolAnswer(text=str(number), ok=True, seconds=0, command=None)], str.isalpha)
    assert conversation.corrections == 0
    assert conversation.conclude(reply(REPORT), SETUP) == StepReport(summary="s", done=True)


def test_a_report_is_sent_back_once() -> None:
    conversation = AgentConversation(TASK, StepReport)
    assert conversation.object("you have used no tool")
    assert "you have used no tool" in last(conversation)
    assert not conversation.object("you have used no tool")
