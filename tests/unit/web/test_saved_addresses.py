"""The addresses that saved views lead to."""

from __future__ import annotations

from urllib.parse import urlsplit

from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.errors import UsageError
from orchestration.web.pages.site import SAVED_LISTS
from orchestration.web.pages.views import checked_address


@settings(deadline=None)
@given(st.text(max_size=60), st.sampled_from(SAVED_LISTS))
def test_whatever_is_kept_of_an_address_is_an_address_of_that_list(text: str, path: str) -> None:
    try:
        kept = checked_address(f"{path}?{text}")
    except (UsageError, ValueError):
        return
    assert urlsplit(kept)[:3] == ("", "", path)
    assert checked_address(kept) == kept
