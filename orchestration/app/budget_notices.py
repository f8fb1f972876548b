"""People are notified when a budget has reached one of its limits."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from orchestration.domain.budget import BudgetLevel
from orchestration.errors import OrchestratorError
from orchestration.events import Event
from orchestration.events.providers import BudgetReached
from orchestration.logs import get_logger

_log = get_logger(__name__)


class BudgetNotices:
    """Sends a notice for each limit that is reached. The event is published once in each period of a budget."""

    def __init__(self, notify: Callable[[str, str, str], None]) -> None:
        self._notify = notify

    def on_event(self, event: Event) -> None:
        """Notify people of a limit; a subscriber of the bus."""
        payload = event.payload
        if not isinstance(payload, BudgetReached):
            return
        # Not the owner's own name, which may be longer than that of a notice may be.
        digest = hashlib.sha256(f"{payload.subject} {payload.reached} {payload.limit} {payload.until}".encode())
        title = f"Budget: {payload.owner} has reached its {payload.reached} limit of {payload.limit}"
        try:
            self._notify(f"budget-{digest.hexdigest()[:24]}", title, _details(payload))
        except (OrchestratorError, SQLAlchemyError) as error:
            # The event is on the timeline and in the log; a call must not fail for want of a notice.
            _log.warning("budget.notice_failed", message=str(error))


def _details(payload: BudgetReached) -> str:
    used = f"{payload.owner} has used {payload.used} of {payload.limit} for this {payload.period}."
    if payload.reached == BudgetLevel.HARD:
        return f"{used} Calls are refused until {payload.until}, or until the limit is raised."
    return f"{used} Calls are still answered. The {payload.period} ends at {payload.until}."
