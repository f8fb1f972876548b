"""The credentials in force, for what lives longer than one reading of `.env`."""

from __future__ import annotations

from orchestration.config.store import ConfigurationStore


class LiveCredentials:
    """The credentials as they are at each moment: an edit of `.env` takes effect without a restart."""

    def __init__(self, store: ConfigurationStore) -> None:
        self._store = store

    def get(self, name: str) -> str | None:
        """The value of a variable; None if it is not set."""
        return self._store.credentials.get(name)


class EvenRevokedCredentials(LiveCredentials):
    """The credentials with those that are refused here: half of an exposed key pair is needed to revoke the other."""

    def get(self, name: str) -> str | None:
        """The value of a variable, a good one before one that is refused; None if it is not set."""
        return super().get(name) or next(iter(self._store.credentials.values(name)), None)
