"""A competent model at work on a task: it reads, changes what is wrong, runs the tests and reports.

With our tools it changes the lines that are wrong; with plain ones it writes each file anew. The turns are the same,
so that only the tools differ. What it does next follows from its own turns in the conversation.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from benchmarks.repairs.tasks import Task, broken_files, project_files
from benchmarks.slips import competent
from benchmarks.slips.competent import Seen
from benchmarks.slips.wire import Body, Reply, ToolCall, with_ids

# A file that is longer is searched and not read.
_LONG = 150
_EXIT_CODE = re.compile(r"exit code (\d+)")


class Way(StrEnum):
    """Which tools the executor has."""

    OURS = "our tools"
    PLAIN = "whole files"


@dataclass(slots=True)
class Counted:
    """What a run has cost. Tokens are characters by four; those read include the tools' descriptions each time."""

    calls: int = 0
    turns: int = 0
    tokens_read: int = 0
    tokens_written: int = 0

    def add(self, role: str, body: Body, reply: Reply) -> None:
        self.calls += 1
        self.turns += role == "executor"
        self.tokens_read += (len(json.dumps(body["messages"])) + len(json.dumps(body.get("tools", "")))) // 4
        self.tokens_written += len(json.dumps(reply.message())) // 4


class RepairModel:
    """The model of one run."""

    def __init__(self, task: Task, way: Way) -> None:
        self._task = task
        self._way = way
        self._broken, self._right = broken_files(task), project_files(task.language)
        self.counted = Counted()

    def answer(self, body: Body) -> Reply:
        """The next answer."""
        request = competent.seen(body)
        match request.role:
            case "planner":
                reply = competent.say(self._plan())
            case "executor":
                reply = with_ids(self._execute(request), f"call_{request.turn}")
            case _:
                reply = competent.say(competent.APPROVED)
        self.counted.add(request.role, body, reply)
        return reply

    def _plan(self) -> Mapping[str, Any]:
        step = {
            "id": "s1",
            "title": self._task.name.capitalize(),
            "instructions": self._task.goal,
            "files": list(self._task.files),
            "depends_on": [],
            "done_when": f"{' '.join(self._task.command)} passes",
        }
        return {"summary": self._task.goal, "steps": [step], "risks": []}

    def _execute(self, request: Seen) -> Reply:
        work = [self._reading(), *([self._searching()] if self._searches else []), self._changing(), [self._testing()]]
        if request.turn < len(work):
            return Reply(calls=tuple(work[request.turn]))
        last = _EXIT_CODE.findall(request.text)[-1:]
        return competent.say({"summary": f"Mended: {self._task.goal}", "done": last == ["0"], "notes": []})

    @property
    def _searches(self) -> bool:
        return self._way is Way.OURS and any(self._is_long(path) for path in self._task.files)

    def _is_long(self, path: str) -> bool:
        return self._broken[path].count("\n") > _LONG

    def _reading(self) -> Sequence[ToolCall]:
        paths = [path for path in self._task.files if self._way is Way.PLAIN or not self._is_long(path)]
        return [self._testing(), *(_call("read_file", path=path) for path in paths)]

    def _searching(self) -> Sequence[ToolCall]:
        return [
            _call("search_files", pattern=self._task.hint, path=path, around=1)
            for path in self._task.files
            if self._is_long(path)
        ]

    def _changing(self) -> Sequence[ToolCall]:
        if self._way is Way.PLAIN:
            return [_call("write_file", path=path, content=self._right[path]) for path in self._task.files]
        if len(self._task.files) > 1:
            return [_call("apply_patch", patch="".join(self._patch(path) for path in self._task.files))]
        (path,) = self._task.files
        pieces = changed_pieces(self._broken[path], self._right[path])
        return [_call("replace_in_file", path=path, old=old, new=new) for old, new in pieces]

    def _patch(self, path: str) -> str:
        before, after = (files[path].splitlines(keepends=True) for files in (self._broken, self._right))
        return "".join(difflib.unified_diff(before, after, f"a/{path}", f"b/{path}"))

    def _testing(self) -> ToolCall:
        return _call("run_command", command=list(self._task.command))


def changed_pieces(before: str, after: str) -> list[tuple[str, str]]:
    """What differs between two texts, as pieces that are at one place each: whole lines, with more of them around where
    that is needed."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    pieces = []
    for kind, start, end, first, last in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        around = 0 if end > start else 1
        while kind != "equal":
            head, tail = max(0, start - around), min(len(old), end + around)
            piece = "".join(old[head:tail])
            if before.count(piece) == 1:
                pieces.append((piece, "".join([*old[head:start], *new[first:last], *old[end:tail]])))
                break
            around += 1
    return pieces


def _call(name: str, **arguments: Any) -> ToolCall:
    return ToolCall(name, json.dumps(arguments))
