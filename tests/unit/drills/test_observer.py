"""How what was seen is counted."""

from __future__ import annotations

from orchestration.drills.observer import repeated_calls


def calls(*pairs: tuple[str, str | None]) -> list[dict[str, object]]:
    return [{"fingerprint": fingerprint, "fault": fault} for fingerprint, fault in pairs]


def test_a_conversation_that_was_answered_twice_is_a_repeated_call() -> None:
    assert repeated_calls(calls(("a", None), ("b", None), ("a", None), ("a", None))) == 2


def test_a_call_that_got_a_fault_was_not_answered() -> None:
    assert repeated_calls(calls(("a", "500"), ("a", "500"), ("a", None))) == 0
