"""What the scan for secrets has seen, in a file of its own, so that a restart goes on from there.

A file, because what it tells of are files: each machine has its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestration.config.textfile import replace_text
from orchestration.private_folder import make_private_folder

State = tuple[int, int]


@dataclass(slots=True)
class FoundSecret:
    """Secrets of one kind in a file: the labels under which they were told, and how many they were."""

    labels: dict[str, str]
    count: int


@dataclass(slots=True)
class ScannedFile:
    """A file in which secrets were found: its state then (when it was changed, its size), and what by its kind."""

    state: State | None
    found: dict[str, FoundSecret] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SeenFile:
    """Everything that was written before `until` has been read; `standing` are the secrets that still stand there."""

    until: datetime
    standing: dict[Path, ScannedFile]


class ScanRecord:
    """The file. One that is not there, or is not as it should be, is none: then all is looked at anew."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> SeenFile | None:
        """What was written last."""
        try:
            data = json.loads(self._path.read_text(encoding="utf-8"))
            files = {Path(one["path"]): _standing(one) for one in data["files"]}
            until = datetime.fromisoformat(data["until"])
            return SeenFile(until, files) if until.tzinfo else None
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return None

    def write(self, until: datetime, standing: Iterable[tuple[Path, ScannedFile]]) -> None:
        """Write it whole or not at all. Raises OSError."""
        make_private_folder(self._path.parent)
        files = [_as_json(path, one) for path, one in standing]
        replace_text(self._path, json.dumps({"until": until.isoformat(), "files": files}))


def _as_json(path: Path, standing: ScannedFile) -> dict[str, Any]:
    found = {kind: {"labels": one.labels, "count": one.count} for kind, one in standing.found.items()}
    return {"path": str(path), "state": standing.state, "found": found}


def _standing(data: Mapping[str, Any]) -> ScannedFile:
    state = data["state"]
    found = {
        str(kind): FoundSecret({str(name): str(value) for name, value in one["labels"].items()}, int(one["count"]))
        for kind, one in data["found"].items()
    }
    return ScannedFile(None if state is None else (int(state[0]), int(state[1])), found)
