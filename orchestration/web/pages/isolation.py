"""The page of isolation mode: whether it is on, and the forms that turn it on and lift it."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.routing import Route

from orchestration.app import isolation
from orchestration.security.principal import Principal, Role
from orchestration.web.pages.forms import Form
from orchestration.web.pages.site import DashboardSite, SitePage, Values

PATH = "/isolation"


def routes(site: DashboardSite) -> Sequence[Route]:
    """The page with its forms."""
    view = _Isolation(site)
    actions = {"isolate": (view.isolate, Role.ADMIN), "lift": (view.lift, Role.ADMIN)}
    return site.page(SitePage(PATH, "isolation.html", "configuration", view.read, ("isolation",)), actions)


class _Isolation:
    def __init__(self, site: DashboardSite) -> None:
        self._app = site.app

    async def read(self, request: Request) -> Values:  # noqa: ARG002
        return {}

    # Both on the event loop's thread: the store calls its subscribers there.
    async def isolate(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        incident = form.text("incident", required=False) or None
        isolation.isolate(self._app, reason=form.text("reason"), actor=principal.name, incident=incident)
        return PATH, "isolated"

    async def lift(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        isolation.lift(self._app, reason=form.text("reason"), actor=principal.name)
        return PATH, "isolation-lifted"
