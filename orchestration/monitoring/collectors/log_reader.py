"""Reading `logs/orchestrator.jsonl` while others write, rotate and delete it."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from orchestration.logs.origin import written_by_response

NAME = "orchestrator.jsonl"
ERRORS = frozenset({"ERROR", "CRITICAL"})
# One round reads this much and leaves the rest for the next: a flood of lines must not delay everything else.
_MOST_BYTES = 4_000_000
_CHUNK = 262_144
_TELLING_BYTES = 4096


class LogFollower:
    """Returns every line once, from the end that the file had at the start.

    The log is rotated by copying the file and emptying it. What was not read yet is then read from the copy; copies
    made since the last round are read whole.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset, self._file = self._stat()
        self._copies = set(self._all_copies())

    def read(self) -> list[bytes]:
        """The whole lines that have come since. Raises OSError when the file cannot be read; no file is no line."""
        lines: list[bytes] = []
        size, number = self._stat()
        copies = self._all_copies()
        new = [copy for copy in copies if copy not in self._copies]
        self._copies.intersection_update(copies)
        if new and self._begins_as(new[-1]):
            new.pop()  # copied, but not emptied yet: the file is read as it is, and the copy looked at again
        for copy in new:
            lines += _lines(_read_copy(copy, self._offset))
            self._copies.add(copy)
            self._offset = 0
        if number != self._file or size < self._offset:
            self._offset, self._file = 0, number
        return lines + self._rest()

    def _rest(self) -> list[bytes]:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read(_MOST_BYTES)
                self._file = os.fstat(file.fileno()).st_ino  # it may have been created since `_stat`
        except FileNotFoundError:
            return []
        # The last line may still be being written; it is read in a later round, when it is complete.
        whole = data[: data.rfind(b"\n") + 1]
        if not whole and len(data) == _MOST_BYTES:
            whole = data  # one endless line; waiting for its end would read nothing ever again
        self._offset += len(whole)
        return _lines(whole)

    def _begins_as(self, copy: Path) -> bool:
        """Whether the file still holds what was copied; lines begin with their time, so two files differ soon."""
        try:
            with self._path.open("rb") as file:
                ours = file.read(_TELLING_BYTES)
        except FileNotFoundError:
            return False
        theirs = _read_copy(copy, 0, _TELLING_BYTES)
        return bool(ours) and ours.startswith(theirs)

    def _stat(self) -> tuple[int, int | None]:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return 0, None
        return found.st_size, found.st_ino

    def _all_copies(self) -> list[Path]:
        """The copies by age, without the ending that packing adds: packed or not, it is the same copy."""
        copies = self._path.parent.glob(f"{self._path.name}.*")
        return sorted({copy.with_suffix("") if copy.suffix == ".gz" else copy for copy in copies})


def entries(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The lines that are JSON objects."""
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            yield entry


def error_lines(path: Path, run_id: str, limit: int = 20) -> list[dict[str, Any]]:
    """The newest errors of a run's own, oldest first, from the log and if need be from the newest copy of it.

    Looks through a few megabytes at most. No file is no line.
    """
    # Packed copies are left out because they cannot be read backwards from their end.
    copies = sorted(copy for copy in path.parent.glob(f"{path.name}.*") if copy.suffix != ".gz")
    found = (
        entry for file in (path, *copies[-1:]) for entry in recent_errors(file, run_id) if entry.get("run") == run_id
    )
    return list(islice(evidence(found), limit))[::-1]


def evidence(lines: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The lines that may say something about a cause: all but those that the response itself wrote."""
    return (line for line in lines if not written_by_response(line))


def recent_errors(path: Path, holding: str = "") -> Iterator[dict[str, Any]]:
    """The errors among the last megabytes of a file, newest first; only lines that hold a text, where one is given."""
    text = holding.encode()
    # The bytes are tested first: parsing every line as JSON is what would take the time.
    lines = _backwards(path, lambda line: text in line and any(level in line for level in (b"ERROR", b"CRITICAL")))
    return (entry for entry in entries(lines) if entry.get("level") in ERRORS)


def _backwards(path: Path, wanted: Callable[[bytes], bool]) -> list[bytes]:
    """The wanted ones among a file's last lines, the newest first."""
    found: list[bytes] = []
    try:
        with path.open("rb") as file:
            at, rest = file.seek(0, os.SEEK_END), b""
            least = max(0, at - _MOST_BYTES)
            while at > least:
                step = min(_CHUNK, at - least)
                at -= step
                file.seek(at)
                # A chunk usually begins in the middle of a line, the start of which is in the chunk before it.
                first, *whole = (file.read(step) + rest).split(b"\n")
                found += [line for line in reversed(whole) if wanted(line)]
                rest = first
    except OSError:
        return found
    return [*found, rest] if at == 0 and wanted(rest) else found


def _read_copy(copy: Path, offset: int, at_most: int = -1) -> bytes:
    """What a copy holds from a place on; nothing when it has been cleaned away already."""
    packed = copy.with_name(f"{copy.name}.gz")
    try:
        with copy.open("rb") if copy.exists() else gzip.open(packed, "rb") as file:
            file.seek(offset)
            return bytes(file.read(at_most))
    except OSError:
        return b""


def _lines(data: bytes) -> list[bytes]:
    return [line for line in data.split(b"\n") if line]
