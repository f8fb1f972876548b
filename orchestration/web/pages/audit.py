"""The audit page: the entries of the audit trail, newest first, and whether the chain is intact."""

from __future__ import annotations

from collections.abc import Sequence

import anyio.to_thread
from starlette.requests import Request
from starlette.routing import Route

from orchestration.errors import UsageError
from orchestration.security.audit_trail import AuditTrail
from orchestration.security.principal import Role
from orchestration.storage.audit import AuditTable
from orchestration.web.pages.forms import whole_number
from orchestration.web.pages.site import DashboardSite, SitePage, Values
from orchestration.web.pages.time_range import TimeRange, time_range

_ENTRIES_SHOWN = 50
# Verifying this many entries takes well under a second, so every view of the page does it. A longer trail is verified
# on request only.
_VERIFIED_ON_EVERY_VIEW = 5_000


def routes(site: DashboardSite) -> Sequence[Route]:
    """The page. Like the audit trail in the API, it is for admins only."""
    return site.page(SitePage("/audit", "audit.html", "access", _Audit(site).read, role=Role.ADMIN))


class _Audit:
    def __init__(self, site: DashboardSite) -> None:
        app = site.app
        self._clock = app.clock
        self._trail = AuditTrail(AuditTable(app.database), app.bus, app.clock, app.redactor.data)

    async def read(self, request: Request) -> Values:
        query = request.query_params
        before = None
        if text := query.get("before", ""):
            before = whole_number(text)
            if before is None:
                raise UsageError(f"expected the number of an entry in 'before', got '{text[:20]}'")
        actor, check = query.get("actor", "").strip(), "check" in query
        chosen = time_range(request, self._clock.now())
        return await anyio.to_thread.run_sync(self._read, before, actor, chosen, check)

    def _read(self, before: int | None, actor: str, chosen: TimeRange, check: bool) -> Values:
        table = self._trail.table
        # One more than is shown, so that it is known whether there is another page.
        bounds = {"since": chosen.since, "until": chosen.until}
        found = table.list(actor=actor or None, before=before, **bounds, limit=_ENTRIES_SHOWN + 1)
        newest = next(iter(table.list(limit=1)), None)
        checks = check or newest is None or newest.sequence <= _VERIFIED_ON_EVERY_VIEW
        return {
            "lines": found[:_ENTRIES_SHOWN],
            "before": before,
            "actor": actor,
            "range": chosen,
            "next": found[_ENTRIES_SHOWN - 1].sequence if len(found) > _ENTRIES_SHOWN else None,
            "newest": newest,
            "verdict": self._trail.verify() if checks else None,
        }
