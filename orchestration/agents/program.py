"""A program that is an agent: its command line, what it is given, and what it says. Pure but for the files of its task.

The protocol is in docs/reference/agent-protocol.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from orchestration.agents import prompts
from orchestration.agents.sandbox import HeadAndEnd
from orchestration.workflows.model import AgentTask, StepReport, TextAnswer

# The programs of other people know the gateway by one of these: OpenAI's SDK, LiteLLM (aider, CrewAI), OpenHands, and
# the clients of Anthropic and Ollama.
_ADDRESSES = {
    **dict.fromkeys(("OPENAI_BASE_URL", "OPENAI_API_BASE", "LLM_BASE_URL"), "http://127.0.0.1:{port}/v1"),
    # These clients add the rest themselves.
    **dict.fromkeys(("ANTHROPIC_BASE_URL", "OLLAMA_HOST"), "http://127.0.0.1:{port}"),
}
ADDRESS_VARIABLES = tuple(_ADDRESSES)
_KEY_VARIABLES = ("OPENAI_API_KEY", "LLM_API_KEY", "ANTHROPIC_API_KEY", "OLLAMA_API_KEY")
_PLACEHOLDER = re.compile(r"\{(goal|goal_file|task_file|answer_file|documents|workspace|project|state)\}")
_LONGEST_LINE = 1_000_000
_PROGRESS, _ANSWER = "progress", "answer"
_NO_NAME = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, slots=True)
class Program:
    """A command line, its name for people, and the folders of our state that it may read."""

    words: tuple[str, ...]
    name: str
    kept: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class TaskFiles:
    """Where a program finds its task, and leaves its answer: below `folder`. `state` outlives the program, until the
    agent has answered."""

    folder: Path
    state: Path
    workspace: Path
    project: Path

    @property
    def task(self) -> Path:
        return self.folder / "task.json"

    @property
    def goal(self) -> Path:
        return self.folder / "goal.md"

    @property
    def documents(self) -> Path:
        return self.folder / "documents"

    @property
    def answer(self) -> Path:
        return self.folder / "answer"

    def write(self, task: AgentTask, instructions: str, output: type[BaseModel]) -> None:
        """Write the task, the goal and the documents."""
        self.documents.mkdir()
        for name, text in task.context.items():
            (self.documents / (_NO_NAME.sub("_", name).lstrip(".") or "document")).write_text(text, encoding="utf-8")
        self.goal.write_text(prompts.task_prompt(task), encoding="utf-8")
        form = None if output is TextAnswer else output.model_json_schema()
        more = {"workspace": str(self.workspace), "instructions": instructions, "form": form}
        content = {**task.model_dump(mode="json"), **more, "prompt": prompts.task_prompt(task)}
        self.task.write_text(json.dumps(content), encoding="utf-8")

    def command(self, words: Sequence[str], goal: str) -> tuple[str, ...]:
        """A command line with its placeholders filled in."""
        values = {
            "goal": goal,
            "goal_file": self.goal,
            "task_file": self.task,
            "answer_file": self.answer,
            "documents": self.documents,
            "workspace": self.workspace,
            "project": self.project,
            "state": self.state,
        }
        return tuple(_filled(word, values) for word in words)

    def variables(self, task: AgentTask, key: str) -> dict[str, str]:
        """What the program learns from its environment; in addresses, `{port}` is filled in when it starts."""
        return {
            "ORCHESTRATOR_TASK": str(self.task),
            "ORCHESTRATOR_GOAL": str(self.goal),
            "ORCHESTRATOR_DOCUMENTS": str(self.documents),
            "ORCHESTRATOR_ANSWER": str(self.answer),
            "ORCHESTRATOR_STATE": str(self.state),
            "ORCHESTRATOR_WORKSPACE": str(self.workspace),
            "ORCHESTRATOR_PROJECT": str(self.project),
            "ORCHESTRATOR_RUN": task.run_id,
            "ORCHESTRATOR_AGENT": task.agent,
            **gateway_variables(key),
        }


def gateway_variables(key: str) -> dict[str, str]:
    """How a program reaches the gateway."""
    return {
        **_ADDRESSES,
        **dict.fromkeys(_KEY_VARIABLES, key),
        "OPENAI_MODEL_NAME": "auto",
        # Some frameworks report each run to their vendors, and wait for that at the end.
        "CREWAI_DISABLE_TELEMETRY": "true",
        "CREWAI_DISABLE_VERSION_CHECK": "true",
        "CREWAI_TRACING_ENABLED": "false",
        "PYTHONUNBUFFERED": "1",
    }


@dataclass(slots=True)
class ProgramOutput:
    """Reads what a program prints, line by line: reports of progress, the answer, and everything else, which is text.

    `on_progress` gets each report; `on_text` everything else as it comes.
    """

    at_most: int
    on_progress: Callable[[str], None]
    on_text: Callable[[str], None]
    reported: Any = None
    _open: str = ""
    _kept: HeadAndEnd = field(init=False)

    def __post_init__(self) -> None:
        self._kept = HeadAndEnd(self.at_most)

    def add(self, text: str) -> None:
        """Take more output."""
        *lines, self._open = (self._open + text).split("\n")
        for line in lines:
            self._take(line + "\n")
        if len(self._open) > _LONGEST_LINE:
            self._take(self._open)
            self._open = ""

    def end(self) -> str:
        """Take the last line; returns all text that was no report."""
        if self._open:
            self._take(self._open)
            self._open = ""
        return self._kept.text().strip()

    def _take(self, line: str) -> None:
        told = _told(line)
        if told is None:
            self._kept.add(line.encode("utf-8", "replace"))
            self.on_text(line)
        elif _PROGRESS in told:
            self.on_progress(str(told[_PROGRESS]))
        else:
            self.reported = told[_ANSWER]


def _told(line: str) -> Mapping[str, Any] | None:
    """What a line reports in the protocol; None if it is just text."""
    if not line.startswith('{"'):
        return None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and len({_PROGRESS, _ANSWER} & set(value)) == 1 else None


def answer_of_text(text: str, output: type[BaseModel]) -> Any:
    """The answer that a text is. A program that has worked without an error, and reports in words, is done."""
    in_words = not any(line.lstrip().startswith("{") for line in text.splitlines())
    if output is StepReport and in_words:
        return {"summary": text.strip() or "The program ended without an error, and said nothing.", "done": True}
    return text


def _filled(word: str, values: Mapping[str, object]) -> str:
    filled = _PLACEHOLDER.sub(lambda found: str(values[found.group(1)]), word)
    # A goal that begins with a dash must not become an option of the program.
    return f" {filled}" if filled.startswith("-") and not word.startswith("-") else filled
