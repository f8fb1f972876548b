"""What happened in a run, beside what its agents say: the difference, the commands, the tool calls. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from orchestration.workflows.model import CommandRecord, PlanStep, RunPlan, WorkFacts

_SHELLS = frozenset({"bash", "sh", "zsh", "dash"})
_MOST_FILES = 20
# The one step of an executor that works without a plan.
WHOLE_GOAL = "goal"


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is known about the work on a plan, or without one on the whole goal.

    `tools` is None where an agent's tools are not ours to count; `fresh` says whether the last execution changed
    anything. `unneeded` says that the executor reports expressly that nothing had to be changed, and `checked` that the
    run's own checks pass.
    """

    plan: RunPlan | None
    patch: str
    commands: tuple[CommandRecord, ...] = ()
    tools: WorkFacts | None = None
    fresh: bool = True
    unneeded: bool = False
    checked: bool = False

    @property
    def missing_change(self) -> str:
        """What contradicts a claim that a wanted change was made; an empty text if nothing does."""
        wanted = wanted_files(self.plan)
        if self.patch.strip():
            return ""
        if self.plan is None and self.tools is not None and not self.checked:
            return self._unfounded(self.tools)
        if not wanted:
            return ""
        return f"the plan wanted changes in {', '.join(wanted)}, but nothing in the workspace has changed"

    def _unfounded(self, tools: WorkFacts) -> str:
        """What speaks against a report without a plan that the work is done, where nothing has changed."""
        if not self.unneeded:
            return "the executor reports that it is done, but nothing in the workspace has changed"
        if tools.calls == tools.failed and not self.commands:
            return "the executor reports that nothing had to be changed, but it has looked at nothing"
        return ""

    @property
    def failing_commands(self) -> tuple[CommandRecord, ...]:
        """The commands that the plan names as proof, and that failed when they were last run."""
        steps = self.plan.steps if self.plan else ()
        proofs = (proof_of(step, self.commands) for step in steps)
        return tuple(dict.fromkeys(one for one in proofs if one is not None and one.exit_code != 0))

    @property
    def objections(self) -> tuple[str, ...]:
        """What speaks against the claim that the work is done."""
        failing = (f"`{shlex.join(one.command)}` failed when it was last run" for one in self.failing_commands)
        return tuple(text for text in (self.missing_change, *failing) if text)


def wanted_files(plan: RunPlan | None) -> tuple[str, ...]:
    """The files that a plan wants to be changed."""
    return tuple(dict.fromkeys(file for step in plan.steps for file in step.files)) if plan else ()


def last_runs(commands: Sequence[CommandRecord]) -> tuple[CommandRecord, ...]:
    """The last execution of each command."""
    return tuple({record.command: record for record in commands}.values())


def proof_of(step: PlanStep | None, commands: Sequence[CommandRecord]) -> CommandRecord | None:
    """The last execution of the command by which a step is done: `done_when` names it, as it was run or without the
    shell around it. The longest counts, since a shorter one may check more than was asked for."""
    wanted = " ".join(word.strip("`'\",;") for word in step.done_when.split()) if step else ""
    found = [one for one in last_runs(commands) if _line(one.command) and _line(one.command) in wanted]
    return max(found, key=lambda one: len(_line(one.command)), default=None)


def facts_section(facts: RunFacts) -> str:
    """What did and what did not happen, for the reviewer and for people."""
    lines = ["## Facts", "", *(f"- {line}" for line in _lines(facts))]
    return "\n".join(lines) + "\n"


def changed_files(patch: str) -> tuple[str, ...]:
    """The names in the headers of a patch in git's form."""
    headers = (line for line in patch.splitlines() if line.startswith("diff --git "))
    return tuple(dict.fromkeys(line.rpartition(" b/")[2].strip('"') for line in headers))


def _lines(facts: RunFacts) -> list[str]:
    files = changed_files(facts.patch)
    more = f" and {len(files) - _MOST_FILES} more" if len(files) > _MOST_FILES else ""
    changed = f"Changed: {', '.join(files[:_MOST_FILES])}{more}." if files else "Nothing was changed in the workspace."
    untouched = [name for name in wanted_files(facts.plan) if name not in files]
    lines = [changed]
    if untouched and files:
        lines.append(f"Named by the plan, and not changed: {', '.join(untouched[:_MOST_FILES])}.")
    if not facts.fresh:
        lines.append("The last round of corrections changed nothing.")
    lines += [_ran(record) for record in last_runs(facts.commands)] or ["No command was run, so no test either."]
    if facts.tools is not None:
        tools = facts.tools
        lines.append(f"Tool calls: {tools.calls}, of which {tools.failed} failed and {tools.changes} wrote files.")
    return lines + [f"CONTRADICTION: {text}." for text in facts.objections]


def _ran(record: CommandRecord) -> str:
    end = "was stopped" if record.exit_code is None else f"ended with exit code {record.exit_code}"
    return f"`{shlex.join(record.command)}` {end} when it was last run."


def _line(command: Sequence[str]) -> str:
    """A command as people write it; an empty text for a single word, which may be part of any sentence."""
    words = list(command)
    if len(words) >= 3 and words[0].rpartition("/")[2] in _SHELLS and words[1].startswith("-"):
        words = words[2].split()
    return " ".join(words) if len(words) > 1 else ""
