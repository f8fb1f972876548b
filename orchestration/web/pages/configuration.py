"""The configuration page: current settings, findings about the file, differences between versions, and overrides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio.to_thread
from starlette.requests import Request
from starlette.routing import Route

from orchestration.config.overrides import Override, StopAutomation
from orchestration.events.configuration import ConfigurationRolledBack
from orchestration.security.principal import Principal, Role
from orchestration.web.pages.forms import Form, whole_number
from orchestration.web.pages.site import DashboardSite, SitePage, Values

_VERSIONS_SHOWN = 30


def routes(site: DashboardSite) -> Sequence[Route]:
    """The page and its forms."""
    view = _Configuration(site)
    actions = {
        "end-override": (view.end_override, Role.OPERATOR),
        "stop-automation": (view.stop_automation, Role.RESPONDER),
        "roll-back": (view.roll_back, Role.ADMIN),
    }
    subjects = ("configuration", "override", "credentials")
    return site.page(SitePage("/configuration", "configuration.html", "configuration", view.read, subjects), actions)


class _Configuration:
    def __init__(self, site: DashboardSite) -> None:
        self._app = site.app

    async def read(self, request: Request) -> Values:
        before, after = (whole_number(request.query_params.get(name, "")) for name in ("from", "to"))
        return await anyio.to_thread.run_sync(self._read, before, after)

    def _read(self, before: int | None, after: int | None) -> Values:
        app = self._app
        versions = app.store.history(_VERSIONS_SHOWN)
        newest = versions[0].number if versions else None
        earlier = versions[1].number if len(versions) > 1 else newest
        new, old = (newest if after is None else after), (earlier if before is None else before)
        changes = app.store.diff(old, new) if old is not None and new is not None else ()
        # Settings hold no secrets, only names of variables. A user may still have written a key into one by mistake.
        document = app.configuration.model_dump(mode="json", by_alias=True, exclude_none=True)
        return {
            "sections": app.redactor.data(document),
            "number": app.store.number,
            "findings": app.store.findings,
            "refused": app.store.refused,
            "versions": versions,
            "old": old,
            "new": new,
            "changes": [
                (change.path, app.redactor.data(change.before), app.redactor.data(change.after)) for change in changes
            ],
            "overrides": [(one, self._values(one)) for one in app.store.overrides],
        }

    def _values(self, override: Override) -> dict[str, Any]:
        """The values that an override sets, without those that are shown elsewhere or would fill the page."""
        hidden = {"kind", "target", "document", "over"}
        values = override.change.model_dump(mode="json", exclude=hidden, exclude_none=True)
        shown: dict[str, Any] = self._app.redactor.data(values)
        return shown

    async def end_override(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        self._app.store.remove_override(form.text("override"), principal.name)
        return "/configuration", "override-removed"

    async def stop_automation(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        # On the event loop's thread and not in a worker thread: the store calls its subscribers on the thread that
        # changes the configuration, and they expect to be called on the event loop.
        seconds = form.seconds("duration")
        self._app.store.add_override(
            StopAutomation(), reason=form.text("reason"), actor=principal.name, seconds=seconds
        )
        return "/configuration", "automation-stopped"

    async def roll_back(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        number = form.whole("number", 1, 1_000_000_000)
        await anyio.to_thread.run_sync(self._app.store.rollback, number)
        self._app.bus.publish(ConfigurationRolledBack(number=number), actor=principal.name)
        return "/configuration", "rolled-back"
