"""Which provider an agent asks first, where several are named."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orchestration.agents.loop import route_of
from orchestration.config.schema import Configuration
from orchestration.storage.runs import Run

NOTHING = (None, None)


@pytest.mark.parametrize(
    ("own", "of_run", "named", "expected"),
    [
        (NOTHING, None, False, NOTHING),
        (("mine", "m"), None, False, ("mine", "m")),
        ((None, "m"), "theirs", False, ("theirs", "m")),
        ((None, "m"), "theirs", True, ("theirs", "m")),
        (NOTHING, "theirs", False, ("theirs", None)),
        # Of all agents, and of this one.
        (("mine", "m"), "theirs", False, ("mine", "m")),
        (("mine", "m"), "theirs", True, ("theirs", None)),
        (("mine", "m"), "mine", True, ("mine", "m")),
        # A rehearsal calls no real model, whatever an agent says.
        (("mine", "m"), "scripted", False, ("scripted", None)),
        (("mine", "m"), "removed-since", False, ("mine", "m")),
    ],
)
def test_what_is_said_of_one_agent_comes_before_what_is_said_of_all(
    own: tuple[str | None, str | None], of_run: str | None, named: bool, expected: tuple[str | None, str | None]
) -> None:
    server = {"type": "openai", "baseUrl": "http://127.0.0.1:9/v1"}
    configuration = Configuration.model_validate(
        {
            "runtime": {"defaultProvider": "mine", "mine": server, "theirs": server, "scripted": {"type": "rehearsal"}},
            "agents": [{"id": "reviewer", "provider": own[0], "defaultModel": own[1]}],
        }
    )
    run = Run("run-1", "goal", "/", datetime.now(UTC), provider=of_run, agent="reviewer" if named else None)
    assert route_of(run, configuration.agents[0], configuration) == expected


def test_the_model_of_a_run_is_that_of_the_runs_provider_and_of_no_other() -> None:
    server = {"type": "openai", "baseUrl": "http://127.0.0.1:9/v1"}
    configuration = Configuration.model_validate(
        {
            "runtime": {"defaultProvider": "mine", "mine": server, "theirs": server},
            "agents": [{"id": "planner", "defaultModel": "m"}, {"id": "reviewer", "provider": "mine"}],
        }
    )

    def routes(provider: str | None, agent: str | None = None) -> list[tuple[str | None, str | None]]:
        run = Run("run-1", "g", "/", datetime.now(UTC), provider=provider, agent=agent, options={"model": "large"})
        return [route_of(run, one, configuration) for one in configuration.agents]

    assert routes(None) == [(None, "large"), ("mine", "large")]
    assert routes("theirs") == [("theirs", "large"), ("mine", None)]
    assert routes("theirs", "reviewer")[1] == ("theirs", "large")
