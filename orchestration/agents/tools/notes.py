"""What the tools of a run remember, in a folder of the state that no agent can reach."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path


class FolderNotes:
    """One file for each name. Texts are redacted before they are written, unless they are the user's own files."""

    def __init__(self, folder: Path, redact: Callable[[str], str]) -> None:
        self._folder = folder
        self._redact = redact

    def save(self, name: str, text: str) -> None:
        """Keep a text under a name, whole or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self._file(name)
        temporary = file.with_suffix(".new")
        kept = text if name.startswith(EDIT) else self._redact(text)
        temporary.write_text(kept, encoding="utf-8", errors="surrogateescape", newline="")
        temporary.replace(file)

    def load(self, name: str) -> str | None:
        """The text of that name; None if there is none."""
        try:
            return self._file(name).read_bytes().decode("utf-8", "surrogateescape")
        except FileNotFoundError:
            return None

    def _file(self, name: str) -> Path:
        return self._folder / hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:32]


# What `undo_edit` needs is put back into the workspace byte for byte.
EDIT = "edit:"
