"""Proof from the timeline alone that no committed step ran twice. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from orchestration.events import Event
from orchestration.events.agents import AgentFinished, ToolCallFinished
from orchestration.events.providers import ModelCallFinished

# The events that stand for one executed step; their `key` is the agent's run, a slash, and the step's number in it.
# `after` is the number of the last step that had to be committed before this one could begin, where it is not the one
# before: steps that run side by side do not wait for each other.
STEP_EVENTS = (ModelCallFinished, ToolCallFinished)


@dataclass(frozen=True, slots=True)
class StepCount:
    """How many steps were executed, how many of these again, and how many again although they were committed.

    A step in progress when its process dies runs again, which is expected once for each interruption and agent. A
    committed step must never run again.
    """

    executed: int
    redone: int
    committed_repeated: int


def count_steps(events: Iterable[Event]) -> StepCount:
    """Count a run's steps. A step is known to be committed once a step that waits for it was executed.

    An agent that gave up has delivered nothing, so it rightly starts over when it is restarted.
    """
    seen: set[tuple[str, int]] = set()
    committed: dict[str, int] = {}
    executed = redone = repeated = 0
    for event in events:
        payload = event.payload
        if isinstance(payload, AgentFinished) and payload.failing is not None:
            given_up = payload.agent_run_id
            seen = {step for step in seen if step[0] != given_up}
            committed.pop(given_up, None)
        if not isinstance(payload, STEP_EVENTS) or payload.key is None or "/" not in payload.key:
            continue
        flow, _, text = payload.key.rpartition("/")
        number = int(text)
        executed += 1
        if (flow, number) in seen:
            redone += 1
            repeated += number <= committed[flow]
        seen.add((flow, number))
        after = payload.after if isinstance(payload, ToolCallFinished) and payload.after is not None else number - 1
        committed[flow] = max(committed.get(flow, after), after)
    return StepCount(executed, redone, repeated)
