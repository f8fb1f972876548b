"""The forms of an incident, built from the table of commands."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum

from orchestration.domain.incident_status import IncidentStatus
from orchestration.incidents.commands.base import IncidentCommand, OpeningCommand, ShownWhile
from orchestration.incidents.commands.table import COMMANDS, OPENING_COMMANDS
from orchestration.incidents.model import Incident
from orchestration.web.pages.command_forms import ChoiceLists, FormView, form_of, forms_by_name, forms_for

FORMS: Mapping[str, type[IncidentCommand]] = forms_by_name(COMMANDS)
OPENING_FORMS: Mapping[str, type[OpeningCommand]] = forms_by_name(OPENING_COMMANDS)
_RESOLVED = (IncidentStatus.RESOLVED, IncidentStatus.IN_REVIEW)


def incident_forms(incident: Incident, choices: ChoiceLists) -> list[FormView]:
    """The forms that the page offers in its list, by the incident's state."""
    return forms_for(incident, FORMS.values(), lambda shown: _is_shown(shown, incident), choices)


def opening_forms(choices: ChoiceLists) -> list[FormView]:
    """The forms that open an incident."""
    return [form_of(each, each.spec.page, choices) for each in OPENING_FORMS.values() if each.spec.page]


def _is_shown(shown: Enum, incident: Incident) -> bool:
    match shown:
        case ShownWhile.OPEN:
            return incident.status.is_open
        case ShownWhile.RESOLVED:
            return incident.status in _RESOLVED
        case ShownWhile.SNOOZED:
            return incident.snoozed_until is not None
        case _:
            return shown is ShownWhile.ALWAYS
