"""What a seed draws."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from orchestration.drills.blind.injection import INJECTIONS
from orchestration.drills.blind.plan import BLOCK, MOST_FAULTS, draw_plan, draw_plans
from orchestration.drills.blind.primitives import PRIMITIVES, SHARES
from orchestration.playbooks.catalogue import PlaybookCatalogue
from orchestration.rehearsal.faults import FAULTS

KNOWN = [
    "memory-short at 0.31 s for 15.24 s",
    "status-once fault=503 count=1 at 1.36 s until it is repaired",
    "answer-damaged fault=bad_tool_call count=1 role=reviewer at 3.45 s until it is repaired",
]
SEEDS = st.integers(0, 10**6)


@given(SEEDS, st.integers(1, 500))
def test_the_same_seed_and_number_draw_the_same_plan(seed: int, number: int) -> None:
    assert draw_plan(seed, number) == draw_plan(seed, number)
    assert draw_plans(seed, number)[-1] == draw_plan(seed, number)


@given(SEEDS, st.integers(0, 50))
def test_one_of_five_in_a_row_has_no_fault(seed: int, block: int) -> None:
    numbers = range(block * BLOCK + 1, (block + 1) * BLOCK + 1)
    assert sum(not draw_plan(seed, number).faults for number in numbers) == 1


@given(SEEDS, st.integers(1, 500))
def test_faults_come_in_order_and_none_twice_from_one_group(seed: int, number: int) -> None:
    faults = draw_plan(seed, number).faults
    assert len(faults) <= MOST_FAULTS
    assert [fault.at for fault in faults] == sorted(fault.at for fault in faults)
    assert max(Counter(fault.primitive.group for fault in faults).values(), default=1) == 1


def test_a_known_seed_draws_what_it_always_drew() -> None:
    """Figures in the documents name their seeds: what those draw must not change without being noticed."""
    assert [str(fault) for fault in draw_plan(1, 3).faults] == KNOWN


def test_every_primitive_is_drawn_and_can_be_injected() -> None:
    drawn = {fault.primitive.name for plan in draw_plans(1, 500) for fault in plan.faults}
    assert drawn == {one.name for one in PRIMITIVES} == set(INJECTIONS)
    assert {one.group for one in PRIMITIVES} == set(SHARES)
    ordered = {fault.values.get("fault") for plan in draw_plans(1, 500) for fault in plan.faults}
    assert ordered - {None} <= set(FAULTS)


def test_different_seeds_draw_different_drills() -> None:
    assert len({tuple(map(str, draw_plan(seed, 7).faults)) for seed in range(60)}) > 30


def test_every_cause_of_the_truth_is_a_hypothesis_of_a_playbook() -> None:
    """A truth that no playbook could ever name would be a miss by construction."""
    known = {cause.id for entry in PlaybookCatalogue(Path("nowhere")).all() for cause in entry.playbook.hypotheses}
    for plan in draw_plans(1, 500):
        for fault in plan.faults:
            if fault.truth.demands:
                assert fault.truth.causes & known, str(fault)
