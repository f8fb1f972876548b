"""Who an alert is: a short, stable name made of its labels. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

_LONGEST_KEY = 200


def fingerprint(name: str, labels: Mapping[str, str]) -> str:
    """16 hexadecimal digits: the same for the same name and labels, in whatever order these come."""
    digest = sha256(name.encode())
    for key, value in sorted(labels.items()):
        # A separator that cannot stand in UTF-8 keeps ("ab", "c") and ("a", "bc") apart.
        digest.update(b"\xff" + key.encode(errors="replace") + b"\xfe" + value.encode(errors="replace"))
    return digest.hexdigest()[:16]


def group_key(scenario: str, subject: str, *, drill: bool = False) -> str:
    """The name under which alerts about the same trouble meet: scenario and subject. A drill never meets the real."""
    key = f"{scenario}:{subject or 'all'}"
    if len(key) > _LONGEST_KEY:
        key = f"{key[: _LONGEST_KEY - 17]}#{sha256(key.encode()).hexdigest()[:16]}"
    return f"drill:{key}" if drill else key
