"""How much of a model's context each part of a prompt may take. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestration.agents.usage_budget import AgentSetup
from orchestration.providers.dialects.context_window import BYTES_PER_TOKEN, estimated_tokens, room_for_prompt

# The rest is for the work: what the tools bring, and what the model says.
_TASK_SHARE = 0.5
_LEAST_TASK_TOKENS = 500
# About what a planner's instructions, tools and form of the answer take.
_BESIDE_TOKENS = 2_300
_USUAL_MAP_TOKENS = 1_500
_LEAST_MAP_TOKENS, _MOST_MAP_TOKENS = 300, 3_000


def task_bytes(setup: AgentSetup) -> int | None:
    """How long the task of an agent may be, with all that it is given to read; None where the context is not known."""
    if setup.context_tokens is None:
        return None
    body: Mapping[str, Any] = {**setup.parameters, "messages": [{"role": "system", "content": setup.system}]}
    left = room_for_prompt(body, setup.context_tokens) - estimated_tokens({**body, "tools": list(setup.tools)})
    return int(max(_LEAST_TASK_TOKENS, left * _TASK_SHARE) * BYTES_PER_TOKEN)


def map_tokens(window: int | None) -> int:
    """How long the map of a repository may be for a planner that reads `window` tokens: half of its task."""
    if window is None:
        return _USUAL_MAP_TOKENS
    task = (room_for_prompt({}, window) - _BESIDE_TOKENS) * _TASK_SHARE
    return max(_LEAST_MAP_TOKENS, min(int(task / 2), _MOST_MAP_TOKENS))
