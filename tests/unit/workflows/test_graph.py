from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.config.agents import AgentSettings, WorkflowEdge
from orchestration.workflows.graph import CycleError, agent_levels, levels, waves
from orchestration.workflows.model import PlanStep


def agents(*names: str) -> list[AgentSettings]:
    return [AgentSettings(id=name) for name in names]


def step(name: str, *, after: tuple[str, ...] = (), files: tuple[str, ...] = ()) -> PlanStep:
    return PlanStep(id=name, title=name, instructions="", depends_on=after, files=files)


def names(result: tuple[tuple[PlanStep, ...], ...]) -> list[list[str]]:
    return [[step.id for step in wave] for wave in result]


@st.composite
def acyclic(draw: st.DrawFn) -> dict[str, list[str]]:
    count = draw(st.integers(1, 12))
    return {
        f"n{number}": [f"n{earlier}" for earlier in range(number) if draw(st.booleans())] for number in range(count)
    }


@given(acyclic())
def test_each_name_comes_after_all_it_needs(needs: dict[str, list[str]]) -> None:
    result = levels(needs)
    place = {name: index for index, level in enumerate(result) for name in level}
    assert sorted(place) == sorted(needs)
    assert all(place[required] < place[name] for name, all_required in needs.items() for required in all_required)


@given(acyclic())
def test_each_name_comes_as_early_as_it_can(needs: dict[str, list[str]]) -> None:
    place = {name: index for index, level in enumerate(levels(needs)) for name in level}
    for name, required in needs.items():
        assert place[name] == max((place[other] + 1 for other in required), default=0)


def test_a_cycle_is_named() -> None:
    with pytest.raises(CycleError, match=r"a → c → b → a|b → a → c → b|c → b → a → c"):
        levels({"a": ["c"], "b": ["a"], "c": ["b"], "free": []})


def test_without_edges_the_three_roles_follow_each_other_and_others_run_beside() -> None:
    result = agent_levels(agents("reviewer", "scribe", "planner", "executor"), ())
    assert result == (("scribe", "planner"), ("executor",), ("reviewer",))


def test_with_edges_only_the_agents_they_name_take_part() -> None:
    edges = [WorkflowEdge.model_validate({"from": "scout", "to": "writer", "artifact": "notes.md"})]
    assert agent_levels(agents("writer", "idle", "scout"), edges) == (("scout",), ("writer",))


def test_what_an_agent_requires_puts_it_after_its_maker_without_edges_and_beside_them() -> None:
    given = [
        AgentSettings(id="writer", requires=("notes.md",), outputs=("text.md",)),
        AgentSettings(id="scout", outputs=("notes.md",)),
        AgentSettings(id="idle"),
        AgentSettings(id="printer", requires=("text.md",)),
    ]
    assert agent_levels(given, ()) == (("scout", "idle"), ("writer",), ("printer",))
    edges = [WorkflowEdge.model_validate({"from": "scout", "to": "writer"})]
    assert agent_levels(given, edges) == (("scout",), ("writer",), ("printer",))


def test_a_document_that_is_rewritten_on_the_way_is_taken_from_before() -> None:
    given = [
        AgentSettings(id="draft", outputs=("text.md",)),
        AgentSettings(id="check", requires=("text.md",)),
        AgentSettings(id="polish", requires=("text.md",), outputs=("text.md",)),
    ]
    edges = [
        WorkflowEdge.model_validate({"from": one, "to": two}) for one, two in (("draft", "check"), ("check", "polish"))
    ]
    assert agent_levels(given, edges) == (("draft",), ("check",), ("polish",))


@given(st.permutations(["planner", "executor", "reviewer", "scout", "writer"]), st.data())
def test_every_agent_takes_part_once_and_after_what_it_requires(order: list[str], data: st.DataObject) -> None:
    """Whatever each requires of those before it in some order that agrees with the roles."""
    roles = ["planner", "executor", "reviewer"]
    order = [roles.pop(0) if one in ("planner", "executor", "reviewer") else one for one in order]
    wanted = {one: [f"{other}.md" for other in order[:at] if data.draw(st.booleans())] for at, one in enumerate(order)}
    given = [AgentSettings(id=one, outputs=(f"{one}.md",), requires=tuple(wanted[one])) for one in sorted(order)]
    place = {name: at for at, level in enumerate(agent_levels(given, ())) for name in level}
    assert sorted(place) == sorted(order)
    assert all(place[name.removesuffix(".md")] < place[one] for one, names in wanted.items() for name in names)


def test_independent_steps_share_a_wave_and_dependent_ones_wait() -> None:
    plan = [step("a", files=("x",)), step("b", files=("y",)), step("c", after=("a", "b"))]
    assert names(waves(plan, 4)) == [["a", "b"], ["c"]]


def test_steps_that_name_the_same_file_are_kept_apart() -> None:
    plan = [step("a", files=("x",)), step("b", files=("x", "y")), step("c", files=("z",))]
    assert names(waves(plan, 4)) == [["a", "c"], ["b"]]


def test_no_wave_is_larger_than_allowed() -> None:
    assert names(waves([step(name) for name in "abcde"], 2)) == [["a", "b"], ["c", "d"], ["e"]]


def test_a_dependency_that_does_not_exist_does_not_block() -> None:
    assert names(waves([step("a", after=("ghost",))], 4)) == [["a"]]
