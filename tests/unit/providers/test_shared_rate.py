"""A rate that processes share: as the bucket of one process, and together no more than that."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.providers.shared_rate import SharedRate
from orchestration.providers.token_bucket import TokenBucket

_Pauses = st.lists(st.floats(0, 100, allow_nan=False), max_size=60)


@given(per_minute=st.integers(1, 100), pauses=_Pauses)
def test_it_lets_through_what_a_bucket_lets_through(
    tmp_path_factory: pytest.TempPathFactory, per_minute: int, pauses: list[float]
) -> None:
    file = tmp_path_factory.mktemp("rate") / "a"
    processes, bucket, now = [SharedRate(file), SharedRate(file)], TokenBucket(per_minute), 1000.0
    for number, pause in enumerate(pauses):
        now += pause
        expected = bucket.wait(now)
        wait = processes[number % 2].take(per_minute, now)
        assert wait == pytest.approx(expected, abs=1e-3)
        if not expected:
            bucket.take(1, now)


def test_what_was_written_before_the_machine_was_started_counts_for_nothing(tmp_path: Path) -> None:
    before, after = SharedRate(tmp_path / "a"), SharedRate(tmp_path / "a")
    assert [before.take(2, 1e6) for _ in range(2)] == [0.0, 0.0]
    assert before.take(2, 1e6) > 0
    assert after.take(2, 5.0) == 0.0


@pytest.mark.parametrize("content", [b"", b"1", b"x" * 100, b"\xff" * 8])
def test_a_damaged_file_is_no_limit_for_ever(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    rate = SharedRate(tmp_path / "a")
    assert rate.take(1, 1000.0) == 0.0
    assert 0 < rate.take(1, 1001.0) <= 60


def test_without_a_folder_the_rate_is_the_process_s_own(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    rate = SharedRate(tmp_path / "file" / "a")
    assert [rate.take(2, 1000.0) > 0 for _ in range(3)] == [False, False, True]
