from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.security.sealed_secret import SealError, seal, unseal

KEYS = st.text(min_size=1, max_size=80)


@given(st.text(max_size=80), KEYS, st.text(max_size=64))
def test_what_is_sealed_comes_back_with_the_key_and_for_its_owner(text: str, key: str, owner: str) -> None:
    sealed = seal(text, key, owner)
    assert unseal(sealed, key, owner) == text
    assert seal(text, key, owner) != sealed, "the same text is not recognised by what it becomes"


@given(KEYS, KEYS)
def test_another_key_or_another_owner_opens_nothing(key: str, other: str) -> None:
    sealed = seal("JBSWY3DPEHPK3PXP", key, "ada")
    for tried, owner in ((key, "eve"), (other + key, "ada")):
        with pytest.raises(SealError):
            unseal(sealed, tried, owner)


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_or_cut_value_is_refused(place: int, change: int) -> None:
    sealed = seal("JBSWY3DPEHPK3PXP", "a key", "ada")
    at = place % len(sealed)
    changed = sealed[:at] + chr(ord(sealed[at]) ^ change) + sealed[at + 1 :]
    for damaged in (changed, sealed[:at], ""):
        try:
            assert unseal(damaged, "a key", "ada") == "JBSWY3DPEHPK3PXP", "spare bits of base64, or the version"
        except SealError:
            continue
