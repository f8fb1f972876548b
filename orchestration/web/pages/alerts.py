"""The alerts page: active and resolved alerts, and the silences that mute them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import anyio.to_thread
from starlette.requests import Request
from starlette.routing import Route

from orchestration.alerts.maintenance_windows import upcoming
from orchestration.alerts.silences import validate_matchers
from orchestration.app.heartbeats import heartbeats_of
from orchestration.domain.alert_status import AlertStatus
from orchestration.events.alerts import SilenceAdded, SilenceExpired
from orchestration.ids import new_id
from orchestration.security.principal import Principal, Role
from orchestration.storage.alerts import AlertRow
from orchestration.storage.silences import SilenceKind, SilenceRow
from orchestration.web.pages.forms import Form
from orchestration.web.pages.site import DashboardSite, SitePage, Values
from orchestration.web.pages.time_range import TimeRange, time_range

_ALERTS_SHOWN = 100
_RESOLVED_SHOWN = 25
# A silence has to have an end in the database. "Until ended" means a year, so that a forgotten one does not mute for
# ever.
_UNTIL_ENDED = timedelta(days=366)


def routes(site: DashboardSite) -> Sequence[Route]:
    """The page and its forms."""
    alerts = _Alerts(site)
    actions = {"silence": (alerts.silence, Role.RESPONDER), "end-silence": (alerts.end, Role.RESPONDER)}
    page = SitePage("/alerts", "alerts.html", "alerts", alerts.read, ("alert", "silence"), refreshes=True)
    return site.page(page, actions)


class _Alerts:
    def __init__(self, site: DashboardSite) -> None:
        self._app = site.app

    async def read(self, request: Request) -> Values:
        given, began = request.query_params, time_range(request, self._app.clock.now())
        names = given.get("incident", ""), given.get("alert", "")
        return await anyio.to_thread.run_sync(self._read, *names, began, given.get("before") or None)

    def _read(self, incident: str, alert: str, began: TimeRange, before: str | None) -> Values:
        app, now = self._app, self._app.clock.now()
        firing = app.alerts.list([AlertStatus.FIRING, AlertStatus.PENDING], limit=_ALERTS_SHOWN)
        # One more than is shown, so that it is known whether there is another page.
        ended = app.alerts.list(
            [AlertStatus.RESOLVED], before=before, since=began.since, until=began.until, limit=_RESOLVED_SHOWN + 1
        )
        resolved = ended[:_RESOLVED_SHOWN]
        chosen = self._chosen(incident, alert)
        return {
            "firing": firing,
            "resolved": resolved,
            "earlier": resolved[-1].id if len(ended) > _RESOLVED_SHOWN else None,
            "paged": before is not None,
            "range": began,
            "chosen": chosen,
            "chosen_by": incident or alert,
            "incidents": app.incident_service.records.table.newest_of_keys(
                [one.group_key for one in (*firing, *resolved, *chosen)]
            ),
            "silences": app.silences.list(now),
            "windows": [
                (window, one)
                for window in app.configuration.alerting.maintenance_windows
                for one in upcoming(window, now, 1)
            ],
            "heartbeats": heartbeats_of(app),
        }

    def _chosen(self, incident: str, alert: str) -> Sequence[AlertRow]:
        """The alerts of one incident, or one alert. Raises NotFoundError."""
        if incident:
            return self._app.reviews.alerts_of(self._app.incident_service.records.get(incident))
        return [self._app.alerts.find(alert)] if alert else ()

    async def silence(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        app, now = self._app, self._app.clock.now()
        matchers = validate_matchers(
            [line for line in form.text("matchers").splitlines() if line.strip()], app.redactor.text
        )
        seconds = form.seconds("duration")
        row = SilenceRow(
            id=new_id("silence", now.timestamp()),
            kind=SilenceKind.SILENCE,
            matchers=[str(matcher) for matcher in matchers],
            starts_at=now,
            ends_at=now + (_UNTIL_ENDED if seconds is None else timedelta(seconds=seconds)),
            author=principal.name,
            # Redacted like every text that people type: they paste commands with keys in them.
            comment=app.redactor.text(form.text("comment")),
            created_at=now,
        )
        await anyio.to_thread.run_sync(app.silences.add, row)
        app.bus.publish(SilenceAdded(silence=row.id, matchers=tuple(row.matchers)), actor=principal.name)
        return "/alerts", "silenced"

    async def end(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        app, name = self._app, form.text("silence")
        await anyio.to_thread.run_sync(app.silences.expire, name, app.clock.now())
        app.bus.publish(SilenceExpired(silence=name), actor=principal.name)
        return "/alerts", "silence-ended"
