"""Tables and texts for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestration.cli.output import visible
from orchestration.domain.console_command import PROGRAM
from orchestration.domain.run_status import RunStatus
from orchestration.runs.next_steps import next_steps
from orchestration.storage.runs import Run

COLOURS = {
    RunStatus.SUCCEEDED: "green",
    RunStatus.FAILED: "red",
    RunStatus.NOT_APPROVED: "yellow",
    RunStatus.INCOMPLETE: "yellow",
    RunStatus.WAITING: "yellow",
    RunStatus.STOPPED: "yellow",
    RunStatus.CANCELLED: "dim",
}


def console() -> Console:
    """Where text goes: in colour on a terminal, plain and unwrapped elsewhere."""
    # Without highlighting: rich would colour numbers and paths in texts by its own patterns
    # (https://rich.readthedocs.io/en/stable/highlighting.html).
    output = Console(highlight=False)
    # Without a terminal rich falls back to 80 columns (https://rich.readthedocs.io/en/stable/console.html), which
    # would fold rows that scripts read line by line.
    return output if output.is_terminal else Console(highlight=False, width=200, no_color=True)


def table(columns: Sequence[str], rows: Sequence[Sequence[str | Text]]) -> Table:
    """A plain table without lines."""
    result = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for name in columns:
        # Folded and not cut: a cut identifier cannot be copied into the next command.
        result.add_column(name, overflow="fold")
    for row in rows:
        # As Text, because rich reads square brackets in a string as markup, and titles such as `[drill] …` would lose
        # them (https://rich.readthedocs.io/en/stable/markup.html).
        result.add_row(*(Text(visible(cell)) if isinstance(cell, str) else cell for cell in row))
    return result


def runs_table(runs: Sequence[Run], now: datetime) -> Table:
    """Runs, one a line."""
    return table(
        ("RUN", "STATUS", "AGE", "PRIORITY", "GOAL"),
        [
            (
                run.id,
                Text(run.status.value, style=COLOURS.get(run.status, "")),
                age(now, run.created_at),
                run.priority,
                first_line(run.goal, 70),
            )
            for run in runs
        ],
    )


def alarm_line(incident: str, severity: str, title: str, since: str, program: str = PROGRAM) -> str:
    """A severe incident that nobody has acknowledged, with the command that acknowledges it."""
    shown = first_line(title, 70)
    return f"{severity} not acknowledged for {since}: {shown}  ->  {program} incidents ack {incident}"


def storm_line(incident: str, severity: str, title: str, program: str = PROGRAM) -> str:
    """A storm that goes on, with the command that shows it."""
    return f"{severity} {first_line(title, 70)}  ->  {program} incidents show {incident}"


def age(now: datetime, then: datetime) -> str:
    """How long ago, in the largest unit that fits."""
    # Never negative: the time may come from a machine whose clock is ahead.
    seconds = max(0, int((now - then).total_seconds()))
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def first_line(text: str, width: int) -> str:
    """The first line of a text, cut to a width."""
    line = text.strip().splitlines()[0] if text.strip() else ""
    return line if len(line) <= width else line[: width - 1] + "…"


def used(use: Mapping[str, Any]) -> str:
    """What was used, in words."""
    money = f", ${use['usd']:.4f}" if use["usd"] else ""
    cached = f" ({use['cached_tokens']} from a prompt cache)" if use.get("cached_tokens") else ""
    return f"{use['seconds']:.1f} s of work, {use['model_calls']} model calls, {use['tokens']} tokens{cached}{money}"


def outcome_text(run: Run, artifacts: Sequence[Path]) -> str:
    """How a run came out, where to look, and what to do next."""
    lines = [f"\n{run.id}: {run.status.value}" + (f": {run.reason}" if run.reason else "")]
    if run.outcome:
        lines.append(f"  used       {used(run.outcome['use'])}")
        if run.outcome["use"]["rehearsal"]:
            lines.append("  rehearsal  answered by the rehearsal provider, not by a real model")
        lines += [f"  finding    {_finding(finding)}" for finding in run.outcome.get("findings", ())]
    lines.append(f"  workspace  {run.workspace}")
    if run.has_worktree:
        lines.append(f"  worktree   {run.folder}")
        lines.append(f"  branch     {run.branch}")
    lines += [f"  artifact   {path}" for path in artifacts]
    lines += [f"  {step.name:<10} {step.command}" for step in next_steps(run, artifacts)]
    return "\n".join(lines)


def _finding(finding: Mapping[str, Any]) -> str:
    line = f":{finding['line']}" if finding.get("line") else ""
    place = f" {finding['file']}{line}" if finding.get("file") else ""
    return f"{finding['severity']}{place}: {first_line(finding['message'], 200)}"
