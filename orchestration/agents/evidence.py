"""What an agent has really done, from its recorded tool calls: what its report is held against. Pure."""

from __future__ import annotations

import shlex

from orchestration.workflows.model import AgentTask, CommandRecord, WorkFacts
from orchestration.workflows.work_facts import WHOLE_GOAL, proof_of


class Evidence:
    """The tool calls of an agent in all its attempts at a task."""

    def __init__(self) -> None:
        self.facts = WorkFacts()
        self.commands: list[CommandRecord] = []

    def add(self, *, ok: bool, reads_only: bool, command: CommandRecord | None) -> None:
        """Add a tool call."""
        wrote = ok and not reads_only and command is None
        self.facts = self.facts.plus(WorkFacts(calls=1, failed=int(not ok), changes=int(wrote)))
        if command is not None:
            self.commands.append(command)

    def objection(self, task: AgentTask, *, unneeded: bool = False) -> str:
        """What contradicts a report that the task is done; an empty text if nothing does. `unneeded` says that the
        report says expressly that nothing had to be changed."""
        proof = proof_of(task.step, self.commands)
        if proof is not None and proof.exit_code != 0:
            end = "was stopped" if proof.exit_code is None else f"ended with exit code {proof.exit_code}"
            return f"`{shlex.join(proof.command)}`, by which the step is done, {end} when you last ran it"
        if self.facts.changes:
            return ""
        if task.step is not None and task.step.id == WHOLE_GOAL and not unneeded:
            return 'you have written no file (if no file had to be changed, report that with "nothing_to_change": true)'
        if self.commands:
            return ""
        if task.step is not None and task.step.files:
            return f"you have changed nothing in {', '.join(task.step.files)}, and run no command"
        if self.facts.calls == self.facts.failed:
            return "you have used no tool, so that nothing was done or seen"
        return ""
