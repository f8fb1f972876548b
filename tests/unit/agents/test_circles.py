from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestration.agents.circles import CircleStage, CircleWatch, ToolUse

NONE, TOLD, ASKED, STOPPED = CircleStage


def turn(name: str, result: str = "fine", *, ok: bool = True, arguments: str = "{}") -> list[ToolUse]:
    return [ToolUse(name, arguments, result, ok)]


def stages(*turns: list[ToolUse]) -> list[CircleStage]:
    watch = CircleWatch()
    return [watch.add(one) for one in turns]


def test_the_same_call_is_told_then_asked_about_then_stopped() -> None:
    assert stages(*[turn("a")] * 4) == [NONE, TOLD, ASKED, STOPPED]


def test_how_long_a_test_took_and_the_order_of_keys_make_no_other_call() -> None:
    first = turn("test", "1 failed in 0.03s", arguments='{"a": 1, "b": 2}')
    second = turn("test", "1 failed in 1.70s", arguments='{"b": 2, "a": 1}')
    assert stages(first, second) == [NONE, TOLD]


def test_the_same_error_after_other_arguments_is_a_circle() -> None:
    failing = [turn("edit", "not found", ok=False, arguments=str(number)) for number in range(4)]
    assert stages(*failing) == [NONE, TOLD, ASKED, STOPPED]
    assert stages(*failing[:3], turn("read"), failing[3]) == [NONE, TOLD, ASKED, NONE, NONE]


def test_two_states_in_turn_are_stopped_after_four_rounds() -> None:
    found = stages(*[turn("a"), turn("b")] * 4)
    assert found[2:4] == [TOLD, TOLD]
    assert (found[5], found[-1]) == (ASKED, STOPPED)
    assert STOPPED not in found[:-1]


def test_the_same_failing_test_after_each_new_edit_is_never_stopped() -> None:
    work = [one for number in range(20) for one in (turn("edit", arguments=str(number)), turn("test", "1 failed"))]
    assert set(stages(*work)) == {NONE, TOLD}


@given(st.lists(st.sampled_from("abcdefgh"), max_size=200))
def test_a_conversation_that_brings_nothing_new_always_ends(names: list[str]) -> None:
    watch = CircleWatch()
    found = [watch.add(turn(name)) for name in [*"abcdefgh", *names]]
    if len(names) >= 12:
        assert STOPPED in found
    assert found[:8] == [NONE] * 8


@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=30))
def test_the_same_history_gives_the_same_stages(names: list[str]) -> None:
    assert stages(*map(turn, names)) == stages(*map(turn, names))
