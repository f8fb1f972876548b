"""Keys that the configuration does not name: made once, and kept in private files. One signs links in messages, one
seals second factors, and one signs push messages."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from orchestration.private_folder import make_private_folder

FILE = "message-links.key"
SECOND_FACTOR_FILE = "second-factor.key"
# 43 characters of base64url: 32 bytes, which are a key of P-256 but for one in four billion.
WEB_PUSH_FILE = "web-push.key"
_BYTES = 32
# A shorter one could be guessed from a link, which is at hand to whoever gets a message.
MINIMUM_LENGTH = 32


def load_or_create(path: Path) -> str:
    """The key in the file, which only its owner can read; made if there is none. Raises OSError."""
    for _ in range(2):
        with contextlib.suppress(FileNotFoundError):
            key = path.read_text(encoding="ascii", errors="replace").strip()
            if len(key) >= MINIMUM_LENGTH:
                return key
            path.unlink()  # cut off by a crash or a full disk; nobody can have got a link that it signed
        _create(path)
    return path.read_text(encoding="ascii").strip()


def _create(path: Path) -> None:
    make_private_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{secrets.token_urlsafe(_BYTES)}\n")
            file.flush()
            os.fsync(file.fileno())
        # A link and not a rename: of two processes that start at once, the second takes the key of the first.
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()
