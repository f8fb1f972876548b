"""The job of the slips for a peer: plan, execute, review, with the tools and forms that our own agents have.

Standard library and pydantic only: it runs in each peer's own environment, as
`python -m benchmarks.contenders.slips_NAME`, which reads one job a line and answers with one line each. What is a
framework's is in the adapters; what any program around a framework needs is here: the order of the steps, a second
conversation after a failure, a second round after a review that asks for changes.
"""

from __future__ import annotations

import functools
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from pydantic import BaseModel

ATTEMPTS = 2
REVIEWS = 3
MODEL = "scripted"
MOST_CALLS = 60

T = TypeVar("T")


class Step(BaseModel):
    id: str
    title: str
    instructions: str
    files: list[str] = []
    depends_on: list[str] = []
    done_when: str = ""


class Plan(BaseModel):
    summary: str
    steps: list[Step]
    risks: list[str] = []


class Report(BaseModel):
    summary: str
    done: bool
    notes: list[str] = []


class Finding(BaseModel):
    severity: Literal["blocker", "major", "minor", "note"]
    message: str
    file: str | None = None
    line: int | None = None


class Review(BaseModel):
    verdict: Literal["approved", "changes_requested"]
    summary: str
    findings: list[Finding] = []


@dataclass(frozen=True)
class Job:
    """One run: the server, the folder, the goal, whether answers are streamed, and whether only a text is wanted."""

    url: str
    workspace: Path
    goal: str
    stream: bool
    text_only: bool


class Framework(Protocol):
    """What an adapter does: one conversation of one agent, to its structured answer or its text. Raises whatever the
    framework raises."""

    def converse(self, job: Job, role: str, prompt: str, form: type[BaseModel] | None) -> Any: ...


class Tools:
    """The tools, as plain functions. A mistake is told to the model as text."""

    def __init__(self, workspace: Path) -> None:
        self._root = workspace

    def read_file(self, path: str, start_line: int = 1, end_line: int | None = None) -> str:
        """Read a text file, whole or some of its lines."""
        lines = self._text(path).splitlines(keepends=True)
        return "".join(lines[start_line - 1 : end_line])

    def list_files(self, path: str = ".") -> str:
        """List the files below a folder."""
        files = sorted(found for found in self._inside(path).rglob("*") if found.is_file())
        return "\n".join(str(found.relative_to(self._root)) for found in files)

    def write_file(self, path: str, content: str) -> str:
        """Write a whole file, new or in the place of what was there."""
        target = self._inside(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
        return f"wrote {path}"

    def replace_in_file(self, path: str, old: str, new: str) -> str:
        """Replace one piece of a file. The piece must be in it at exactly one place."""
        text = self._text(path)
        if text.count(old) != 1:
            raise ValueError(f"`old` was found {text.count(old)} times in {path}; it must be there exactly once")
        self._inside(path).write_text(text.replace(old, new), encoding="utf-8")
        return f"replaced in {path}"

    def run_command(self, command: list[str] | str) -> str:
        """Run a command in the workspace, for example the tests."""
        words = shlex.split(command) if isinstance(command, str) else command
        done = subprocess.run(
            words, cwd=self._root, capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL
        )
        return f"{done.stdout}{done.stderr}\n[exit code {done.returncode}]"

    def _inside(self, path: str) -> Path:
        found = (self._root / path).resolve()
        if not found.is_relative_to(self._root.resolve()):
            raise ValueError(f"{path} is outside the workspace")
        return found

    def _text(self, path: str) -> str:
        return self._inside(path).read_text(encoding="utf-8")


def told(function: Callable[..., str]) -> Callable[..., str]:
    """A tool whose mistakes become text for the model, as the frameworks' guides advise. Keeps its signature."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> str:
        try:
            return function(*args, **kwargs)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            return f"error: {error}"

    return call


def tools_for(job: Job, role: str) -> list[Callable[..., str]]:
    """The tools of a role: only the executor changes files and runs commands."""
    tools = Tools(job.workspace)
    reading = [tools.read_file, tools.list_files]
    changing = [tools.write_file, tools.replace_in_file, tools.run_command] if role == "executor" else []
    return [told(tool) for tool in (*reading, *changing)]


def system(role: str) -> str:
    """An agent's instructions; the scripted model goes by their first line."""
    return f"Role: {role}\nYou are the {role} of a small team. Work with your tools, then answer in the form asked for."


class FailedError(Exception):
    """The job cannot be finished, and says so."""


def run(framework: Framework, job: Job) -> dict[str, str]:
    """The whole job."""
    try:
        if job.text_only:
            return {"status": "succeeded", "text": str(_ask(framework, job, "worker", f"Goal: {job.goal}", None))}
        _work(framework, job)
    except FailedError as error:
        return {"status": "failed", "reason": str(error)}
    except Exception as error:  # noqa: BLE001 (whatever a framework raises has reached its caller)
        return {"status": "failed", "reason": f"{type(error).__module__}.{type(error).__name__}: {str(error)[:300]}"}
    return {"status": "succeeded"}


def _work(framework: Framework, job: Job) -> None:
    plan = _ask(framework, job, "planner", f"Goal: {job.goal}\nPlan the work in small steps.", Plan)
    for step in plan.steps:
        _execute(framework, job, f"Your step: {step.title}. {step.instructions}\nDone when: {step.done_when}")
    for _ in range(REVIEWS):
        prompt = f"Goal: {job.goal}\nReview the change.\n{_difference(job)}"
        review = _ask(framework, job, "reviewer", prompt, Review)
        if review.verdict == "approved":
            return
        found = "; ".join(finding.message for finding in review.findings)
        _execute(framework, job, f"The review asks for changes: {review.summary} {found}")
    raise FailedError("the review was not passed")


def _execute(framework: Framework, job: Job, task: str) -> None:
    for _ in range(ATTEMPTS):
        report = _ask(framework, job, "executor", f"Goal: {job.goal}\n{task}", Report)
        if report.done:
            return
    raise FailedError(f"a step was not done: {report.summary}")


def _ask(framework: Framework, job: Job, role: str, prompt: str, form: type[T] | None) -> Any:
    """One conversation, begun anew if it fails."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _of_form(framework.converse(job, role, prompt, form), role, form)
        except Exception as error:
            print(f"{role}, attempt {attempt}: {error!r}"[:500], file=sys.stderr, flush=True)
            if attempt == ATTEMPTS:
                raise
    raise AssertionError


def _of_form(answer: Any, role: str, form: type[T] | None) -> Any:
    if form is not None and not isinstance(answer, form):
        raise FailedError(f"the {role} gave no {form.__name__}, but {str(answer)[:200]!r}")
    return answer


def _difference(job: Job) -> str:
    """What a reviewer needs: the changes, and the files as they are."""
    done = subprocess.run(
        ["git", "diff", "--no-index", "--", str(job.workspace.parent / "before"), str(job.workspace)],
        capture_output=True,
        text=True,
        check=False,
    )
    return f"The difference:\n{done.stdout or '(nothing was changed)'}"


def serve(framework: Framework) -> None:
    """Do one job a line. What the framework prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        given = json.loads(line)
        job = Job(**{**given, "workspace": Path(given["workspace"])})
        print(json.dumps(run(framework, job)), file=answers, flush=True)
