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
    new_run,
    on_call,
    overview,
    playbooks,
    providers,
    resources,
    run,
    run_calls,
    run_changes,
    run_comparison,
    runs,
    search,
    usage,
    views,
)
from orchestration.web.pages.site import DashboardSite, MenuEntry
from orchestration.web.pages.streams import Streams

__all__ = ["Streams", "routes", "streams_of"]


@dataclass(frozen=True, slots=True)
class _Section:
    """One page or several. Only a section with a `title` is in the menu, and only for principals with `role`; one of a
    `group` is behind the menu's last entry."""

    routes: Callable[[DashboardSite], Sequence[Route]]
    path: str = ""
    title: str = ""
    role: Role = Role.VIEWER
    group: str = ""


_RESPONSE, _SYSTEM = "Response", "System"
# At most four without a group: with the entry for the others that is what a telephone shows side by side.
_SECTIONS = (
    _Section(overview.routes, "/", "Overview"),
    _Section(incidents.routes, "/incidents", "Incidents"),
    _Section(incident.routes),
    _Section(runs.routes, "/runs", "Runs"),
    _Section(new_run.routes),  # before the page of a run, which would take `new` for its identifier
    _Section(run.routes),
    _Section(run_calls.routes),
    _Section(run_changes.routes),
    _Section(run_comparison.routes),
    _Section(on_call.routes, "/on-call", "On call"),
    _Section(alerts.routes, "/alerts", "Alerts", group=_RESPONSE),
    _Section(playbooks.routes, "/playbooks", "Playbooks", group=_RESPONSE),
    _Section(drills.routes, "/drills", "Drills", group=_RESPONSE),
    _Section(figures.routes, "/figures", "Statistics", group=_RESPONSE),
    _Section(providers.routes, "/providers", "Providers", group=_SYSTEM),
    _Section(usage.routes, "/usage", "Usage", group=_SYSTEM),
    _Section(resources.routes, "/resources", "Resources", group=_SYSTEM),
    _Section(maintenance.routes, "/maintenance", "Maintenance", group=_SYSTEM),
    _Section(configuration.routes, "/configuration", "Configuration", group=_SYSTEM),
    _Section(isolation.routes),
    _Section(audit.routes, "/audit", "Audit", Role.ADMIN, group=_SYSTEM),
    _Section(search.routes),
    _Section(views.routes),
)


def streams_of(app: Application) -> Streams:
    """The event streams of an application. The server must close them before it stops."""
    return Streams(app.timeline, app.clock, ordered=app.database.is_sqlite)


def routes(app: Application, streams: Streams | None = None) -> list[Route | Mount]:
    """The routes of all pages, to be mounted at the root. They expect `request.state.principal`, and
    `request.state.csrf` where there are sessions."""
    menu = [MenuEntry(one.path, one.title, one.role, one.group) for one in _SECTIONS if one.title]
    site = DashboardSite(app, streams or streams_of(app), menu)
    return [*site.routes(), *(route for section in _SECTIONS for route in section.routes(site))]
