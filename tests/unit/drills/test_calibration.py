"""How slow the machine is: what is measured, and what is made of it."""

from __future__ import annotations

import anyio
import pytest

from orchestration.clock import SystemClock
from orchestration.drills.calibration import Calibration, slowness_of
from orchestration.drills.processes import DrillError


@pytest.mark.parametrize(
    ("seen", "slowness"), [([], 1.0), ([1.0, 1.0], 1.0), ([1.05, 1.1], 1.0), ([1.0, 3.0], 2.0), ([4.0], 4.0)]
)
def test_the_mean_counts_where_it_is_more_than_noise(seen: list[float], slowness: float) -> None:
    assert slowness_of(seen) == slowness


class Hurried(SystemClock):
    """Four seconds pass on it for each that our processor works, as on a machine that has four times too much to do."""

    def monotonic(self) -> float:
        return 4 * super().monotonic()


async def test_what_is_measured_is_time_that_passes_for_time_that_is_worked() -> None:
    calibration = Calibration(Hurried())
    assert calibration.slowness == 1.0
    async with calibration.measuring():
        await anyio.sleep(0.5)
    assert calibration.slowness >= 3.9


async def test_what_goes_wrong_meanwhile_comes_out_as_it_is() -> None:
    with pytest.raises(DrillError, match="no server"):
        async with Calibration(SystemClock()).measuring():
            raise DrillError("no server")
