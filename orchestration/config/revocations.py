"""Revoked credentials: values that were exposed, and are refused wherever they are set.

The file holds no value but its HMAC-SHA256, with a key of its own: enough to recognise a value, and useless to compare
with digests from elsewhere. Only the owner may read the file.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestration.config.textfile import UnreadableError, read_text, replace_text
from orchestration.private_folder import make_private_folder

# The name that earlier releases wrote.
FILE = "retired-credentials.json"
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class RevokedValues:
    """A snapshot of the revoked values: their digests, each with the reason for its revocation."""

    key: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)

    def contains(self, value: str) -> bool:
        """Whether a value was revoked."""
        return bool(self.digests) and self.digest(value) in self.digests

    def digest(self, value: str) -> str:
        """The digest of a value, as in the file."""
        return hmac.new(bytes.fromhex(self.key), value.encode(), "sha256").hexdigest()


def load(path: Path | None) -> RevokedValues:
    """The revoked values of a file; none if there is no file. A file that cannot be read counts as empty: it must not
    keep the configuration from loading."""
    try:
        values = json.loads(read_text(path)) if path is not None and path.exists() else {}
        if not values:
            return RevokedValues()
        bytes.fromhex(values["key"])
        return RevokedValues(values["key"], dict(values["digests"]))
    except (UnreadableError, ValueError, LookupError, TypeError):
        return RevokedValues()


def revoke(path: Path, values: Iterable[str], reason: str) -> list[str]:
    """Refuse these values from now on; returns the digests of all values that are refused for this reason. A value that
    is refused already keeps its reason."""
    known = load(path)
    if not known.key:
        # Each project has a key of its own, so equal values have different digests elsewhere.
        known = RevokedValues(secrets.token_hex(_KEY_BYTES), {})
    digests = {**known.digests}
    for digest in map(known.digest, values):
        digests.setdefault(digest, reason)
    if digests != known.digests:
        _write(path, known.key, digests)
    return [digest for digest, why in digests.items() if why == reason]


def restore(path: Path, digests: Iterable[str]) -> None:
    """Accept values again, by their digests; those that are not refused are ignored."""
    known, gone = load(path), frozenset(digests)
    kept = {digest: reason for digest, reason in known.digests.items() if digest not in gone}
    if kept != known.digests:
        _write(path, known.key, kept)


def _write(path: Path, key: str, digests: Mapping[str, str]) -> None:
    make_private_folder(path.parent)
    path.touch(mode=0o600)  # before it has content; `replace_text` keeps the mode
    replace_text(path, json.dumps({"key": key, "digests": dict(digests)}, indent=2) + "\n")
