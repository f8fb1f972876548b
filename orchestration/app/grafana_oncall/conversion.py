"""The whole conversion: users, schedules, an escalation chain, and what to do about the integrations. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from orchestration.app.grafana_oncall.escalation import convert_chain
from orchestration.app.grafana_oncall.export import EscalationChain, OnCallExport, OnCallUser
from orchestration.app.grafana_oncall.schedules import convert_schedule
from orchestration.errors import UsageError

MAIL, CHAT = "mail", "chat"
# Their types of integration (https://grafana.com/docs/oncall/latest/configure/integrations/), and our intake for each.
_INTAKES = {
    "alertmanager": "alertmanager",
    "legacy_alertmanager": "alertmanager",
    "grafana": "grafana",
    "grafana_alerting": "grafana",
    "legacy_grafana_alerting": "grafana",
    "pagerduty": "pagerduty",
}
_GENERIC = "webhook"


@dataclass
class OnCallImport:
    """What an export becomes: the section `response`, files beside it, variables for `.env`, where each integration
    sends its alerts from now on, and what could not be taken over."""

    response: dict[str, Any]
    files: dict[str, bytes] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    intakes: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def convert(export: OnCallExport, chain: str | None = None) -> OnCallImport:
    """Convert an export. `chain` names the escalation chain to take; by default the one that most integrations use.
    Raises UsageError for a chain that is not there."""
    names = _Names()
    people = {user.id: names.take(user.username) for user in export.users}
    contacts = [_contact(user, people[user.id]) for user in export.users]
    imported = OnCallImport({"contacts": contacts, "rotations": []})
    rotations = {schedule.id: names.take(schedule.name) for schedule in export.schedules}
    shifts = {shift.id: shift for shift in export.on_call_shifts}
    for schedule in export.schedules:
        own = [shifts[each] for each in schedule.shifts or () if each in shifts]
        made = convert_schedule(schedule, rotations[schedule.id], own, people)
        imported.response["rotations"].append(made.rotation)
        imported.variables |= made.variables
        imported.notes += made.notes
        if made.calendar is not None:
            imported.files[made.rotation["calendar"]["file"]] = made.calendar
    _escalate(imported, export, chain, people, rotations)
    imported.intakes = [(each.name, _INTAKES.get(each.type, _GENERIC)) for each in export.integrations]
    imported.notes += _unrouted(export)
    return imported


class _Names:
    """Names for contacts and rotations, which share one name space here."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, text: str) -> str:
        """A name that is free, like the text."""
        plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", text).strip("-.").lower()[:50] or "unnamed"
        plain = plain if plain[0].isalpha() else f"x-{plain}"
        name, number = plain, 1
        while name in self._taken:
            number += 1
            name = f"{plain}-{number}"
        self._taken.add(name)
        return name


def _contact(user: OnCallUser, name: str) -> dict[str, Any]:
    places = [{"channel": MAIL, "address": user.email}] if user.email else []
    places += [{"channel": CHAT, "address": each.user_id} for each in (user.slack or ())[:1]]
    return {"id": name, "name": user.username, "channels": places}


def _escalate(
    imported: OnCallImport, export: OnCallExport, wanted: str | None, people: dict[str, str], rotations: dict[str, str]
) -> None:
    chosen = _chain(export, wanted)
    if chosen is None:
        imported.notes.append("there is no escalation chain; the shipped levels are in force")
        return
    steps = [step for step in export.escalation_policies if step.escalation_chain_id == chosen.id]
    made = convert_chain(chosen.name, steps, people, rotations)
    imported.notes += made.notes
    if not made.levels:
        imported.notes.append(f"escalation chain {chosen.name} notifies nobody; the shipped levels are in force")
        return
    imported.response["escalation"] = made.settings
    first = made.levels[0].targets
    second = made.levels[1].targets if len(made.levels) > 1 else []
    imported.response["audience"] = {"P0": ["everyone"], "P1": list(dict.fromkeys([*first, *second])), "P2": first}
    others = [each.name for each in export.escalation_chains if each.id != chosen.id]
    if others:
        imported.notes.append(f"one chain can be in force; not taken: {', '.join(others)} (choose one with --chain)")


def _chain(export: OnCallExport, wanted: str | None) -> EscalationChain | None:
    chains = export.escalation_chains
    if wanted is not None:
        found = [each for each in chains if wanted in (each.id, each.name)]
        if not found:
            raise UsageError(f"There is no escalation chain '{wanted}'. There are: {_names(chains)}.")
        return found[0]
    used = Counter(each.default_route.escalation_chain_id for each in export.integrations if each.default_route)
    # Of those that are used as often as each other the first in the export.
    return max(chains, key=lambda each: used[each.id], default=None)


def _names(chains: Iterable[EscalationChain]) -> str:
    return ", ".join(each.name for each in chains) or "none"


def _unrouted(export: OnCallExport) -> Iterator[str]:
    for integration in export.integrations:
        routes = [
            each for each in export.routes if each.integration_id == integration.id and not each.is_the_last_route
        ]
        if routes:
            patterns = ", ".join(each.routing_regex or "" for each in routes)
            yield (
                f"integration {integration.name}: routes by pattern ({patterns}) have no counterpart; alerts are told "
                "by their severity (`response.audience`)"
            )
