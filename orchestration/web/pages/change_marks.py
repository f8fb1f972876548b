"""What changed and when: deployments and versions of the configuration, as marks in plots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from orchestration.app.project import ProjectRecords
from orchestration.events import Event
from orchestration.events.workers import ControlProcessStarted

# More lines than this in one plot hide its curve.
_MOST = 60


@dataclass(frozen=True, slots=True)
class ChangeMark:
    """A change at a moment. `kind` is `configuration` or `deployment`."""

    at: datetime
    kind: str
    text: str


def change_marks(here: ProjectRecords, since: datetime) -> list[ChangeMark]:
    """The newest changes since a time, the oldest first. Blocks."""
    versions = [
        ChangeMark(one.loaded_at, "configuration", f"version {one.number} of the configuration")
        for one in here.store.history(_MOST)
        # The first version is no change.
        if one.number > 1 and one.loaded_at >= since
    ]
    # From the beginning of the timeline: what is no change in the period may be one against the release before it.
    started = here.timeline.list_newest_of_kind(ControlProcessStarted.kind, datetime.min.replace(tzinfo=since.tzinfo))
    deployed = [one for one in deployments([event for _, event in started]) if one.at >= since]
    return sorted([*versions, *deployed], key=lambda mark: mark.at)[-_MOST:]


def deployments(started: Sequence[Event]) -> Iterator[ChangeMark]:
    """The starts of control processes with another release than the start before, oldest first. Pure."""
    before = ""
    for event in started:
        if event.data.get("drill"):
            continue
        release = str(event.data.get("release", ""))
        if before and release != before:
            yield ChangeMark(event.at, "deployment", f"release {release}, after {before}")
        before = release
