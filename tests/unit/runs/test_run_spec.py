"""A run to be started: what the launcher gets, and the command that starts the same run."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.cli.run import run as console_run
from orchestration.domain.goal import checked_goal
from orchestration.domain.run_spec import PRIORITIES, RunSpec
from orchestration.errors import UsageError
from orchestration.runs.check_command import check_words

words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)
names = st.from_regex(r"[a-z][a-z0-9-]{0,9}", fullmatch=True)
requests = st.builds(
    RunSpec,
    goal=words.filter(lambda goal: not goal.startswith("-")),
    workspace=st.just(Path("/srv/some where")),
    agent=st.none() | names,
    provider=st.none() | names,
    priority=st.sampled_from(PRIORITIES),
    checks=st.lists(st.lists(words, min_size=1, max_size=3), max_size=2),
    approve=st.lists(names, max_size=2),
    seconds=st.none() | st.integers(1, 10_000).map(float),
    tokens=st.none() | st.integers(1, 10**9),
    usd=st.none() | st.sampled_from([0.05, 1.0, 250.5]),
    in_place=st.none() | st.booleans(),
)


@given(requests)
def test_the_command_means_the_same_run_to_the_console(request: RunSpec) -> None:
    context = click.Context(console_run)
    console_run.parse_args(context, shlex.split(request.command())[2:])
    given_ = context.params
    assert " ".join(given_["goal"]) == request.goal
    assert (given_["workspace"], given_["agent"], given_["provider"]) == (
        request.workspace, request.agent, request.provider,
    )  # fmt: skip
    assert (given_["priority"], given_["approve"]) == (request.priority, tuple(request.approve))
    assert [check_words(check, Path("/")) for check in given_["checks"]] == [list(one) for one in request.checks]
    limits = (given_["seconds"], given_["tokens"], given_["usd"], given_["in_place"])
    assert limits == (request.seconds, request.tokens, request.usd, request.in_place)


def test_a_limit_that_is_not_given_is_no_option_of_the_run() -> None:
    assert RunSpec("g", Path("/w")).arguments()["options"] == {"checks": [], "approve": []}
    assert RunSpec("g", Path("/w"), usd=2.5).arguments()["options"]["usd"] == 2.5


@pytest.mark.parametrize("goal", ["", " \n ", "\x00\x01", "x" * 100_001])
def test_a_goal_is_text_of_a_bounded_length(goal: str) -> None:
    with pytest.raises(UsageError, match="expected a goal"):
        checked_goal(goal)


@pytest.mark.parametrize("check", ["", "'open", "auto"])
def test_a_check_is_a_command(check: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected a command|--check"):
        check_words(check, tmp_path)
