from __future__ import annotations

import gc

from orchestration.memory import collect_less_often


def test_new_objects_are_searched_less_often_and_old_ones_as_before() -> None:
    before = gc.get_threshold()
    try:
        collect_less_often()
        assert gc.isenabled()
        assert gc.get_threshold()[0] > 10 * 700
        assert gc.get_threshold()[1:] == before[1:]
    finally:
        gc.set_threshold(*before)
