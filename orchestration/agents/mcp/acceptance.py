"""Which tools of servers have been accepted, as they were: by being seen first, or by a person."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from orchestration.private_folder import make_private_folder

FOLDER = "mcp"


class AcceptedTools:
    """One file for each server, in the state folder: the digests of its tools by name.

    The first description of a tool that nothing speaks against is accepted, since somebody has chosen the server. From
    then on it must stay as it is.
    """

    def __init__(self, state_folder: Path) -> None:
        self._folder = state_folder / FOLDER

    def load(self, server: str) -> Mapping[str, str]:
        """The digests by tool; none for a server that was never asked. Raises OSError."""
        try:
            found = json.loads(self._file(server).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def accept(self, server: str, digests: Mapping[str, str]) -> None:
        """Add tools, or replace what was known of them. Raises OSError."""
        known = self.load(server)
        if not digests or digests.items() <= known.items():
            return
        make_private_folder(self._folder)
        descriptor, name = tempfile.mkstemp(dir=self._folder, prefix=".new-")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump({**known, **digests}, file, indent=1, sort_keys=True)
        Path(name).replace(self._file(server))

    def _file(self, server: str) -> Path:
        return self._folder / f"{server}.json"
