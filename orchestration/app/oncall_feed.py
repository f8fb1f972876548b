"""The feed of a rotation: its address, and the calendar behind it."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote

from orchestration.app.oncall import find_rotation
from orchestration.app.project import ProjectRecords
from orchestration.errors import NotFoundError, UsageError
from orchestration.incidents.icalendar_feed import write_calendar
from orchestration.incidents.oncall import shifts
from orchestration.security.feed_token import feed_token, opens

FEED_PATH = "/oncall/"
# Calendar programs show what was, too; and who plans a holiday looks ahead.
_BACK, _AHEAD = timedelta(days=31), timedelta(days=120)


def feed_url(project: ProjectRecords, rotation: str) -> str:
    """The address of a rotation's feed. Raises NotFoundError, and UsageError where nobody could reach it."""
    find_rotation(project.response, rotation)
    base = project.response.dashboard_url or project.serves_at
    key = project.link_key()
    if not base or key is None:
        raise UsageError("The address of the dashboard is not known. Set response.dashboardUrl, or start the server.")
    return f"{base.rstrip('/')}{FEED_PATH}{quote(rotation)}.ics?token={feed_token(key, rotation)}"


def feed(project: ProjectRecords, rotation: str, token: str) -> bytes:
    """The calendar of a rotation for whoever has its token. Raises NotFoundError for anybody else: what there is must
    not be learned by trying."""
    key = project.link_key()
    if key is None or not opens(token, key, rotation):
        raise NotFoundError("There is no such feed.")
    settings, now = project.response, project.clock.now()
    found = find_rotation(settings, rotation)
    names = {contact.id: contact.name for contact in settings.contacts}
    planned = shifts(found, settings.roster, now - _BACK, now + _AHEAD)
    return write_calendar(found, planned, names, now)
