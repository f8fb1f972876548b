"""Steps that version 0.1 stored: they are in databases, so each must be read for as long as runs can wait there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestration.agents.loop import AgentSetup
from orchestration.agents.model_calls import ModelReply
from orchestration.agents.own_code import OwnCodeAnswer
from orchestration.agents.tool_calls import ToolAnswer
from orchestration.workflows.approvals import ApprovalDecision
from orchestration.workflows.engine.values import from_json, to_json
from orchestration.workflows.execution import AGENT, EXECUTION
from orchestration.workflows.model import CommandRecord, RunOutcome
from orchestration.workflows.run_progress import RunSetup

COMMAND = '{"command": ["pytest", "-q"], "exit_code": 1, "output": "1 failed"}'
USAGE = '{"seconds": 1.5, "model_calls": 1, "tokens": 42, "usd": 0.0021, "rehearsal": false}'
STEP = '{"id": "s1", "title": "Mend it", "instructions": "i", "files": ["a.py"], "depends_on": [], "done_when": "pass"}'
TASK = (
    '{"run_id": "run-1", "agent": "executor", "role": "executor", "goal": "mend it", "step": null,'
    ' "context": {"plan.md": "# Plan"}, "seconds": 90.0, "model_calls": null, "attempt": 1}'
)
RESULT = f'{{"output": {{"text": "done"}}, "failing": null, "use": {USAGE}, "commands": [{COMMAND}]}}'
GIVEN_UP = (
    f'{{"output": null, "failing": {{"kind": "time_limit", "message": "too slow"}}, "use": {USAGE}, "commands": []}}'
)
STORED: dict[str, tuple[Any, str]] = {
    "begin": (
        RunSetup,
        (
            '{"levels": [[{"id": "planner", "role": "planner", "output": "plan.md"}]], "baseline": "4b825dc",'
            ' "seconds": null, "model_calls": 60, "review_rounds": 2, "parallel_steps": 3, "checks": [["tox"]],'
            ' "approve": ["executor"]}'
        ),
    ),
    "check": (CommandRecord, COMMAND),
    "approval": (ApprovalDecision, '{"decision": "denied", "by": "ada", "reason": ""}'),
    "end": (RunOutcome, f'{{"status": "failed", "reason": "too slow", "use": {USAGE}, "verdict": null}}'),
    "prepare": (
        AgentSetup,
        (
            '{"system": "You are", "tools": [{"type": "function", "function": {"name": "read_file"}}],'
            ' "limits": {"seconds": 60.0}, "attempts": 2, "provider": null, "model": "m", "entry_point": null}'
        ),
    ),
    "model": (
        ModelReply,
        '{"message": {"role": "assistant", "content": null, "tool_calls": [{"id": "c1", "type": "function",'
        ' "function": {"name": "read_file", "arguments": "{}"}}]}, "use": ' + USAGE + ', "route": "openai/gpt"}',
    ),
    "tool": (ToolAnswer, '{"text": "a", "ok": true, "seconds": 0.1, "command": null}'),
    "tool that ran a command": (
        ToolAnswer,
        f'{{"text": "1 failed", "ok": false, "seconds": 2.0, "command": {COMMAND}}}',
    ),
    "entry_point": (OwnCodeAnswer, '{"output": {"text": ["any", "JSON"]}, "seconds": 0.2}'),
    "an agent's task": (AGENT.payload, TASK),
    "an agent's result": (AGENT.result, RESULT),
    "an agent's failure": (AGENT.result, GIVEN_UP),
    "an execution's task": (EXECUTION.payload, f'{{"task": {TASK}, "steps": [{STEP}], "parallel": 3}}'),
}


@pytest.mark.parametrize("name", STORED)
def test_what_an_earlier_version_stored_is_read_and_would_be_stored_the_same(name: str) -> None:
    model, stored = STORED[name]
    value = from_json(model, json.loads(stored), name)
    assert to_json(model, value) == json.loads(stored)
