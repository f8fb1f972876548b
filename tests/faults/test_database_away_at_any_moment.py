"""The database is away for a second, at any moment of a run: the run waits for it, and ends as if nothing had been."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from orchestration.domain.run_status import RunStatus
from tests.integration.agents.rooms import DONE, calls, rooms, says

PLAN = says({"summary": "s", "steps": [{"id": "a", "title": "t", "instructions": "write it", "files": ["note.txt"]}]})
APPROVED = says({"verdict": "approved", "summary": "good"})
AGENTS: list[dict[str, Any]] = [
    {"id": "planner", "tools": ["read_file"], "outputs": ["plan.md"]},
    {"id": "executor", "tools": ["read_file", "write_file"], "requires": ["plan.md"], "outputs": ["changes.patch"]},
    {"id": "reviewer", "tools": ["read_file"], "requires": ["changes.patch"], "outputs": ["review.md"]},
]
SECONDS = 1.0
# What SQLite says of a file that cannot be opened, and of a disk that cannot be read.
ERRORS = [(sqlite3.SQLITE_CANTOPEN, "unable to open database file"), (sqlite3.SQLITE_IOERR_WRITE, "disk I/O error")]


class Outage:
    """Lets every statement of these threads fail for some seconds, from the one with this number on."""

    def __init__(self, begins_with: int, code: int, message: str) -> None:
        self._begins_with = begins_with
        self._code, self._message = code, message
        self._lock = threading.Lock()
        self._begun: float | None = None
        self.statements = 0
        self.refused = 0

    def __call__(self, *_: Any) -> None:
        with self._lock:
            self.statements += 1
            if self.statements == self._begins_with:
                self._begun = time.monotonic()
            if self._begun is None or time.monotonic() - self._begun > SECONDS:
                return
            self.refused += 1
        error = sqlite3.OperationalError(self._message)
        error.sqlite_errorcode = self._code
        raise error


def script(body: dict[str, Any]) -> Any:
    text = str(body["messages"][0]["content"])
    if "Role: planner" in text:
        return PLAN
    if "Role: reviewer" in text:
        return APPROVED
    begun = any(message["role"] == "assistant" for message in body["messages"])
    return DONE if begun else calls(("write_file", {"path": "note.txt", "content": "hello\n"}))


async def a_run(root: Path, outage: Outage) -> tuple[RunStatus, str]:
    async with rooms(root, script, AGENTS) as (project, _):
        event.listen(sa.Engine, "before_cursor_execute", outage)
        try:
            run = await project.run(agent=None)
            return run.status, run.reason
        finally:
            event.remove(sa.Engine, "before_cursor_execute", outage)


async def test_a_run_waits_for_the_database_and_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    quiet = Outage(0, 0, "")
    assert await a_run(tmp_path / "quiet", quiet) == (RunStatus.SUCCEEDED, "")
    assert quiet.statements > 50, "too few moments to choose from"
    chosen = random.Random(7)
    for number in range(6):
        code, message = ERRORS[number % len(ERRORS)]
        # Not among the first statements: a goal that cannot be recorded is refused, and nothing was promised.
        outage = Outage(chosen.randrange(quiet.statements // 5, quiet.statements), code, message)
        ended = await a_run(tmp_path / str(number), outage)
        assert outage.refused
        assert ended == (RunStatus.SUCCEEDED, ""), (number, outage.statements)
