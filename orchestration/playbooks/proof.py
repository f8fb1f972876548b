"""Whether the verification of a playbook observes what its incident is about. Pure.

A check of something else always succeeds, whatever the alert was about, and would end every incident. So a playbook
without a proof about its subject can only hand over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from orchestration.domain.scenario import Scenario
from orchestration.domain.subject_kind import SubjectKind as Kind
from orchestration.playbooks import conditions
from orchestration.playbooks.actions import AnyAction
from orchestration.playbooks.model import Playbook

FindAction = Callable[[str], type[AnyAction] | None]

# What the alerts of the built-in rules are about, by scenario and rule.
_RULES: Mapping[Scenario, Mapping[str, Kind]] = MappingProxyType(
    {
        Scenario.AGENT_FAILURE: {
            **dict.fromkeys(("agent-failed", "agents-failing", "run-failed"), Kind.RUNS),
            "work-not-approved": Kind.OUTCOMES,
        },
        Scenario.WORKFLOW_STUCK: dict.fromkeys(("run-stalled", "run-overdue"), Kind.RUNS),
        Scenario.PROVIDER_UNAVAILABLE: dict.fromkeys(
            ("provider-down", "no-provider", "provider-failing", "provider-slow", "provider-errors"), Kind.PROVIDERS
        ),
        Scenario.HIGH_RESOURCE_USAGE: {
            **dict.fromkeys(("cpu-high", "memory-high", "disk-low"), Kind.MACHINE),
            "unresponsive": Kind.EVENT_LOOP,
        },
        Scenario.SECURITY_ALERT: {
            **dict.fromkeys(("secret-exposed", "secret-suspected", "secret-redacted"), Kind.SECRETS),
            **dict.fromkeys(("sign-ins-failed", "token-revoked"), Kind.SIGN_INS),
            **dict.fromkeys(("tool-refused", "tool-held"), Kind.TOOL_USE),
            "vulnerability": Kind.PACKAGES,
        },
        Scenario.CONTROL_PLANE: {
            **dict.fromkeys(("loop-late", "loop-silent"), Kind.LOOPS),
            "schedule-late": Kind.SCHEDULES,
            "errors-logged": Kind.LOG,
            **dict.fromkeys(("database-down", "database-damaged"), Kind.DATABASE),
            **dict.fromkeys(("worker-lost", "workers-crashing"), Kind.WORKERS),
            **dict.fromkeys(("backup-old", "backup-failed"), Kind.BACKUPS),
            "channel-down": Kind.CHANNELS,
            "tool-server-down": Kind.TOOL_SERVERS,
            # That workers are alive says nothing about the label that the run waits for.
            "agent-unplaced": Kind.RUNS,
        },
        Scenario.EXTERNAL_ALERT: {},
    }
)
# The parts of the system that have playbooks of their own, which say so in `applies_when`.
_COMPONENTS: Mapping[str, Kind] = MappingProxyType(
    {
        "database": Kind.DATABASE,
        "worker": Kind.WORKERS,
        "backup": Kind.BACKUPS,
        "channel": Kind.CHANNELS,
        "tool-server": Kind.TOOL_SERVERS,
    }
)


def possible_subjects(playbook: Playbook) -> frozenset[Kind]:
    """What the incidents of a playbook can be about."""
    if playbook.scenario is Scenario.EXTERNAL_ALERT:
        return frozenset({Kind.EXTERNAL})
    found = frozenset(_RULES[playbook.scenario].values())
    if playbook.scenario is Scenario.CONTROL_PLANE:
        component = playbook.applies_when.get("incident.component")
        named = _COMPONENTS.get(component) if isinstance(component, str) else None
        # What has a playbook of its own is not left to the one for everything else.
        found = frozenset({named}) if named else found - frozenset(_COMPONENTS.values())
    return found | {Kind.OWN}


def proven_subjects(playbook: Playbook, find: FindAction) -> frozenset[Kind]:
    """What the verification of a playbook observes: by the steps whose findings its condition asks for."""
    verify = playbook.verify
    if verify is None:
        return frozenset()
    condition = verify.proof.holds if verify.proof else verify.holds
    asked = {name.partition(".")[0] for name in conditions.names(condition)}
    kinds = (find(step.action) for step in verify.all_steps if step.id in asked)
    return frozenset(kind for action in kinds if action is not None for kind in action.proves)


def finding(playbook: Playbook, find: FindAction) -> str:
    """What is to be said of a playbook that cannot prove anything about its subject; empty if it can, and for one that
    has no verification and so does not claim to."""
    if playbook.verify is None or possible_subjects(playbook) & proven_subjects(playbook, find):
        return ""
    wanted = ", ".join(sorted(possible_subjects(playbook)))
    return (
        f"the verification observes nothing that an incident of this playbook can be about ({wanted}), so it can only "
        "hand over; ask in `holds` or `proof` for a finding of an action that does, or leave `verify` out"
    )


def proves_subject(playbook: Playbook, facts: Mapping[str, Any], find: FindAction) -> bool:
    """Whether the verification observes what this incident is about."""
    proven = proven_subjects(playbook, find)
    rule = _RULES[playbook.scenario].get(str(facts.get("incident.label.alertname", "")))
    # Users' own rules are about what their playbook takes them to be about.
    return bool(possible_subjects(playbook) & proven) if rule is None else rule in proven
