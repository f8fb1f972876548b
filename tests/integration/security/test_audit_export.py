"""An exported trail shows entries that were cut off at the end, which the chain alone cannot."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.support.console import ConsoleProject


def test_a_trail_that_was_cut_off_is_noticed_by_its_export(tmp_path: Path) -> None:
    project = ConsoleProject(tmp_path / "p")
    for name in ("ada", "ben", "cleo"):
        assert project.call("tokens", "create", name).code == 0
    file = tmp_path / "audit.jsonl"
    done = project.call("audit", "export", str(file), "--json").json()
    assert (done["lines"], len(done["digest"]), file.stat().st_mode & 0o777) == (3, 64, 0o600)
    assert project.call("audit", "export", str(file)).code == 2, "no export is written over"
    assert project.call("audit", "verify", "--export", str(file)).code == 0
    project.call("tokens", "create", "dora")
    assert project.call("audit", "verify", "--export", str(file)).code == 0, "later entries are no change"
    with closing(sqlite3.connect(project.root / "var" / "orchestrator.db")) as database, database:
        database.execute("DELETE FROM audit WHERE sequence >= 3")
    assert project.call("audit", "verify").code == 0
    found = project.call("audit", "verify", "--export", str(file), "--json")
    assert (found.code, found.json()["broken_at"]) == (1, 3)
    (tmp_path / "other").write_text("{}")
    assert project.call("audit", "verify", "--export", str(tmp_path / "other")).code == 2
