"""What scenes are made of."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from orchestration.rehearsal.conversation import RehearsalReply, RehearsalRequest
from orchestration.rehearsal.labels import LABEL

# What unittest says at its end (`\n` may stand escaped inside JSON), or how a command ended.
_VERDICT = re.compile(r"Ran \d+ tests? in [\d.]+s(?:\s|\\n)+(OK|FAILED)|\bexit[a-z_ ]{0,12}\W{1,3}(\d+)")
_CHANGE = re.compile(r"^(diff --git |\+\+\+ |@@ )", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Scene:
    """A situation that the rehearsal model knows, and what it says in it."""

    name: str
    fits: Callable[[RehearsalRequest], bool]
    reply: Callable[[RehearsalRequest], RehearsalReply]


def say(**fields: Any) -> RehearsalReply:
    """An answer in JSON, as the agents' answer schemas want it."""
    return RehearsalReply(json.dumps(fields, ensure_ascii=False))


def executed(summary: str, *, done: bool, notes: tuple[str, ...] = ()) -> RehearsalReply:
    """An executor's last word on its step."""
    return say(summary=f"{LABEL} {summary}", done=done, notes=list(notes))


def reviewed(summary: str, *findings: dict[str, Any], approved: bool) -> RehearsalReply:
    """A reviewer's verdict."""
    verdict = "approved" if approved else "changes_requested"
    return say(verdict=verdict, summary=f"{LABEL} {summary}", findings=list(findings))


def finding(severity: str, message: str, file: str | None = None) -> dict[str, Any]:
    """Something that a reviewer has to say about a file or about the whole."""
    return {"severity": severity, "file": file, "line": None, "message": f"{LABEL} {message}"}


def tests_pass(text: str) -> bool:
    """Whether the last test run that a text shows was green; no run at all is not."""
    verdicts = [unittest or code for unittest, code in _VERDICT.findall(text)]
    return bool(verdicts) and verdicts[-1] in ("OK", "0")


def has_changes(text: str) -> bool:
    """Whether a text holds a difference with at least one change."""
    return _CHANGE.search(text) is not None
