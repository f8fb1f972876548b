"""A playbook in the form of CACAO 2.0 (OASIS Committee Specification, 2023), for other tools to read. Pure.

CACAO has no approval, dry run, verification with undo or rate limit: those are exported as plain descriptions, since no
tool would understand an extension of ours. Identifiers derive from names: the same playbook gives the same document.
The specification: https://docs.oasis-open.org/cacao/security-playbooks/v2.0/security-playbooks-v2.0.html.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from orchestration.playbooks import conditions
from orchestration.playbooks.model import Phase, Playbook, Step

# The name space of our version 5 UUIDs (RFC 9562): another one would give every exported object a new identity.
_SPACE = uuid.UUID("8f0d2c6e-4d0b-5c39-9a4c-6a1f0b6a7d11")
# The specification's vocabulary of playbook types has no word for verification, which is closest to detection.
_TYPES = {
    Phase.IDENTIFY: "detection",
    Phase.DIAGNOSE: "investigation",
    Phase.MITIGATE: "mitigation",
    Phase.VERIFY: "detection",
    Phase.RECOVER: "remediation",
    Phase.DOCUMENT: "notification",
}


def export(playbook: Playbook, modified: datetime) -> dict[str, Any]:
    """The CACAO document. Steps follow each other; one with a condition has an `if-condition` step in front."""
    order = [(phase, step) for phase, step in playbook.steps()]
    start, end = _id("start", playbook.name), _id("end", playbook.name)
    workflow: dict[str, Any] = {end: {"type": "end"}}
    following = end
    # From the end, because each step names the one that follows it.
    for phase, step in reversed(order):
        following = _add(workflow, playbook, phase, step, following)
    workflow[start] = {"type": "start", "on_completion": following}
    # CACAO wants timestamps of RFC 3339 in UTC, with a Z and not an offset.
    stamp = modified.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    agent = _agent()
    return {
        "type": "playbook",
        "spec_version": "cacao-2.0",
        "id": _id("playbook", playbook.name),
        "name": playbook.title,
        "description": playbook.about.strip(),
        "playbook_types": sorted({_TYPES[phase] for phase, _ in order}),
        "created_by": _id("identity", "orchestrator"),
        "created": stamp,
        "modified": stamp,
        "workflow_start": start,
        "workflow": workflow,
        "agent_definitions": {agent: {"type": "group", "name": "On-call engineers"}},
    }


def _add(workflow: dict[str, Any], playbook: Playbook, phase: Phase, step: Step, following: str) -> str:
    action = _id("action", f"{playbook.name}/{phase}/{step.id}")
    workflow[action] = {
        "type": "action",
        "name": f"{phase.value}: {step.id}",
        "description": f"{step.why.strip()} (mode: {step.mode.value})".strip(),
        # In milliseconds, as the specification counts.
        "timeout": int(step.timeout * 1000),
        "on_completion": following,
        "agent": _agent(),
        # `manual`, because no other tool could carry out one of our actions.
        "commands": [{"type": "manual", "command": command} for command in step.manual_steps]
        or [{"type": "manual", "command": step.action}],
    }
    if not step.when:
        return action
    check = _id("if-condition", f"{playbook.name}/{phase}/{step.id}")
    workflow[check] = {
        "type": "if-condition",
        "condition": conditions.in_words(step.when),
        "on_true": action,
        "on_false": following,
    }
    return check


def _agent() -> str:
    """Who carries the steps out: people, since the commands are manual. CACAO has no type of agent for a program like
    ours (section 7 of the specification)."""
    return _id("group", "on-call engineers")


def _id(kind: str, name: str) -> str:
    return f"{kind}--{uuid.uuid5(_SPACE, f'{kind}/{name}')}"
