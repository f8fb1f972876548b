"""The prompts of agents. Each is a file with a version in its name; a new version is a new file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from pydantic import BaseModel

from orchestration.config.agents import AgentRole, AgentSettings
from orchestration.errors import UsageError
from orchestration.workflows.model import AgentTask, TextAnswer

# The limit per document of a task where the context is not known: a patch can exceed the context of any model.
_MOST_BYTES = 60_000
# A document of which less would be left says nothing any more.
_LEAST_BYTES = 200
# The title of a document, and the note that it was cut.
_AROUND_DOCUMENT = 120

CURRENT_VERSION = dict.fromkeys(AgentRole, 1)


def system_prompt(agent: AgentSettings, output: type[BaseModel], root: Path) -> str:
    """The role's prompt, or the file that the configuration names instead, followed by the form of the answer.

    Raises UsageError if the file cannot be read.
    """
    role = agent.effective_role
    text = _own(root / agent.prompt) if agent.prompt else _shipped(role)
    description = f"\nYour part: {agent.description}\n" if agent.description else ""
    return f"{text.rstrip()}\n{description}\n{_form(output)}\n"


def _form(output: type[BaseModel]) -> str:
    if output is TextAnswer:
        return "When you have finished, answer with the report itself, in plain text or Markdown."
    schema = json.dumps(output.model_json_schema(), separators=(",", ":"))
    return (
        "When you have finished, answer with one JSON object and nothing else. "
        f"It has to match this JSON Schema:\n{schema}"
    )


def task_prompt(task: AgentTask, most: int | None = None) -> str:
    """The agent's task, and the results before it: of so many bytes at most, as far as the goal and the step allow."""
    parts = [f"Goal:\n{task.goal.strip()}"]
    if task.step is not None:
        step = task.step
        parts.append(f"Your step: {step.title}\n\n{step.instructions.strip()}")
        if step.files:
            parts.append("Files of this step: " + ", ".join(step.files))
        if step.done_when:
            parts.append(f"Done when: {step.done_when.strip()}")
    texts = {name: text.rstrip() for name, text in task.context.items() if text.strip()}
    left = None if most is None else most - sum(len(part.encode()) + 2 for part in parts)
    allowed = _shares({name: len(text.encode()) for name, text in texts.items()}, left)
    parts += [f"--- {name} ---\n{_shortened(text, allowed[name])}" for name, text in texts.items()]
    return "\n\n".join(parts)


def _shares(sizes: Mapping[str, int], room: int | None) -> Mapping[str, int]:
    """How many bytes of each document are shown: the short ones whole, and the others as much as is left for each."""
    if room is None:
        return {name: min(size, _MOST_BYTES) for name, size in sizes.items()}
    allowed: dict[str, int] = {}
    for place, (name, size) in enumerate(sorted(sizes.items(), key=lambda item: item[1])):
        share = (room - sum(allowed.values())) // (len(sizes) - place) - _AROUND_DOCUMENT
        allowed[name] = min(size, max(_LEAST_BYTES, share))
        room -= _AROUND_DOCUMENT
    return allowed


def _shortened(text: str, most: int) -> str:
    data = text.encode()
    if len(data) <= most:
        return text
    kept = data[:most].decode("utf-8", "ignore")
    return f"{kept}\n[… {len(text) - len(kept):,} more characters were cut; look into the workspace for the rest]"


def _shipped(role: AgentRole) -> str:
    name = f"{role.value}.v{CURRENT_VERSION[role]}.md"
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


def _own(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"expected a prompt that can be read, got '{file}': {error}; correct `prompt`") from error
