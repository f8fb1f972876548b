"""What a tool call may access: files of the workspace, and commands that the configuration allows."""

from __future__ import annotations

import fnmatch
import os
import re
import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath

from orchestration.errors import OrchestratorError

# Files and folders that hold secrets by convention. No task of an agent needs them.
SECRET_FILES = (
    ".env",
    ".env.*",
    ".envrc",
    ".ssh",
    ".aws",
    ".gnupg",
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
)
_HARMLESS = (".env.example", ".env.sample", ".env.template")
# The same as one expression over lower-case names, for the sandbox process, which must not import this package.
SECRET_NAMES = f"(?!(?:{'|'.join(map(re.escape, _HARMLESS))})$)(?:{'|'.join(map(fnmatch.translate, SECRET_FILES))})"
_SECRET = re.compile(SECRET_NAMES)
_LONGEST_PATH = 4096  # PATH_MAX of Linux


class PermissionRefusedError(OrchestratorError):
    """A tool call was refused. `kind` is `path` or `command`; `what` is the one that was requested, whole; `leads_out`
    if it is a link that leads out of the workspace."""

    def __init__(self, kind: str, what: str, reason: str, *, leads_out: bool = False) -> None:
        super().__init__(reason)
        self.kind = kind
        self.what = what
        self.leads_out = leads_out


def checked_path(text: str, *, writing: bool) -> PurePosixPath:
    """A path inside the workspace, relative to its root. Raises PermissionRefusedError.

    Pure: symbolic links that lead out of the workspace are refused by `security.safe_folder` when it opens the path. A
    check here would be a race: an agent can replace a folder by a link between the check and the use.
    """
    if "\0" in text or len(text) > _LONGEST_PATH or not _can_be_encoded(text):
        shown = text[:80].encode("utf-8", "replace").decode()
        raise PermissionRefusedError("path", shown, "This is not a valid path.")
    path = PurePosixPath(text.strip() or ".")
    if path.is_absolute():
        raise PermissionRefusedError(
            "path", text, f"expected a path relative to the workspace, got the absolute '{text}'; leave out the root"
        )
    parts = [part for part in path.parts if part != "."]
    if ".." in parts:
        raise PermissionRefusedError("path", text, f"expected a path inside the workspace, got '{text}' with '..'")
    # On a file system that ignores case, `.GIT` is the same folder.
    if ".git" in (part.lower() for part in parts):
        advice = "which manages it; write elsewhere" if writing else "and is not a file of the project"
        raise PermissionRefusedError("path", text, f"'{text}' belongs to git, {advice}")
    if any(holds_secrets(part) for part in parts):
        raise PermissionRefusedError("path", text, f"'{text}' holds secrets, by its name; agents may not access it")
    return PurePosixPath(*parts)


def holds_secrets(name: str) -> bool:
    """Whether a file or folder holds secrets, by its name."""
    return _SECRET.match(name.lower()) is not None


def checked_command(command: Sequence[str], allowed: Sequence[str]) -> tuple[str, ...]:
    """A command that starts with an allowed one, compared word by word: as strings, `git` would allow `git-shell`.
    Raises PermissionRefusedError."""
    words = tuple(command)
    if not words or not words[0] or any("\0" in word or not _can_be_encoded(word) for word in words):
        shown = " ".join(words)[:200].encode("utf-8", "replace").decode()
        raise PermissionRefusedError("command", shown, "expected a command as a list of words")
    prefixes = [_words(prefix) for prefix in allowed]
    if any(prefix and words[: len(prefix)] == prefix for prefix in prefixes):
        return words
    names = ", ".join(f"'{prefix}'" for prefix in allowed) or "none"
    line = shlex.join(words)
    reason = f"'{line[:200]}' is not one of the commands that this agent may run ({names})"
    raise PermissionRefusedError("command", line, reason)


def _words(prefix: str) -> tuple[str, ...]:
    """An allowed command as words; empty, so that it allows nothing, if its quotes do not match."""
    try:
        return tuple(shlex.split(prefix))
    except ValueError:
        return ()


def _can_be_encoded(text: str) -> bool:
    """Whether the file system accepts a text. JSON can contain half of a surrogate pair, which it does not."""
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True
