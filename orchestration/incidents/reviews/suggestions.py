"""What the system itself would write into each part of a review, from the records. Pure.

Each text is complete in itself: where nothing is known it says so, and why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from orchestration.domain.duty import DutyKind
from orchestration.domain.playbook_state import ActionState, PlaybookRunState
from orchestration.incidents.model import ReviewField, describe_actor
from orchestration.incidents.reviews.dossier import ReviewDossier
from orchestration.incidents.sla import TargetKind, TargetState
from orchestration.storage.outbox import OutboxState
from orchestration.storage.playbooks import RankedHypothesis

_MOST = 10
_LONGEST = 200
_MOST_CHARACTERS = 15_000  # what a person takes over has to fit the field of a request


def suggestion(dossier: ReviewDossier, field: ReviewField) -> str:
    """The system's text for one part of the review, as Markdown; never empty."""
    return _TEXTS[field](dossier)[:_MOST_CHARACTERS]


def current_text(dossier: ReviewDossier, field: ReviewField) -> str:
    """What the part says now: what a person wrote, else the system's text."""
    return dossier.incident.review[field] if dossier.written_by(field) else suggestion(dossier, field)


def _resolution(dossier: ReviewDossier) -> str:
    incident = dossier.incident
    if known := incident.review.get(ReviewField.RESOLUTION):
        return known
    return "Not resolved yet." if incident.status.is_open else "Nobody recorded what ended it."


def _root_cause(dossier: ReviewDossier) -> str:
    causes = dossier.hypotheses
    if not dossier.responses:
        return "Unknown: no playbook has diagnosed it."
    if not causes:
        return "Unknown: no cause that the playbook knows fits what was found."
    return f"Not confirmed by a person yet. The likeliest cause: {_cause(causes[0])}"


def _factors(dossier: ReviewDossier) -> str:
    lines = [f"- also fits what was found: {_cause(cause)}" for cause in dossier.hypotheses[1:_MOST]]
    lines += [f"- changed shortly before: {_line(change)}" for change in _changes(dossier)]
    lines += [
        f"- noted by {describe_actor(entry.actor)}: {_line(entry.data.get('text', ''))}"
        for entry in dossier.entries
        if entry.kind == "noted" and ":" not in entry.actor
    ]
    return "\n".join(lines) or "None is recorded: no other cause fits, nothing changed before, and nobody added one."


def _helped(dossier: ReviewDossier) -> str:
    lines = [
        f"- {'did not help' if run.state is PlaybookRunState.HANDED_OVER else 'helped'}: {_line(run.summary)}"
        for run, _ in reversed(dossier.responses)
        if run.state in (PlaybookRunState.HELPED, PlaybookRunState.HANDED_OVER)
    ]
    lines += [f"- did not help: {_line(entry.data.get('reason', ''))}" for entry in _kind(dossier, "mitigation-failed")]
    lines += [
        f"- done by {describe_actor(entry.actor)}: {_line(entry.data.get('action', ''))}"
        for entry in dossier.entries
        if entry.kind in ("mitigating", "mitigation-attempted") and ":" not in entry.actor
    ]
    return "\n".join(lines) or "Nothing was tried."


def _workarounds(dossier: ReviewDossier) -> str:
    in_force = [
        f"- {_line(action.summary)} ({action.action}, since {action.started_at:%Y-%m-%d %H:%M} UTC)"
        for action in dossier.actions
        if action.state is ActionState.DONE and action.undo and action.risk == "reversible"
    ]
    in_force += [
        f"- {_line(duty.summary)} (duty {duty.number} is open)"
        for duty in dossier.incident.open_duties
        if duty.kind is DutyKind.REMOVE_WORKAROUND
    ]
    return "\n".join(in_force) or "None is in force: whatever the playbook changed was undone, or was no workaround."


def _playbook(dossier: ReviewDossier) -> str:
    change = dossier.change
    return f"{change.reason}\n\n```diff\n{change.diff.rstrip()}\n```" if change.diff else change.reason


def _shared(dossier: ReviewDossier) -> str:
    arrived = sorted({name for row in dossier.messages if row.state is OutboxState.SENT for name in row.contacts})
    told = f"The incident itself was sent to {', '.join(arrived)}." if arrived else "Nobody was notified of it."
    return f"The findings have not been shared with anybody yet. {told}"


def _security(dossier: ReviewDossier) -> str:
    facts = dossier.incident.facts
    flags = {
        "a breach is suspected": facts.breach,
        "a secret was exposed": facts.secret_exposed,
        "a secret may have been exposed": facts.secret_suspected,
        "access was refused": facts.access_refused,
        "a dependency is vulnerable": facts.vulnerability,
        "data was lost": facts.data_loss,
    }
    return "\n".join(f"- {name}" for name, holds in flags.items() if holds) or (
        "The facts name no kind of security problem."
    )


def improvements(dossier: ReviewDossier) -> Iterator[str]:
    """What could be better next time: by the figures of this incident, and by the playbook."""
    clock, percent = dossier.incident.clock, dossier.settings.at_risk_percent
    for kind in TargetKind:
        if clock.state(kind, dossier.now, percent) is TargetState.BREACHED:
            yield f"the {kind.value} target was missed; find out what took the time"
    failed = sorted({row.channel for row in dossier.messages if row.state is OutboxState.FAILED})
    if failed:
        yield f"notifications did not arrive by {', '.join(failed)}; test with `orchestrator contacts test`"
    if dossier.incident.recurrence_of:
        yield f"it is a recurrence of {dossier.incident.recurrence_of}; what was done about that one did not last"
    yield from dossier.prevention


def _cause(cause: RankedHypothesis) -> str:
    facts = "; ".join(f"{name}: {_line(value)}" for name, value in list(cause.evidence.items())[:_MOST])
    return f"{cause.summary} ({cause.weight} of 100" + (f"; {facts})" if facts else ")")


def _changes(dossier: ReviewDossier) -> Iterable[str]:
    """Commits and changes of the configuration that the diagnosis has found, each once."""
    found = [text for _, text in recent_changes(dossier)]
    return list(dict.fromkeys(found))[:_MOST]


def recent_changes(dossier: ReviewDossier) -> Iterator[tuple[str, str]]:
    """The changes that came before the incident: what has found them, and each as one line."""
    for entry in dossier.entries:
        yield from ((entry.actor, change_text(each)) for each in entry.data.get("code_changes", ()))
    for action in dossier.actions:
        for name in ("commits", "changes"):
            values = action.findings.get(name)
            if isinstance(values, list):
                yield from ((action.action, change_text(each)) for each in values)


def change_text(change: Any) -> str:
    """A commit or a changed setting, as one line."""
    if isinstance(change, Mapping):
        parts = (str(change.get(name, "")) for name in ("commit", "author", "subject"))
        return " ".join(part for part in parts if part) or str(dict(change))
    return str(change)


def _kind(dossier: ReviewDossier, kind: str) -> Iterator[Any]:
    return (entry for entry in dossier.entries if entry.kind == kind)


def _line(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


_TEXTS: Mapping[ReviewField, Callable[[ReviewDossier], str]] = MappingProxyType(
    {
        ReviewField.RESOLUTION: _resolution,
        ReviewField.WORKAROUNDS: _workarounds,
        ReviewField.ROOT_CAUSE: _root_cause,
        ReviewField.FACTORS: _factors,
        ReviewField.HELPED: _helped,
        ReviewField.PLAYBOOK: _playbook,
        ReviewField.SHARED: _shared,
        ReviewField.SECURITY: _security,
    }
)
