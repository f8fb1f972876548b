"""The configuration of a drill's project: short limits and intervals, and nobody to disturb. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestration.drills.expectation import SETTLED_SECONDS
from orchestration.drills.setup import DrillSetting

PLANNER = ("read_file", "list_files", "search_files")
EXECUTOR = (*PLANNER, "write_file", "replace_in_file", "run_command")
# The rules about the machine would fire for whatever else runs on it; the drills about resources switch them on.
OFF = ("cpu-high", "memory-high", "disk-low", "unresponsive", "loop-late", "errors-logged")
DATABASE_VARIABLE = "DRILL_DATABASE_URL"
# They are notified in the log only: a drill must not wake anybody.
_PEOPLE = ("engineer", "lead", "manager", "security")


def configuration(setting: DrillSetting, urls: Mapping[str, str]) -> dict[str, Any]:
    """The whole configuration, for providers at these addresses."""
    return laid_over(_usual(setting, urls), setting.configuration)


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both merged: objects key by key; of everything else the upper value wins."""
    joined = dict(below)
    for name, value in above.items():
        under = joined.get(name)
        both = isinstance(under, Mapping) and isinstance(value, Mapping)
        joined[name] = laid_over(under, value) if both else value  # type: ignore[arg-type]
    return joined


def _usual(setting: DrillSetting, urls: Mapping[str, str]) -> dict[str, Any]:
    default, *fallbacks = urls
    return {
        "metadata": {"name": "drill"},
        "runtime": {
            "defaultProvider": default,
            "fallbackProviders": fallbacks,
            "workers": setting.workers,
            "workerHeartbeatSeconds": 5,
            "workerStopSeconds": 2,
            # One retry: a drill about a failing agent would spend its time on backoff otherwise.
            "agentRetries": 1,
            "limits": {"seconds": 600},
            **({"databaseUrlEnv": DATABASE_VARIABLE} if setting.database_url else {}),
            **{name: provider(url) for name, url in urls.items()},
        },
        "agents": agents(),
        "workflow": [
            {"from": "planner", "to": "executor", "artifact": "plan.md"},
            {"from": "executor", "to": "reviewer", "artifact": "changes.patch"},
        ],
        "monitoring": {
            "resourceSeconds": 1,
            "scanSeconds": 1,
            # Both read much and find nothing in a fresh project; the drills about them set their own intervals.
            "integritySeconds": 600,
            "auditDependencies": False,
            "thresholds": {"stalledSeconds": 120},
        },
        "alerting": {"rules": {name: {"enabled": False} for name in OFF}},
        "response": {
            "stabilitySeconds": SETTLED_SECONDS,
            "contacts": [
                {"id": name, "name": f"Drill {name}", "level": level, "channels": [{"channel": "log"}]}
                for level, name in enumerate(_PEOPLE, 1)
            ],
        },
    }


def provider(url: str, **more: Any) -> dict[str, Any]:
    """The section of a provider, with the product's default limits and intervals."""
    return {
        "type": "openai",
        "baseUrl": f"{url}/v1",
        "defaultModel": "rehearsal-1",
        "auth": "none",
        **more,
    }


def agents() -> list[dict[str, Any]]:
    """The agents: those of the sample, one that runs scripted tool calls, one that is the user's own code."""
    return [
        {"id": "planner", "description": "Plans", "tools": list(PLANNER), "outputs": ["plan.md"]},
        {
            "id": "executor",
            "description": "Does",
            "tools": list(EXECUTOR),
            "commands": ["python3 -m unittest"],
            "requires": ["plan.md"],
            "outputs": ["changes.patch"],
            "limits": {"memoryMb": 1024, "commandSeconds": 120},
        },
        {
            "id": "reviewer",
            "description": "Judges",
            "tools": list(PLANNER),
            "requires": ["plan.md", "changes.patch"],
            "outputs": ["review.md"],
        },
        {
            "id": "helper",
            "role": "worker",
            "description": "Uses the tools that it is told to use",
            "tools": list(EXECUTOR),
            "commands": ["python3 tool.py"],
            "limits": {"memoryMb": 256, "commandSeconds": 120},
        },
        {
            "id": "own-code",
            "role": "worker",
            "description": "Python of the user's own",
            "entryPoint": "drill_agent:work",
            "limits": {"seconds": 120, "memoryMb": 256},
        },
    ]
