"""The older part of a conversation in short: what was done in it, and what a model is given to sum it up from. Pure.

What was done is taken from the tool calls and their results, never from what a model says of them, so that a summary
which is wrong or missing does not lose it.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestration.agents.text import excerpt
from orchestration.workflows.model import CommandRecord

_LONGEST_LINE = 160
_LONGEST_CALL = 300
# How much of each message a model is shown, in characters, until all of it fits.
_ALLOWANCES = (2000, 1000, 500, 240, 120, 60)
_SAID = 8
# The files that a unified diff changes; one that it deletes has no name after the change.
_PATCHED = re.compile(r"^(?:\+\+\+|---) (?:[ab]/)?(?!/dev/null)(\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PastCall:
    """A tool call of a conversation: its arguments as the model wrote them, whether it succeeded, and the command that
    it ran."""

    name: str
    arguments: str
    ok: bool
    reads_only: bool
    command: CommandRecord | None = None

    @property
    def about(self) -> str:
        """Its subject in a few words."""
        try:
            values = json.loads(self.arguments or "{}")
        except (ValueError, RecursionError):
            return ""
        if not isinstance(values, dict):
            return ""
        patched = dict.fromkeys(_PATCHED.findall(str(values.get("patch") or "")))
        named = [str(values[name]) for name in ("pattern", "path", "to") if values.get(name)]
        return excerpt(", ".join(patched) or " → ".join(named), _LONGEST_LINE)


def digest(calls: Sequence[PastCall], said: Sequence[str], characters: int) -> str:
    """What was done in a part of a conversation, the latest first, in so many characters at most."""
    parts = (
        ("Changed", _unique(f"{one.about} ({one.name})" for one in calls if one.ok and _writes(one))),
        ("Commands, with the last result of each", _verdicts(calls)),
        ("Failed", _unique(f"{one.name} {one.about}".strip() for one in calls if not one.ok and one.command is None)),
        ("Read or searched", _unique(f"{one.about} ({one.name})" for one in calls if one.ok and one.reads_only)),
        ("You said", [excerpt(text, _LONGEST_LINE) for text in reversed(said) if text.strip()][:_SAID]),
    )
    shown = [(title, lines) for title, lines in parts if lines]
    # Each part gets an equal share of what the parts before it have left.
    found: list[str] = []
    for place, (title, lines) in enumerate(shown):
        found.append(_fitted(title, lines, (characters - sum(map(len, found))) // (len(shown) - place)))
    return "\n".join(found) if found else "Nothing was done with tools."


def transcript(messages: Sequence[Mapping[str, Any]], characters: int) -> str:
    """The messages as a text of so many characters at most: all of them, with less and less of each; then the latest
    only."""
    lines: list[str] = []
    for most in _ALLOWANCES:
        lines = [line for message in messages for line in _lines(message, most)]
        if sum(len(line) + 1 for line in lines) <= characters:
            return "\n".join(lines)
    kept = _latest(lines, characters - _LONGEST_LINE)
    return "\n".join([f"[… {len(lines) - len(kept)} earlier lines left out]", *kept])


def _writes(call: PastCall) -> bool:
    return not call.reads_only and call.command is None


def _verdicts(calls: Sequence[PastCall]) -> list[str]:
    last = {one.command.command: one.command for one in calls if one.command is not None}
    order = _unique(shlex.join(one.command.command) for one in calls if one.command is not None)
    by_text = {shlex.join(command): record for command, record in last.items()}
    return [f"`{excerpt(text, _LONGEST_LINE)}`: {_verdict(by_text[text])}" for text in order]


def _verdict(record: CommandRecord) -> str:
    code = "was stopped" if record.exit_code is None else f"exit code {record.exit_code}"
    lines = [line for line in record.output.splitlines() if line.strip()]
    return f"{code}; {excerpt(lines[-1], _LONGEST_LINE)}" if lines else code


def _unique(texts: Iterable[str]) -> list[str]:
    """Each text once, the latest first."""
    return list(dict.fromkeys(reversed([text for text in texts if text.strip(" ()")])))


def _fitted(title: str, lines: Sequence[str], characters: int) -> str:
    head, used = f"{title}:", len(title) + 1
    shown: list[str] = []
    for line in lines:
        used += len(line) + 3
        # Room for the line that says how many are not shown.
        if used > characters - 30:
            return "\n".join([head, *shown, f"- … and {len(lines) - len(shown)} more"])
        shown.append(f"- {line}")
    return "\n".join([head, *shown])


def _lines(message: Mapping[str, Any], most: int) -> Iterator[str]:
    role, content = message.get("role"), message.get("content")
    text = content if isinstance(content, str) else ""
    if text.strip():
        yield f"[{'result' if role == 'tool' else role}] {_shortened(text.strip(), most)}"
    for call in message.get("tool_calls") or ():
        function = call["function"]
        yield f"[call] {function['name']} {_shortened(str(function['arguments']), min(most, _LONGEST_CALL))}"


def _shortened(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    return f"{text[: most // 2]} […] {text[len(text) - most // 2 :]}"


def _latest(lines: Sequence[str], characters: int) -> list[str]:
    kept: list[str] = []
    for line in reversed(lines):
        characters -= len(line) + 1
        if characters < 0:
            break
        kept.append(line)
    return kept[::-1]
