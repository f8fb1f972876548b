"""The parts that scenes share."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from orchestration.rehearsal.conversation import RehearsalReply, RehearsalRequest
from orchestration.rehearsal.labels import LABEL

# The last line of unittest (`\n` may be escaped inside JSON), or the exit code of a command.
_VERDICT = re.compile(r"Ran \d+ tests? in [\d.]+s(?:\s|\\n)+(OK|FAILED)|\bexit[a-z_ ]{0,12}\W{1,3}(\d+)")
_CHANGE = re.compile(r"^(diff --git |\+\+\+ |@@ )", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Scene:
    """A situation that the rehearsal model recognises, and its reply."""

    name: str
    matches: Callable[[RehearsalRequest], bool]
    reply: Callable[[RehearsalRequest], RehearsalReply]


def json_reply(**fields: Any) -> RehearsalReply:
    """An answer in JSON, as the agents' answer schemas want it."""
    return RehearsalReply(json.dumps(fields, ensure_ascii=False))


def executed(summary: str, *, done: bool, notes: tuple[str, ...] = ()) -> RehearsalReply:
    """An executor's final answer on its step."""
    return json_reply(summary=f"{LABEL} {summary}", done=done, notes=list(notes))


def reviewed(summary: str, *findings: dict[str, Any], approved: bool) -> RehearsalReply:
    """A reviewer's verdict."""
    verdict = "approved" if approved else "changes_requested"
    return json_reply(verdict=verdict, summary=f"{LABEL} {summary}", findings=list(findings))


def finding(severity: str, message: str, file: str | None = None) -> dict[str, Any]:
    """A reviewer's finding about a file or the whole change."""
    return {"severity": severity, "file": file, "line": None, "message": f"{LABEL} {message}"}


def tests_pass(text: str) -> bool:
    """Whether the last test run in a text passed; a text without any has not passed."""
    verdicts = [unittest or code for unittest, code in _VERDICT.findall(text)]
    return bool(verdicts) and verdicts[-1] in ("OK", "0")


def has_changes(text: str) -> bool:
    """Whether a text contains a diff with at least one change."""
    return _CHANGE.search(text) is not None
