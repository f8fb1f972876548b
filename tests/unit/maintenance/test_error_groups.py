from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestration.maintenance.error_groups import errors_since

SIX = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)


def line(minutes: int, event: str = "run.failed", message: str = "", level: str = "ERROR") -> str:
    at = (SIX + timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")
    return json.dumps({"at": at, "level": level, "event": event, "message": message}) + "\n"


def test_errors_are_grouped_counted_and_the_new_ones_come_first(tmp_path: Path) -> None:
    (tmp_path / "orchestrator.jsonl").write_text(
        line(-60, message="no answer from 10.0.0.1:80")
        + "".join(line(number, message=f"no answer from 10.0.0.{number}:80") for number in range(3))
        + line(5, event="database.lost")
        + line(6, level="INFO")
        + "no JSON with ERROR\n"
    )
    new, known = errors_since(tmp_path, SIX)
    assert (new.sample, new.count, new.new) == ("database.lost", 1, True)
    assert (known.count, known.new) == (3, False)
    assert (known.first, known.last) == (SIX, SIX + timedelta(minutes=2))


def test_older_copies_are_read_too_packed_or_not(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "orchestrator.jsonl.20260301T000000.1Z.gz", "wt") as packed:
        packed.write(line(-600))
    (tmp_path / "orchestrator.jsonl.20260302T055900.1Z").write_text(line(1))
    (tmp_path / "orchestrator.jsonl").write_text(line(2))
    (group,) = errors_since(tmp_path, SIX)
    assert (group.count, group.new) == (2, False)


def test_a_damaged_copy_spoils_nothing_and_no_log_is_no_error(tmp_path: Path) -> None:
    assert errors_since(tmp_path, SIX) == ()
    (tmp_path / "orchestrator.jsonl.20260301T000000.1Z.gz").write_bytes(b"\x1f\x8bdamaged")
    (tmp_path / "orchestrator.jsonl").write_text(line(2))
    assert [group.count for group in errors_since(tmp_path, SIX)] == [1]
