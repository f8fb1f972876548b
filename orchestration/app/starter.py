"""A new project and its first configuration."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

from orchestration.config.reference import json_schema
from orchestration.errors import UsageError

CONFIGURATION = "agents.config.json"
TASKS = "tasks.py"
_TASKS_TEXT = '''"""The `invoke` tasks of the incident response playbook; each calls `orchestrator`."""

from orchestration.cli.tasks import *  # noqa: F403
'''
# The providers that the shipped configuration defines.
PROVIDERS = ("ollama", "azure", "github", "openai", "rehearsal")


def shipped() -> str:
    """The text of the shipped configuration."""
    return (files("orchestration.config") / "starter" / CONFIGURATION).read_text(encoding="utf-8")


def begin(folder: Path, provider: str) -> tuple[Path, ...]:
    """Write `config/agents.config.json`, which uses `provider` first, and its JSON Schema into a folder, and a
    `tasks.py` if there is none.

    Raises UsageError, and writes nothing, if there is a configuration already.
    """
    configuration = folder / "config" / CONFIGURATION
    if configuration.exists():
        raise UsageError(f"{configuration} exists already. Edit it, or name another folder.")
    schema = configuration.with_name("agents.config.schema.json")
    configuration.parent.mkdir(parents=True, exist_ok=True)
    schema.write_text(json_schema(), encoding="utf-8")
    tasks = folder / TASKS
    written = [schema, tasks] if _write_new(tasks, _TASKS_TEXT) else [schema]
    # The configuration last: it is what refuses a second `init`, so an interrupted one can be repeated.
    configuration.write_text(_with_provider(shipped(), provider), encoding="utf-8")
    return configuration, *written


def _write_new(path: Path, text: str) -> bool:
    """Write a file unless it exists; returns whether it was written."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


def credential(provider: str) -> str:
    """The environment variable with the key of a provider; empty if it needs none."""
    return str(json.loads(shipped())["runtime"][provider].get("apiKeyEnv", ""))


def _with_provider(text: str, provider: str) -> str:
    document = json.loads(text)
    runtime = document["runtime"]
    if runtime["defaultProvider"] == provider:
        # As shipped: writing the parsed document would reformat it for nothing.
        return text
    runtime["defaultProvider"] = provider
    # Providers that need a key are shipped as disabled; the one that was chosen must not be.
    runtime[provider].pop("enabled", None)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
