"""The labels that agents run on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orchestration.app.doctor.diagnosis import CheckResult, ok, warning
from orchestration.config.schema import Configuration
from orchestration.workers.labels import unserved
from orchestration.workflows.processes import LiveProcess


def check(configuration: Configuration, processes: Iterable[LiveProcess]) -> Iterator[CheckResult]:
    """Whether a worker is running that has each label."""
    missing = unserved(configuration, processes)
    for label in dict.fromkeys(agent.runs_on for agent in configuration.agents if agent.runs_on):
        subject = f"label {label}"
        if label in missing:
            waiting = ", ".join(missing[label])
            advice = f"start one: orchestrator worker --label {label}"
            yield warning(subject, f"no worker has it, so {waiting} would wait", advice)
        else:
            yield ok(subject, "a worker has it")
