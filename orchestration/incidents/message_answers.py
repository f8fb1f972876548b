"""What a signed link in a message can still do about an incident. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from orchestration.config.response import ResponseSettings
from orchestration.domain.incident_status import IncidentStatus
from orchestration.domain.message_verb import MessageVerb
from orchestration.incidents import resolution
from orchestration.incidents.escalation import path_of
from orchestration.incidents.model import Incident, describe_actor

# The technical lead, to whom the playbook hands what needs more than one person.
_LEAD = 2


class AnswerState(StrEnum):
    """Whether the verb of a link can be carried out, and why not."""

    POSSIBLE = "possible"
    USED = "used"
    ACKNOWLEDGED = "acknowledged"
    MERGED = "merged"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Answerability:
    """The state with a sentence for the person who has opened the link; empty where the verb is possible."""

    state: AnswerState
    sentence: str = ""

    @property
    def possible(self) -> bool:
        """Whether the verb can be carried out."""
        return self.state is AnswerState.POSSIBLE


def answerability(incident: Incident, verb: MessageVerb, link: str) -> Answerability:
    """Whether a link can be used now. What became of the incident comes before what became of the link."""
    if incident.status is IncidentStatus.MERGED:
        return Answerability(AnswerState.MERGED, f"It was merged into {incident.merged_into}, which continues.")
    if not incident.status.is_open:
        return Answerability(AnswerState.OVER, f"It is over: {_ended(incident)}. There is nothing left to do here.")
    if verb is MessageVerb.ACKNOWLEDGE and incident.acknowledged:
        by, at = describe_actor(incident.acknowledged_by), _stamp(incident.clock.acknowledged_at)
        return Answerability(AnswerState.ACKNOWLEDGED, f"It was acknowledged by {by} at {at}. Paging has stopped.")
    if link in incident.answered_links:
        return Answerability(AnswerState.USED, "This link was used already; what it did is on the incident's timeline.")
    return Answerability(AnswerState.POSSIBLE)


def level_to_call(incident: Incident, settings: ResponseSettings) -> int:
    """The level that an escalation calls unless the person chooses another: the next one that has not been paged."""
    policy = path_of(incident, settings).levels
    paged = {each.level for each in policy[: incident.levels_paged]}
    return next((each.level for each in policy if each.level not in paged), policy[-1].level if policy else _LEAD)


def obstacles(incident: Incident) -> tuple[str, ...]:
    """Why a person has to say expressly that the incident is resolved all the same."""
    return tuple(each.summary for each in resolution.blockers(incident) if each.kind.binds_people)


def _ended(incident: Incident) -> str:
    word = incident.status.value.replace("-", " ")
    return f"{word} since {_stamp(incident.resolved_at)}" if incident.resolved_at else word


def _stamp(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC" if at else "an unknown time"
