"""The page of the on-call roster: who is on call now and next, and the overrides that change it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import anyio.to_thread
from starlette.requests import Request
from starlette.routing import Route

from orchestration.app.contacts import contact_channels, send_test
from orchestration.app.escalation_paths import escalation_paths
from orchestration.app.oncall_calendars import states
from orchestration.app.push_devices import PushDevices
from orchestration.errors import ConflictError
from orchestration.incidents.oncall import duties, shifts
from orchestration.security.principal import Principal, Role
from orchestration.storage.outbox import DeliveryAttempt, Outbox, OutboxRow
from orchestration.web.pages.forms import Form
from orchestration.web.pages.site import DashboardSite, SitePage, Values, principal_of

_AHEAD = timedelta(days=28)
_SHIFTS_SHOWN = 12
_HISTORY_SHOWN = 50
# So many of the newest tries are read; a person's are among them if they were notified lately.
_ATTEMPTS_READ, _ATTEMPTS_SHOWN = 1000, 50


def routes(site: DashboardSite) -> Sequence[Route]:
    """The page and its forms."""
    view = _OnCall(site)
    actions = {
        "override": (view.override, Role.RESPONDER),
        "swap": (view.swap, Role.RESPONDER),
        "cancel": (view.cancel, Role.RESPONDER),
        "test": (view.test, Role.OPERATOR),
        "push-subscribe": (view.subscribe, Role.RESPONDER),
        "push-remove": (view.unsubscribe, Role.RESPONDER),
        "push-test": (view.test_push, Role.RESPONDER),
    }
    page = SitePage("/on-call", "on_call.html", "contacts", view.read, ("oncall", "config"), refreshes=True)
    return site.page(page, actions)


class _OnCall:
    def __init__(self, site: DashboardSite) -> None:
        self._app = site.app
        self._devices = PushDevices(site.app)

    async def read(self, request: Request) -> Values:
        principal = principal_of(request)
        shown = await anyio.to_thread.run_sync(self._read, request.query_params.get("person", ""))
        return {**shown, **await anyio.to_thread.run_sync(self._push, principal.name if principal else "")}

    def _push(self, user: str) -> Values:
        """The devices of the user who looks at the page; without a key where no push message can be sent."""
        try:
            key, problem = self._devices.public_key() if self._devices.channel else "", ""
        except ConflictError as error:
            key, problem = "", str(error)
        devices = self._devices.of_user(user) if self._devices.channel else ()
        return {
            "push_key": key,
            "push_problem": problem,
            "push_devices": devices,
            "push_reaches": self._devices.reaches(user),
        }

    async def subscribe(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        endpoint, label = form.text("endpoint"), form.text("label", required=False)
        keys = form.text("p256dh"), form.text("auth")
        await anyio.to_thread.run_sync(self._devices.subscribe, principal.name, endpoint, *keys, label)
        return "/on-call", "push-subscribed"

    async def unsubscribe(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        await anyio.to_thread.run_sync(self._devices.remove, principal.name, form.text("device"))
        return "/on-call", "push-removed"

    async def test_push(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        await anyio.to_thread.run_sync(self._devices.send_test, principal.name)
        return "/on-call", "test-sent"

    def _read(self, person: str) -> Values:
        app, now = self._app, self._app.clock.now()
        settings = app.response
        upcoming = [
            (rotation, list(shifts(rotation, settings.roster, now, now + _AHEAD, _SHIFTS_SHOWN)))
            for rotation in settings.rotations
        ]
        planned = app.on_call.overrides.list(now)
        known = {row.id for row in planned}
        history = [row for row in app.on_call.overrides.list(None, _HISTORY_SHOWN) if row.id not in known]
        return {
            "duties": duties(settings, now),
            "upcoming": upcoming,
            "planned": planned,
            "calendars": [one for one in states(settings, app.on_call.calendars, now) if one.problem or one.stale],
            "history": history,
            "paths": list(escalation_paths(settings, now)),
            "path_routes": settings.escalation_routes,
            "contacts": [contact.id for contact in settings.contacts],
            "channels": contact_channels(app),
            "chosen": person,
            "messages": self._messages(person),
        }

    def _messages(self, person: str) -> Sequence[tuple[OutboxRow, DeliveryAttempt]]:
        """The newest tries to reach people, or one of them."""
        newest = Outbox(self._app.database).list_newest_attempts(_ATTEMPTS_READ)
        return [one for one in newest if not person or person in one[0].contacts][:_ATTEMPTS_SHOWN]

    async def test(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        name = form.text("contact")
        if not await anyio.to_thread.run_sync(send_test, self._app, name, principal.name):
            raise ConflictError(f"No channel of {name} works. The table shows why.")
        return "/on-call", "test-sent"

    async def override(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        app = self._app
        rotation, contact, reason = form.text("rotation"), form.text("contact"), form.text("reason")
        start = form.moment("start") if form.text("start", required=False) else app.clock.now()
        end = form.moment("end")

        def enter() -> None:
            app.on_call.override(app.response, rotation, contact, start, end, reason, principal.name)

        await anyio.to_thread.run_sync(enter)
        return "/on-call", "on-call-changed"

    async def swap(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        app = self._app
        rotation, reason = form.text("rotation"), form.text("reason")
        one, other = form.text("contact"), form.text("other")

        def enter() -> None:
            app.on_call.swap(app.response, rotation, one, other, app.clock.now(), reason, principal.name)

        await anyio.to_thread.run_sync(enter)
        return "/on-call", "on-call-changed"

    async def cancel(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        await anyio.to_thread.run_sync(self._app.on_call.cancel, form.text("override"), principal.name)
        return "/on-call", "on-call-cancelled"
