"""Values that were exposed and are refused from now on, wherever they are set.

What is kept is no value but its HMAC-SHA256, with a key that stands in the same file: enough to know a value again, and
of no use without the file. The file is read by its owner only.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestration.config.textfile import UnreadableError, read_text, replace_text

FILE = "retired-credentials.json"
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class RevokedValues:
    """The values as they were known at one moment: digest, and the reason for which it was retired."""

    key: str = ""
    digests: Mapping[str, str] = field(default_factory=dict)

    def holds(self, value: str) -> bool:
        """Whether a value was retired."""
        return bool(self.digests) and self.digest(value) in self.digests

    def digest(self, value: str) -> str:
        """What stands for a value in the file."""
        return hmac.new(bytes.fromhex(self.key), value.encode(), "sha256").hexdigest()


def load(path: Path | None) -> RevokedValues:
    """What is retired by a file; nothing where there is none. One that cannot be read retires nothing either: it must
    not keep the rest of the configuration from being read."""
    try:
        values = json.loads(read_text(path)) if path is not None and path.exists() else {}
        if not values:
            return RevokedValues()
        bytes.fromhex(values["key"])
        return RevokedValues(values["key"], dict(values["digests"]))
    except (UnreadableError, ValueError, LookupError, TypeError):
        return RevokedValues()


def retire(path: Path, values: Iterable[str], reason: str) -> list[str]:
    """Refuse these values from now on; returns the digests of all that are refused for this reason. A value that is
    refused already keeps its reason."""
    known = load(path)
    if not known.key:
        known = RevokedValues(secrets.token_hex(_KEY_BYTES), {})
    digests = {**known.digests}
    for digest in map(known.digest, values):
        digests.setdefault(digest, reason)
    if digests != known.digests:
        _write(path, known.key, digests)
    return [digest for digest, why in digests.items() if why == reason]


def reinstate(path: Path, digests: Iterable[str]) -> None:
    """Accept values again that were retired; those that are not refused are left alone."""
    known, gone = load(path), frozenset(digests)
    kept = {digest: reason for digest, reason in known.digests.items() if digest not in gone}
    if kept != known.digests:
        _write(path, known.key, kept)


def _write(path: Path, key: str, digests: Mapping[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    replace_text(path, json.dumps({"key": key, "digests": dict(digests)}, indent=2) + "\n")
