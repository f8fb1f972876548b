"""Looking for secrets in what was written. A finding says where and of what kind, never what."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestration.security.permissions import holds_secrets
from orchestration.security.safe_folder import SKIPPED
from orchestration.security.secret_search import SecretMatch

Find = Callable[[str], list[SecretMatch]]
Before = Callable[[str], str]
"""Returns what a file held before, by its path; nothing for one that was not there."""

_MOST_BYTES = 2_000_000
_MOST_FILES = 5_000
_BYTES_A_LOOK = 20_000_000


def nothing_before(_path: str) -> str:
    """For what was not there before."""
    return ""


@dataclass(frozen=True, slots=True)
class SecretFinding:
    """Secrets of one kind in one place: a file's path, or another name for where the text was. Lines count from 1."""

    kind: str
    place: str
    lines: tuple[int, ...]


def added(matches: Iterable[SecretMatch], text: str, before: str) -> Iterator[SecretMatch]:
    """Of what was found in a text, what an earlier version of it does not hold."""
    return (one for one in matches if text[one.start : one.end] not in before)


def scan_text(find: Find, text: str, place: str, before: Before = nothing_before) -> tuple[SecretFinding, ...]:
    """The secrets in a text that it did not hold before, one finding for each kind."""
    matches = find(text)
    if not matches:
        return ()
    lines: dict[str, list[int]] = {}
    for match in added(matches, text, before(place)):
        lines.setdefault(match.kind, []).append(text.count("\n", 0, match.start) + 1)
    return tuple(SecretFinding(kind, place, tuple(found)) for kind, found in lines.items())


class FolderScan:
    """Scans what has changed in a folder since the last look, so that each state of a file is read once.

    Files that hold secrets by custom (`.env`) are where secrets belong, and are left out, as are links, folders that
    tools keep for themselves, and files that are no text. `since` leaves out what was there before: seconds, as files
    have them. `newest_first` is for a folder whose folders are named by their time: there may be more than are read.
    `left_out` are folders that are not read where they are below this one. `before` is asked where something is found.
    """

    def __init__(
        self,
        root: Path,
        find: Find,
        *,
        since: float = 0.0,
        newest_first: bool = False,
        left_out: Sequence[Path] = (),
        before: Before = nothing_before,
    ) -> None:
        self._root = root
        self._find = find
        self._since = since
        self._newest_first = newest_first
        self._before = before
        self._left_out = frozenset(_below(root, folder) for folder in left_out)
        self._seen: dict[str, tuple[int, int]] = {}
        self.complete = True
        """Whether the last look has read all there was to read."""

    def find_new(self, below: str = "") -> tuple[SecretFinding, ...]:
        """The findings in what is new, in all of it or below one folder. Reads a bounded amount; what is left over
        comes next time. Blocks."""
        findings: list[SecretFinding] = []
        left = _BYTES_A_LOOK
        self.complete = True
        for path, found in self._files(below):
            state = (found.st_mtime_ns, found.st_size)
            if self._seen.get(path) == state:
                continue
            if left < found.st_size:
                self.complete = False
                break
            left -= found.st_size
            text = _text(Path(path))
            # The state is from before the reading: what is written meanwhile changes it, and is read the next time.
            self._seen[path] = state
            findings += scan_text(self._find, text, path, self._before) if text else ()
        return tuple(findings)

    def _is_read(self, folder: str, name: str) -> bool:
        return name not in SKIPPED and os.path.join(folder, name) not in self._left_out  # noqa: PTH118 (as below)

    def _files(self, below: str) -> Iterator[tuple[str, os.stat_result]]:
        count = 0
        for folder, folders, names in os.walk(self._root / below, followlinks=False):
            folders[:] = sorted((name for name in folders if self._is_read(folder, name)), reverse=self._newest_first)
            for name in sorted(names):
                count += 1
                if count > _MOST_FILES:
                    return
                if holds_secrets(name):
                    continue
                path = os.path.join(folder, name)  # noqa: PTH118 (thousands of files: pathlib would double the time)
                try:
                    found = os.stat(path, follow_symlinks=False)  # noqa: PTH116
                except OSError:
                    continue
                # By both times: a file that is moved here keeps its time of modification, however old.
                recent = max(found.st_mtime, found.st_ctime) >= self._since
                if stat.S_ISREG(found.st_mode) and 0 < found.st_size <= _MOST_BYTES and recent:
                    yield path, found


def _below(root: Path, folder: Path) -> str:
    """The folder as a walk from that root comes to it; itself where it does not."""
    try:
        return str(root / folder.resolve().relative_to(root.resolve()))
    except ValueError:
        return str(folder)


def scan_file(find: Find, path: Path, before: Before = nothing_before) -> tuple[SecretFinding, ...]:
    """The findings in a file as it is now; none where it is gone, or is no text."""
    text = _text(path)
    return scan_text(find, text, str(path), before) if text else ()


def _text(path: Path) -> str:
    """A file's text; empty when it is gone, or is no text."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    with os.fdopen(file, "rb") as stream:
        data = stream.read(_MOST_BYTES)
    return "" if b"\0" in data[:8192] else data.decode("utf-8", "replace")
