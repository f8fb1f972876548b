from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.domain.run_status import RunStatus
from orchestration.monitoring.health.wait_graph import WaitEdge, WaitGraph, wait_graph
from orchestration.storage.approvals import Approval
from orchestration.storage.runs import Run
from orchestration.storage.timeline import HeartbeatRow

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
NAMES = st.sampled_from("abcdef")


def a_run(name: str, status: RunStatus = RunStatus.RUNNING, **values: Any) -> Run:
    return Run(name, "mend it", "/work", NOON, status, **values)


def graph(*pairs: str) -> WaitGraph:
    return WaitGraph(tuple(WaitEdge(pair[0], pair[1]) for pair in pairs))


def test_a_circle_of_waits_is_named_from_its_first_name_on() -> None:
    assert graph("ca", "ab", "bc", "da").cycles() == (("a", "b", "c"),)
    assert graph("ab", "ba", "xy", "yx").cycles() in {(("a", "b"), ("x", "y")), (("x", "y"), ("a", "b"))}
    assert graph("aa").cycles() == (("a",),)
    assert graph("ab", "bc", "ac").cycles() == ()


@given(st.lists(st.tuples(NAMES, NAMES).map("".join), max_size=15))
def test_every_named_cycle_is_one_and_none_is_missed(pairs: list[str]) -> None:
    found = graph(*pairs).cycles()
    for cycle in found:
        assert all("".join(pair) in pairs for pair in pairwise((*cycle, cycle[0])))
    reachable = set(pairs)
    for middle in "abcdef":
        reachable |= {a[0] + b[1] for a in reachable for b in reachable if a[1] == middle == b[0]}
    assert bool(found) == any(pair[0] == pair[1] for pair in reachable)


def test_an_agent_that_no_worker_has_taken_waits_for_a_worker() -> None:
    beat = HeartbeatRow("r.trainer", "r", "trainer", "waits for a worker", 0, NOON, phase="unplaced", about="gpu")
    assert [wait.what for wait in wait_graph([a_run("r")], [beat]).causes("run:r")] == ["agent:r.trainer", "worker"]


def test_causes_lead_from_a_run_to_what_holds_everything_up() -> None:
    waits = wait_graph(
        [a_run("r", RunStatus.WAITING, reason="no provider can answer now")],
        [HeartbeatRow("r.executor.s1", "r", "executor", "waits for the model", 0, NOON)],
        providers_down={"ollama": "unreachable"},
        limits={"ollama": 4},
        default_provider="ollama",
    )
    assert [(wait.what, wait.why) for wait in waits.causes("run:r")] == [
        ("agent:r.executor.s1", "waits for the model"),
        ("provider:ollama", "no provider can answer now"),
        ("repair:ollama", "unreachable"),
    ]


@pytest.mark.parametrize(
    ("run", "workers", "what", "why"),
    [
        (a_run("r", RunStatus.QUEUED), 0, "worker", "no worker is alive"),
        (a_run("r", RunStatus.QUEUED), 2, "worker", "a free worker"),
        (a_run("r", RunStatus.STOPPED, reason="paused"), 1, "person", "paused"),
        (a_run("r", RunStatus.WAITING, provider="azure", reason="x"), 1, "provider:azure", "x"),
    ],
)
def test_what_each_kind_of_run_waits_for(run: Run, workers: int, what: str, why: str) -> None:
    assert wait_graph([run], workers=workers, default_provider="ollama").waits == (WaitEdge("run:r", what, why),)


def test_a_run_that_was_asked_about_waits_for_the_answer_and_for_nothing_else() -> None:
    question = Approval("r.executor", "r", "may it start?", NOON)
    waits = wait_graph([a_run("r", RunStatus.WAITING)], approvals=[question], default_provider="ollama").waits
    assert waits == (WaitEdge("run:r", "approval:r.executor", "may it start?"),)


def test_a_paused_provider_is_told_only_where_somebody_needs_it() -> None:
    needing = wait_graph([a_run("r", RunStatus.WAITING)], limits={"ollama": 0, "azure": 0}, default_provider="ollama")
    assert [wait.what for wait in needing.waits if wait.who.startswith("provider:")] == ["limit:ollama"]


def test_runs_that_have_ended_wait_for_nothing() -> None:
    assert wait_graph([a_run("r", RunStatus.SUCCEEDED), a_run("s")]).waits == ()


def test_a_deadlock_that_the_caller_knows_of_is_found_among_the_others() -> None:
    extra = [WaitEdge("approval:r.x", "run:s", "asked from within"), WaitEdge("run:s", "run:r", "started by it")]
    question = Approval("r.x", "r", "may it?", NOON)
    waits = wait_graph([a_run("r", RunStatus.WAITING)], approvals=[question], extra=extra)
    assert waits.cycles() == (("approval:r.x", "run:s", "run:r"),)
