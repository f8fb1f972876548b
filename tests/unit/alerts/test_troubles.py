from __future__ import annotations

import logging

import pytest
from structlog.testing import capture_logs

from orchestration.alerts.error_isolation import ErrorIsolation


def fail(troubles: ErrorIsolation, place: str) -> None:
    with troubles.contained(place):
        raise ValueError("no")


def test_what_fails_is_counted_and_goes_no_further() -> None:
    troubles = ErrorIsolation()
    for _ in range(3):
        fail(troubles, "rule a")
    fail(troubles, "rule b")
    assert (troubles.counts, troubles.failing) == ({"rule a": 3, "rule b": 1}, {"rule a", "rule b"})
    with troubles.contained("rule a"):
        pass
    assert troubles.failing == {"rule b"}


def test_a_place_is_logged_when_it_begins_to_fail_and_when_it_works_again() -> None:
    troubles = ErrorIsolation()
    with capture_logs() as entries:
        for _ in range(2):
            fail(troubles, "rule a")
            fail(troubles, "rule a")
            with troubles.contained("rule a"):
                pass
            with troubles.contained("rule a"):
                pass
    assert [entry["event"] for entry in entries] == ["alerts.contained", "alerts.works_again"] * 2
    assert {entry["place"] for entry in entries} == {"rule a"}


def test_places_without_end_do_not_fill_the_memory() -> None:
    logging.disable()
    troubles = ErrorIsolation()
    try:
        for number in range(1100):
            fail(troubles, f"notice {number}")
    finally:
        logging.disable(logging.NOTSET)
    assert len(troubles.counts) == len(troubles.failing) == 1000


def test_being_told_to_stop_is_no_trouble() -> None:
    troubles = ErrorIsolation()
    with pytest.raises(KeyboardInterrupt), troubles.contained("rule a"):
        raise KeyboardInterrupt
    assert troubles.failing == frozenset()
