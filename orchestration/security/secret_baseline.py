"""A baseline: secrets that were found and accepted, as salted digests, never as values.

The file may be committed. A digest takes a slow function, so that a weak password cannot be guessed from it in passing.
"""

from __future__ import annotations

import functools
import hashlib
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from orchestration.config.textfile import UnreadableError, read_text, replace_text
from orchestration.errors import UsageError

FILE = ".secrets-baseline.json"
_SALT_BYTES = 16
# About ten milliseconds and four megabytes for each guess.
_COST, _BLOCK_SIZE = 2**12, 8


@dataclass(frozen=True, slots=True)
class AcceptedSecret:
    """A secret that is not to be reported: its digest, and for people what it was and where."""

    digest: str
    kind: str
    place: str


class SecretBaseline:
    """The accepted secrets of one file. A value counts as accepted wherever it is found."""

    def __init__(self, salt: str, accepted: Iterable[AcceptedSecret]) -> None:
        self._salt = bytes.fromhex(salt)
        self._accepted = tuple(accepted)
        self._digests = frozenset(one.digest for one in self._accepted)
        self._digest = functools.cache(self._digest_of)

    def accepts(self, value: str) -> bool:
        """Whether a value was accepted."""
        return bool(self._digests) and self._digest(value) in self._digests

    def accepted(self, value: str, kind: str, place: str) -> AcceptedSecret:
        """A value as the file will hold it."""
        return AcceptedSecret(self._digest(value), kind, place)

    def __len__(self) -> int:
        return len(self._digests)

    def save(self, path: Path, accepted: Iterable[AcceptedSecret]) -> SecretBaseline:
        """Write a file that accepts these and no others, each value once; returns it. Raises UsageError."""
        once = {one.digest: one for one in accepted}
        entries = sorted(once.values(), key=lambda one: (one.place, one.kind, one.digest))
        document = {
            "salt": self._salt.hex(),
            "accepted": [{"digest": one.digest, "kind": one.kind, "place": one.place} for one in entries],
        }
        try:
            path.touch()
            replace_text(path, json.dumps(document, indent=2) + "\n")
        except OSError as error:
            raise UsageError(f"expected to write the baseline '{path}', got: {error.strerror or error}") from error
        return SecretBaseline(self._salt.hex(), entries)

    def _digest_of(self, value: str) -> str:
        return hashlib.scrypt(value.encode("utf-8", "replace"), salt=self._salt, n=_COST, r=_BLOCK_SIZE, p=1).hex()[:40]


def load_baseline(path: Path) -> SecretBaseline:
    """The baseline in a file; an empty one where there is none. Raises UsageError for a file that is no baseline."""
    if not path.exists():
        return SecretBaseline(secrets.token_hex(_SALT_BYTES), ())
    try:
        data = json.loads(read_text(path))
        accepted = [AcceptedSecret(one["digest"], one["kind"], one["place"]) for one in data["accepted"]]
        return SecretBaseline(data["salt"], accepted)
    except (UnreadableError, ValueError, LookupError, TypeError) as error:
        raise UsageError(
            f"expected a baseline of secrets in '{path}', which cannot be read as one; "
            "write it anew with: orchestrator secrets scan --write-baseline"
        ) from error
