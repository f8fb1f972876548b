"""What a tool call may touch: files of the workspace, and commands that the configuration allows."""

from __future__ import annotations

import fnmatch
import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath

from orchestration.errors import OrchestratorError

# Files that hold secrets by custom. Agents have no business with them, whatever the task.
_SECRET_FILES = (
    ".env",
    ".env.*",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "id_rsa*",
    "id_ed25519*",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
)
_HARMLESS = (".env.example", ".env.sample", ".env.template")


class PermissionRefusedError(OrchestratorError):
    """A tool call was refused. `kind` is what was asked for: `path` or `command`; `what` is which."""

    def __init__(self, kind: str, what: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.what = what


def checked_path(text: str, *, writing: bool) -> PurePosixPath:
    """A path inside the workspace, as parts that can be walked from its root. Raises PermissionRefusedError.

    Pure: whether links lead out of the workspace is seen by `security.folder` while it walks.
    """
    if "\0" in text or len(text) > 4096:
        raise PermissionRefusedError("path", text[:80], "expected a path, got something that cannot be one")
    path = PurePosixPath(text.strip() or ".")
    if path.is_absolute():
        raise PermissionRefusedError(
            "path", text, f"expected a path relative to the workspace, got the absolute '{text}'; leave out the root"
        )
    parts = [part for part in path.parts if part != "."]
    if ".." in parts:
        raise PermissionRefusedError("path", text, f"expected a path inside the workspace, got '{text}' with '..'")
    if writing and ".git" in (part.lower() for part in parts):
        raise PermissionRefusedError("path", text, f"'{text}' belongs to git, which keeps it itself; write elsewhere")
    if parts and holds_secrets(parts[-1]):
        raise PermissionRefusedError("path", text, f"'{text}' holds secrets by its name; agents may not touch it")
    return PurePosixPath(*parts)


def holds_secrets(name: str) -> bool:
    """Whether a file's name says that it holds secrets."""
    low = name.lower()
    return low not in _HARMLESS and any(fnmatch.fnmatchcase(low, pattern) for pattern in _SECRET_FILES)


def checked_command(command: Sequence[str], allowed: Sequence[str]) -> tuple[str, ...]:
    """A command that begins with one of the allowed ones, word by word. Raises PermissionRefusedError."""
    words = tuple(command)
    if not words or any("\0" in word for word in words):
        raise PermissionRefusedError("command", " ".join(words)[:200], "expected a command as a list of words")
    prefixes = [tuple(shlex.split(prefix)) for prefix in allowed]
    if any(prefix and words[: len(prefix)] == prefix for prefix in prefixes):
        return words
    names = ", ".join(f"'{prefix}'" for prefix in allowed) or "none"
    line = shlex.join(words)[:200]
    reason = f"'{line}' is not among the commands that this agent may run ({names}); use one of these"
    raise PermissionRefusedError("command", line, reason)
