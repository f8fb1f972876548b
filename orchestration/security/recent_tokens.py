"""Tokens that were in force a moment ago, so that a busy client's requests need not each ask the database."""

from __future__ import annotations

from orchestration.storage.access import TokenRow

# For how long a token that another process revokes may still be let in.
RECENT_SECONDS = 1.0
# So many in a second are unlikely. What is forgotten is asked for again.
_MOST = 1_000


class RecentTokens:
    """The tokens that the database has confirmed, by their digests. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._confirmed: dict[str, tuple[TokenRow, float]] = {}
        self._generation = 0

    @property
    def generation(self) -> int:
        """Changes when a token is revoked."""
        return self._generation

    def find(self, digest: str, now: float) -> TokenRow | None:
        """The token, if it was confirmed less than a second ago."""
        found = self._confirmed.get(digest)
        return None if found is None or now - found[1] >= RECENT_SECONDS else found[0]

    def add(self, token: TokenRow, asked_at: float, generation: int) -> None:
        """Keep a token that the database was asked for at that time, in that generation.

        One that was revoked in between is not kept: the question may have been answered before the revocation.
        """
        if generation != self._generation:
            return
        if len(self._confirmed) >= _MOST:
            self._confirmed.clear()
        self._confirmed[token.digest] = token, asked_at

    def forget(self) -> None:
        """Forget all: one of them was revoked."""
        self._generation += 1
        self._confirmed.clear()
