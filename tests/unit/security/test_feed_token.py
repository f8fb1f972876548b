from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from orchestration.security.feed_token import feed_token, opens
from orchestration.security.redaction import Redactor

KEY = "k" * 40


@given(
    st.text(st.characters(codec="utf-8"), max_size=40),
    st.text(st.characters(codec="utf-8"), max_size=40),
    st.text(max_size=60),
)
def test_a_token_opens_one_feed_with_one_key(rotation: str, other: str, guess: str) -> None:
    token = feed_token(KEY, rotation)
    assert opens(token, KEY, rotation)
    assert opens(token, KEY, other) == (rotation == other)
    assert not opens(token, KEY + "x", rotation)
    assert not opens(guess, KEY, rotation)


def test_a_token_is_redacted_like_any_secret() -> None:
    token = feed_token(KEY, "primary")
    assert token not in Redactor().text(f"GET /oncall/primary.ics?token={token} 200")
