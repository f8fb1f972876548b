"""The errors in the log since a time, grouped by their fingerprint, and which groups are new."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestration.monitoring.collectors.error_fingerprint import fingerprint
from orchestration.monitoring.collectors.log_reader import ERRORS, NAME, entries

# A search for the level in the raw bytes is many times as fast as parsing the JSON of every line.
_MARKS = tuple(f'"{level}"'.encode() for level in sorted(ERRORS))
_MAX_SAMPLE = 200


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Errors with the same fingerprint. `new` if the log has none of them from before."""

    fingerprint: str
    count: int
    first: datetime
    last: datetime
    sample: str
    new: bool


def errors_since(folder: Path, since: datetime) -> tuple[ErrorGroup, ...]:
    """The groups of errors, new ones first, then the largest first. Reads the log and its rotated copies."""
    known: set[str] = set()
    groups: dict[str, ErrorGroup] = {}
    for entry in entries(_error_lines(folder)):
        at = _time_of(entry)
        if entry.get("level") not in ERRORS or at is None:
            continue
        name = fingerprint(entry)
        if at < since:
            known.add(name)
        else:
            groups[name] = _add_to(groups.get(name), name, at, entry)
    found = [_with_new(group, new=group.fingerprint not in known) for group in groups.values()]
    return tuple(sorted(found, key=lambda group: (not group.new, -group.count, group.fingerprint)))


def _error_lines(folder: Path) -> Iterator[bytes]:
    """Lines that may be errors, oldest file first. A file that disappears or is damaged is read as far as possible."""
    # The time in the name of a rotated file makes names sort by age.
    for path in [*sorted(folder.glob(f"{NAME}.*")), folder / NAME]:
        try:
            with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
                yield from (line for line in file if any(mark in line for mark in _MARKS))
        except (OSError, EOFError):
            continue


def _add_to(group: ErrorGroup | None, name: str, at: datetime, entry: Mapping[str, Any]) -> ErrorGroup:
    # Which field has the text depends on the kind of event.
    text = entry.get("message") or entry.get("reason") or entry.get("detail") or ""
    sample = f"{entry.get('event', '')} {text}".strip()[:_MAX_SAMPLE]
    if group is None:
        return ErrorGroup(name, 1, at, at, sample, new=False)
    return ErrorGroup(name, group.count + 1, min(group.first, at), max(group.last, at), sample, new=False)


def _with_new(group: ErrorGroup, *, new: bool) -> ErrorGroup:
    return ErrorGroup(group.fingerprint, group.count, group.first, group.last, group.sample, new)


def _time_of(entry: Mapping[str, Any]) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(entry.get("at")))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
