"""The dashboard: pages rendered on the server, and refreshed when the event stream says that something changed.

To add a page, write a module with a function `routes(site)` and list it in `_SECTIONS`. A section with a title appears
in the menu.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.routing import Mount, Route

from orchestration.app.application import Application
from orchestration.security.principal import Role
from orchestration.web.pages import (
    alerts,
    audit,
    configuration,
    drills,
    figures,
    incident,
    incidents,
    isolation,
    maintenance,
    on_call,
    overview,
    playbooks,
    providers,
    resources,
    run,
    runs,
)
from orchestration.web.pages.site import DashboardSite
from orchestration.web.pages.streams import Streams

__all__ = ["Streams", "routes", "streams_of"]


@dataclass(frozen=True, slots=True)
class _Section:
    """One page or several. Only a section with a `title` is in the menu, and only for principals with `role`."""

    routes: Callable[[DashboardSite], Sequence[Route]]
    path: str = ""
    title: str = ""
    role: Role = Role.VIEWER


_SECTIONS = (
    _Section(overview.routes, "/", "Overview"),
    _Section(incidents.routes, "/incidents", "Incidents"),
    _Section(incident.routes),
    _Section(runs.routes, "/runs", "Runs"),
    _Section(run.routes),
    _Section(alerts.routes, "/alerts", "Alerts"),
    _Section(on_call.routes, "/on-call", "On call"),
    _Section(providers.routes, "/providers", "Providers"),
    _Section(playbooks.routes, "/playbooks", "Playbooks"),
    _Section(drills.routes, "/drills", "Drills"),
    _Section(maintenance.routes, "/maintenance", "Maintenance"),
    _Section(resources.routes, "/resources", "Resources"),
    _Section(figures.routes, "/figures", "Statistics"),
    _Section(configuration.routes, "/configuration", "Configuration"),
    _Section(isolation.routes),
    _Section(audit.routes, "/audit", "Audit", Role.ADMIN),
)


def streams_of(app: Application) -> Streams:
    """The event streams of an application. The server must close them before it stops."""
    return Streams(app.timeline, app.clock, ordered=app.database.is_sqlite)


def routes(app: Application, streams: Streams | None = None) -> list[Route | Mount]:
    """The routes of all pages, to be mounted at the root. They expect `request.state.principal`, and
    `request.state.csrf` where there are sessions."""
    menu = [(section.path, section.title, section.role) for section in _SECTIONS if section.title]
    site = DashboardSite(app, streams or streams_of(app), menu)
    return [*site.routes(), *(route for section in _SECTIONS for route in section.routes(site))]
