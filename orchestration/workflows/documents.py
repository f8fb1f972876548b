"""The documents that a run produces, as Markdown. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from orchestration.workflows.model import CommandRecord, PlanStep, ReviewFinding, ReviewReport, RunPlan, StepReport

PLAN = "plan.md"
PATCH = "changes.patch"
TESTS = "test-report.md"
REVIEW = "review.md"
SUMMARY = "summary.md"
# What agents are told of the project, by the names under which prompts show it.
INSTRUCTIONS = "instructions of the project"
MAP = "map of the project"

REHEARSAL_NOTE = (
    "> **Rehearsal.** No real model wrote this: the rehearsal provider answered from a script. "
    "Configure a real provider for real work.\n\n"
)


def labelled(text: str, *, rehearsal: bool) -> str:
    """The text, with a note on top if it came from the rehearsal provider."""
    return REHEARSAL_NOTE + text if rehearsal else text


def plan_document(goal: str, plan: RunPlan) -> str:
    """The plan, for people and for the next agents."""
    parts = [f"# Plan\n\nGoal: {goal.strip()}\n\n{plan.summary.strip()}\n"]
    parts += [_step(number, step) for number, step in enumerate(plan.steps, 1)]
    if plan.risks:
        parts.append("## Risks\n\n" + _bullets(plan.risks))
    return "\n".join(parts)


def tests_document(reports: Sequence[tuple[PlanStep, StepReport]], checks: Sequence[CommandRecord], facts: str) -> str:
    """What really happened, the executors' reports, and the output of the commands that check the result."""
    parts = ["# Test report\n", *([f"{facts}\n## Reports\n"] if facts else [])]
    for step, report in reports:
        state = "done" if report.done else "NOT done"
        parts.append(f"- {step.id} {step.title}: {state}. {report.summary.strip()}")
        parts += [f"  - {note}" for note in report.notes]
    parts.append("")
    parts += [_command(record) for record in checks] or ["No command was run to check the result."]
    return "\n".join(parts) + "\n"


def review_document(review: ReviewReport) -> str:
    """The verdict and the findings, the worst first."""
    order = ("blocker", "major", "minor", "note")
    findings = sorted(review.findings, key=lambda finding: order.index(finding.severity))
    lines = [f"# Review\n\nVerdict: **{review.verdict.replace('_', ' ')}**\n\n{review.summary.strip()}\n"]
    if findings:
        lines.append("## Findings\n\n" + _bullets([_finding(finding) for finding in findings]))
    return "\n".join(lines)


def contradiction(objections: Sequence[str]) -> ReviewReport:
    """What contradicts an approval, as a review that asks for changes."""
    findings = tuple(ReviewFinding(severity="blocker", message=text) for text in objections)
    summary = "The result does not do what its report says: " + "; ".join(objections)
    return ReviewReport(verdict="changes_requested", summary=summary, findings=findings)


def correction_step(reviews: Sequence[ReviewReport], round_number: int) -> PlanStep:
    """The reviewers' findings as a step for the executor."""
    found = [finding for review in reviews for finding in review.findings]
    summary = "\n\n".join(review.summary.strip() for review in reviews)
    # A reviewer may ask for changes in its summary without listing a finding, and an empty list asks for nothing.
    findings = _bullets([_finding(finding) for finding in found]) or summary
    files = tuple(dict.fromkeys(finding.file for finding in found if finding.file))
    return PlanStep(
        id=f"review-{round_number}",
        title="Make the changes that the reviewer asked for",
        instructions=f"{summary}\n\nFindings:\n\n{findings}",
        files=files,
        done_when="every finding is dealt with and the tests pass",
    )


def _step(number: int, step: PlanStep) -> str:
    lines = [f"## {number}. {step.title} (`{step.id}`)\n", step.instructions.strip(), ""]
    if step.files:
        lines.append("Files: " + ", ".join(f"`{name}`" for name in step.files) + "\n")
    if step.depends_on:
        lines.append("After: " + ", ".join(step.depends_on) + "\n")
    if step.done_when:
        lines.append(f"Done when: {step.done_when.strip()}\n")
    return "\n".join(lines)


def _finding(finding: ReviewFinding) -> str:
    place = f" `{finding.file}{f':{finding.line}' if finding.line else ''}`" if finding.file else ""
    return f"**{finding.severity}**{place}: {finding.message.strip()}"


def failed_check(record: CommandRecord) -> str:
    """A failed check as the reason of a run."""
    return f"the check `{' '.join(record.command)}` did not pass ({_ending(record)})"


def _ending(record: CommandRecord) -> str:
    return "stopped" if record.exit_code is None else f"exit code {record.exit_code}"


def _command(record: CommandRecord) -> str:
    verdict = "passed" if record.exit_code == 0 else f"FAILED ({_ending(record)})"
    return f"## `{' '.join(record.command)}`: {verdict}\n\n```\n{record.output.rstrip()}\n```\n"


def _bullets(items: Sequence[str]) -> str:
    return "".join(f"- {item}\n" for item in items)
