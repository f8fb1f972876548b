from __future__ import annotations

import logging

import pytest
from structlog.testing import capture_logs

from orchestration.alerts.error_isolation import ErrorIsolation


def fail(troubles: ErrorIsolation, place: str) -> None:
    with troubles.isolate(place):
        raise ValueError("no")


def test_a_failure_is_counted_and_suppressed() -> None:
    troubles = ErrorIsolation()
    for _ in range(3):
        fail(troubles, "rule a")
    fail(troubles, "rule b")
    assert (troubles.counts, troubles.failing) == ({"rule a": 3, "rule b": 1}, {"rule a", "rule b"})
    with troubles.isolate("rule a"):
        pass
    assert troubles.failing == {"rule b"}


def test_a_place_is_logged_when_it_begins_to_fail_and_when_it_works_again() -> None:
    troubles = ErrorIsolation()
    with capture_logs() as entries:
        for _ in range(2):
            fail(troubles, "rule a")
            fail(troubles, "rule a")
            with troubles.isolate("rule a"):
                pass
            with troubles.isolate("rule a"):
                pass
    assert [entry["event"] for entry in entries] == ["alerts.contained", "alerts.works_again"] * 2
    assert {entry["place"] for entry in entries} == {"rule a"}


def test_an_unlimited_number_of_places_does_not_fill_the_memory() -> None:
    logging.disable()
    troubles = ErrorIsolation()
    try:
        for number in range(1100):
            fail(troubles, f"notice {number}")
    finally:
        logging.disable(logging.NOTSET)
    assert len(troubles.counts) == len(troubles.failing) == 1000


def test_a_request_to_stop_is_not_suppressed() -> None:
    troubles = ErrorIsolation()
    with pytest.raises(KeyboardInterrupt), troubles.isolate("rule a"):
        raise KeyboardInterrupt
    assert troubles.failing == frozenset()
