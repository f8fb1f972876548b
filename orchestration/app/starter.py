"""A new project and its first configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

from orchestration.config.reference import json_schema
from orchestration.errors import UsageError

CONFIGURATION = "agents.config.json"
TASKS = "tasks.py"
ENV_EXAMPLE = ".env.example"
GITIGNORE = ".gitignore"
_ENV_EXAMPLE = """\
# Copy this file to .env and fill in what you use. An edit counts within two seconds, without a restart.
# A variable that is set in the environment of the process wins over the same one here.
# Values are taken literally: $ means nothing. Quote a value that holds # or spaces.
"""
# Keys, and what is written while it runs.
_NOT_COMMITTED = (".env", "/var/", "/logs/", "/artifacts/")
_IGNORE_COMMENT = "# orchestrator: keys, state, logs and results"
_TASKS_TEXT = '''"""The `invoke` tasks of the incident response playbook; each calls `orchestrator`."""

from orchestration.cli.tasks import *  # noqa: F403
'''
# The providers that the shipped configuration defines.
PROVIDERS = ("ollama", "azure", "github", "openai", "anthropic", "rehearsal")


def shipped() -> str:
    """The text of the shipped configuration."""
    return (files("orchestration.config") / "starter" / CONFIGURATION).read_text(encoding="utf-8")


def begin(folder: Path, provider: str, settings: Mapping[str, Any] = MappingProxyType({})) -> tuple[Path, ...]:
    """Write `config/agents.config.json`, which uses `provider` first with these `settings`, and its JSON Schema into a
    folder; a `tasks.py` and a `.env.example` if there are none; and what must not be committed into `.gitignore`.
    Returns what was written.

    Raises UsageError, and writes nothing, if there is a configuration already.
    """
    configuration = folder / "config" / CONFIGURATION
    if configuration.exists():
        raise UsageError(f"{configuration} exists already. Edit it, or name another folder.")
    schema = configuration.with_name("agents.config.schema.json")
    configuration.parent.mkdir(parents=True, exist_ok=True)
    schema.write_text(json_schema(), encoding="utf-8")
    new = {folder / TASKS: _TASKS_TEXT, folder / ENV_EXAMPLE: env_example()}
    written = [schema, *(path for path, text in new.items() if _write_new(path, text)), *_ignored(folder / GITIGNORE)]
    # The configuration last: it is what refuses a second `init`, so an interrupted one can be repeated.
    configuration.write_text(_with_provider(shipped(), provider, settings), encoding="utf-8")
    return configuration, *written


def env_example() -> str:
    """The text of `.env.example`: the variables that the shipped configuration names."""
    runtime = json.loads(shipped())["runtime"]
    keys = {name: section["apiKeyEnv"] for name, section in runtime.items() if _has_key(section)}
    return _ENV_EXAMPLE + "".join(f"\n# runtime.{name}.apiKeyEnv\n{key}=\n" for name, key in keys.items())


def _has_key(section: Any) -> bool:
    return isinstance(section, dict) and "apiKeyEnv" in section


def _ignored(path: Path) -> Iterator[Path]:
    """Add to a `.gitignore` what it lacks; yields it if it was changed."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    known = {line.strip().strip("/") for line in text.splitlines()}
    if missing := [line for line in _NOT_COMMITTED if line.strip("/") not in known]:
        before = f"{text.rstrip()}\n\n" if text.strip() else ""
        path.write_text(before + "\n".join((_IGNORE_COMMENT, *missing)) + "\n", encoding="utf-8")
        yield path


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


def _with_provider(text: str, provider: str, settings: Mapping[str, Any]) -> str:
    document = json.loads(text)
    runtime = document["runtime"]
    if runtime["defaultProvider"] == provider and settings.items() <= runtime[provider].items():
        # As shipped: writing the parsed document would reformat it for nothing.
        return text
    runtime["defaultProvider"] = provider
    # Providers that need a key are shipped as disabled; the one that was chosen must not be.
    runtime[provider].pop("enabled", None)
    runtime[provider].update(settings)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
