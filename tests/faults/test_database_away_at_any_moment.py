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
# Of planner, executor (twice) and reviewer.
CALLS = 4
LAST_STATEMENT = 15
# What SQLite says of a file that cannot be opened, and of a disk that cannot be read.
ERRORS = [(sqlite3.SQLITE_CANTOPEN, "unable to open database file"), (sqlite3.SQLITE_IOERR_WRITE, "disk I/O error")]


class Outage:
    """Lets every statement fail for some seconds: from the one with this number on, counted from a model call.

    Not from the beginning: how often something is asked of the database depends on how busy the machine is.
    """

    def __init__(self, call: int, statement: int, code: int, message: str) -> None:
        self._call, self._statement = call, statement
        self._code, self._message = code, message
        self._lock = threading.Lock()
        self._begun: float | None = None
        self._calls = 0
        self.since_call = 0
        self.refused = 0

    def model_called(self) -> None:
        with self._lock:
            self._calls += 1
            self.since_call = 0

    def __call__(self, *_: Any) -> None:
        with self._lock:
            self.since_call += 1
            if self._begun is None and self._calls == self._call and self.since_call == self._statement:
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
    def watched(body: dict[str, Any]) -> Any:
        outage.model_called()
        return script(body)

    async with rooms(root, watched, AGENTS) as (project, _):
        event.listen(sa.Engine, "before_cursor_execute", outage)
        try:
            run = await project.run(agent=None)
            return run.status, run.reason
        finally:
            event.remove(sa.Engine, "before_cursor_execute", outage)


async def test_a_run_waits_for_the_database_and_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    quiet = Outage(0, 0, 0, "")
    assert await a_run(tmp_path / "quiet", quiet) == (RunStatus.SUCCEEDED, "")
    assert quiet.since_call > LAST_STATEMENT, "the run may end before the outage begins"
    chosen = random.Random(7)
    for number in range(6):
        code, message = ERRORS[number % len(ERRORS)]
        # Not before the first call: a goal that cannot be recorded is refused, and nothing was promised.
        call, statement = chosen.randint(1, CALLS), chosen.randint(1, LAST_STATEMENT)
        outage = Outage(call, statement, code, message)
        ended = await a_run(tmp_path / str(number), outage)
        assert outage.refused
        assert ended == (RunStatus.SUCCEEDED, ""), (call, statement)
