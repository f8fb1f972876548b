"""Copies of the audit trail elsewhere, which show what the chain alone cannot: that entries are missing at its end."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from orchestration.errors import UsageError
from orchestration.security.audit_trail import TrailVerdict
from orchestration.storage.audit import AuditTable


def export(table: AuditTable, file: Path) -> tuple[int, str]:
    """Write every entry as a line of JSON to a new file, for its owner alone; returns how many there are and the last
    digest. Raises UsageError. Blocks."""
    lines, digest = 0, ""
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            for row in table.iterate():
                opened.write(json.dumps({**asdict(row), "at": row.at.isoformat()}, sort_keys=True) + "\n")
                lines, digest = lines + 1, row.digest
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}. Name another file.") from error
    return lines, digest


def compare(table: AuditTable, file: Path, verdict: TrailVerdict) -> TrailVerdict:
    """The verdict on a trail whose chain is intact, with an export: broken where an entry of it is missing or another.

    Raises UsageError for a file that is no export. Blocks.
    """
    known = _digests(file)
    for row in table.iterate():
        if known and row.sequence in known and known.pop(row.sequence) != row.digest:
            return TrailVerdict(row.sequence - 1, row.sequence, verdict.digest)
    if known:
        return TrailVerdict(verdict.lines, min(known), verdict.digest)
    return verdict


def _digests(file: Path) -> dict[int, str]:
    try:
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]
        return {int(row["sequence"]): str(row["digest"]) for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{file} is no export of the audit trail. Make one: orchestrator audit export FILE") from error
