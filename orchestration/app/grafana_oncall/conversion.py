"""The whole conversion: users, schedules, escalation chains, and what to do about the integrations. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from orchestration.app.grafana_oncall.escalation import convert_chain
from orchestration.app.grafana_oncall.export import EscalationChain, OnCallExport, OnCallUser
from orchestration.app.grafana_oncall.schedules import convert_schedule
from orchestration.config.escalation import DEFAULT_PATH
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
    """Convert an export. `chain` names the escalation chain that becomes the default path; without it, that is the
    one that most integrations use. The others become further paths.
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

    def __init__(self, *taken: str) -> None:
        self._taken = set(taken)

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
    others = [each for each in export.escalation_chains if each.id != chosen.id]
    for chain in others:
        _add_path(imported, export, chain, people, rotations)


def _add_path(
    imported: OnCallImport,
    export: OnCallExport,
    chain: EscalationChain,
    people: dict[str, str],
    rotations: dict[str, str],
) -> None:
    """Another chain becomes a path of its own, to which the user has to lead a route."""
    steps = [step for step in export.escalation_policies if step.escalation_chain_id == chain.id]
    made = convert_chain(chain.name, steps, people, rotations)
    imported.notes += made.notes
    if not made.levels:
        imported.notes.append(f"escalation chain {chain.name} notifies nobody")
        return
    paths = imported.response.setdefault("escalationPaths", {})
    paths[_Names(DEFAULT_PATH, *paths).take(chain.name)] = made.settings


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
            chains = {chain.id: chain.name for chain in export.escalation_chains}
            patterns = ", ".join(
                f"{each.routing_regex or ''} to {chains.get(each.escalation_chain_id or '', 'nobody')}"
                for each in routes
            )
            yield (
                f"integration {integration.name}: its routes search the whole text of an alert ({patterns}); write "
                "routes by labels in `response.escalationRoutes`"
            )
