"""The refused tool calls of a run so far, from its timeline: a run may go on in another process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orchestration.domain.refusal import RefusalReason
from orchestration.events.agents import ToolCallRefused
from orchestration.security.refusals import PastRefusal
from orchestration.storage.timeline import Timeline

RefusalHistory = Callable[[str], Sequence[PastRefusal]]


def history_from(timeline: Timeline) -> RefusalHistory:
    """A function that returns the earlier refusals of a run."""

    def history(run_id: str) -> Sequence[PastRefusal]:
        found = timeline.list_of_kinds([run_id], [ToolCallRefused.kind])[run_id]
        refused = ((event.at, event.payload) for event in found)
        return [
            PastRefusal(at, RefusalReason(payload.because))
            for at, payload in refused
            if isinstance(payload, ToolCallRefused) and payload.because in set(RefusalReason)
        ]

    return history
