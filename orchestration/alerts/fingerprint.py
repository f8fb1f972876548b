"""The identity of an alert: a short, stable name made of its labels. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

# Shorter than the column, with room for the prefix of a drill. Subjects come from senders' labels and may be of any
# length.
_MAX_KEY_LENGTH = 200


def fingerprint(name: str, labels: Mapping[str, str]) -> str:
    """16 hexadecimal digits: the same for the same name and labels, in any order."""
    digest = sha256(name.encode())
    for key, value in sorted(labels.items()):
        # Separators that cannot occur in UTF-8 keep ("ab", "c") and ("a", "bc") apart.
        digest.update(b"\xff" + key.encode(errors="replace") + b"\xfe" + value.encode(errors="replace"))
    return digest.hexdigest()[:16]


def group_key(scenario: str, subject: str, *, drill: bool = False, external: bool = False) -> str:
    """The key of the group that an alert belongs to: scenario and subject.

    A drill never joins a real group, and what another system reports never joins what we have seen ourselves.
    """
    key = f"{'external:' if external else ''}{scenario}:{subject or 'all'}"
    if len(key) > _MAX_KEY_LENGTH:
        key = f"{key[: _MAX_KEY_LENGTH - 17]}#{sha256(key.encode()).hexdigest()[:16]}"
    return f"drill:{key}" if drill else key
