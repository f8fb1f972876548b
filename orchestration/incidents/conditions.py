"""How the conditions of an incident change: they fire, clear, fall silent, and are taken over in a merge. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from orchestration.domain.incident_status import IncidentStatus
from orchestration.incidents import escalation
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.condition import ConditionStatus, IncidentCondition
from orchestration.incidents.model import Incident


def fire(change: IncidentChange, key: str, at: datetime, *, renewed: bool = False) -> None:
    """The alerts of a group fire, as was seen at that time; `renewed` where that sighting is kept though they fired."""
    known = change.incident.known_conditions
    before = known.get(key)
    # By the time of the sighting and not of the report, which may have waited in the journal while the problem cleared.
    # At the same moment what was heard last counts: a sighting that is dropped would let the incident be resolved.
    if before is not None and at < before.since:
        return
    if before is not None and before.fires:
        if renewed:
            _set(change, {**known, key: IncidentCondition(ConditionStatus.FIRING, at)})
        return
    was_clear = change.incident.cleared_at is not None
    _set(change, {**known, key: IncidentCondition(ConditionStatus.FIRING, at)})
    change.set(last_seen_at=max(change.incident.last_seen_at, at))
    if was_clear:
        change.add_entry("returned", reason="it was seen again before it had been gone for long enough")
    _answer_again(change)


def clear(change: IncidentChange, key: str, at: datetime, *, observed: bool) -> None:
    """The alerts of a group fire no more: they were observed to be gone, or nothing more is heard of them."""
    known = change.incident.known_conditions
    before = known.get(key)
    status = ConditionStatus.CLEARED if observed else ConditionStatus.SILENT
    # A later observation counts more than silence; nothing takes a proof back but the problem itself.
    ends = before is not None and (before.fires or (before.status is ConditionStatus.SILENT and observed))
    if before is None or not ends or at < before.since:
        return
    _set(change, {**known, key: IncidentCondition(status, at)})
    if change.incident.status.is_open:
        left = sum(each.fires for each in change.incident.conditions.values())
        kind = "cleared" if observed else "silent"
        change.add_entry(kind, stable_for=change.settings.stability_seconds, key=key, still_firing=left)


def silence(change: IncidentChange, key: str, by: str) -> None:
    """The alerts of a group are covered by a silence or a maintenance window; by none any more, if `by` is empty.

    Pages stop while all that fires is covered. The level that was due then gets its time anew.
    """
    before = change.incident
    if before.silences.get(key, "") == by:
        return
    others = {name: cause for name, cause in before.silences.items() if name != key}
    change.set(silences={**others, key: by} if by else others)
    after = change.incident
    if not after.status.is_open or before.is_silenced == after.is_silenced:
        return
    if after.is_silenced:
        change.add_entry("paging-held", by=by, reason=f"{by} covers all of it that fires")
        return
    change.add_entry("paging-resumed", reason="it still fires, and is not silenced any more")
    if after.page_due is not None:
        change.set(page_due=escalation.next_page(after, change.settings, change.now))


def note_flapping(change: IncidentChange, key: str, *, flapping: bool) -> None:
    """The alerts of a group come and go, or do so no more."""
    before = change.incident.flapping
    if flapping == (key in before):
        return
    change.set(flapping=(*before, key) if flapping else tuple(name for name in before if name != key))
    if flapping and change.incident.status.is_open:
        change.add_entry("flapping", reason="its alert comes and goes, and counts as firing until it has settled")


def take_over(change: IncidentChange, other: Incident) -> None:
    """The conditions of another incident become conditions of this one."""
    change.set(silences={**other.silences, **change.incident.silences})
    # What fires in either fires in both.
    both = dict(other.known_conditions)
    for key, condition in change.incident.known_conditions.items():
        if key not in both or condition.fires:
            both[key] = condition
    _set(change, both)


def _set(change: IncidentChange, conditions: Mapping[str, IncidentCondition]) -> None:
    firing = any(each.fires for each in conditions.values())
    gone = None if firing else max((each.since for each in conditions.values()), default=None)
    change.set(conditions=dict(conditions), cleared_at=gone)


def _answer_again(change: IncidentChange) -> None:
    """What was proved is void; where the response had come to its end, its last attempt has not helped after all, and
    another response begins. A problem that goes on returning is therefore handed over, like one that never left."""
    change.set(proof="", proven_at=None)
    incident = change.incident
    if incident.status is IncidentStatus.MITIGATED:
        change.transition(IncidentStatus.DETECTED, reason="the problem has returned")
        change.set(
            mitigated_at=None,
            responses=incident.responses + 1,
            requested_option="",
            failed_attempts=min(incident.failed_attempts + 1, len(incident.attempted_actions)),
            failed_actions=(*incident.failed_actions, *incident.attempted_actions[-1:]),
        )
