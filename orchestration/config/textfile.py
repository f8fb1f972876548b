"""Reading a small text file that a user wrote, and replacing one so that no reader sees half of it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from orchestration.config.findings import ConfigFinding, FindingCode

# A configuration has a few kilobytes; a limit keeps a wrong path (a log, a database) from filling the memory.
MAX_BYTES = 1024 * 1024


class UnreadableError(Exception):
    """The file cannot be read as text; `finding` says why."""

    def __init__(self, path: Path, code: FindingCode, message: str, expected: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.finding = ConfigFinding(code, str(path), 1, 1, "", message, expected, hint)


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark. Raises UnreadableError."""
    data = _read_bytes(path)
    if len(data) > MAX_BYTES:
        raise UnreadableError(
            path, FindingCode.TOO_LARGE, f"the file is larger than {MAX_BYTES} bytes", "a few kilobytes"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        hint = "Save it as UTF-8 in the editor."
        raise UnreadableError(
            path, FindingCode.NOT_UTF8, f"byte {error.start + 1} is not UTF-8", "UTF-8", hint
        ) from error


def _read_bytes(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():  # reading a pipe would wait for ever
            raise UnreadableError(path, FindingCode.UNREADABLE, "this is not a regular file", "a file")
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else "invalid name"
        missing = isinstance(error, FileNotFoundError)
        hint = "Create a project with `orchestrator init`, or name another file." if missing else "Make it readable."
        raise UnreadableError(path, FindingCode.UNREADABLE, f"it cannot be read: {reason}", "a file", hint) from error


def replace_text(path: Path, text: str) -> None:
    """Write the whole file or nothing, even if the machine stops in the middle; its access rights stay."""
    path = path.resolve()  # replace the target, not a symbolic link to it
    # In the same folder, because a file cannot be renamed to another file system.
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        # Line endings stay as they are, so that a rollback restores the version unchanged.
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            # Without this, a loss of power after the rename can leave an empty file under the old name.
            os.fsync(file.fileno())
        # `mkstemp` makes files that only the owner can read, which would lock out a service that runs as another
        # user.
        temporary.chmod(path.stat().st_mode & 0o7777 if path.exists() else 0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    # The rename itself is an entry of the folder, which has a cache of its own.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
