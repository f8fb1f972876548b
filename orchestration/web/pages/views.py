"""Saved views: lists with their filters and time ranges, kept under a name and shared by a link."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qsl, urlencode, urlsplit

import anyio.to_thread
from starlette.requests import Request
from starlette.routing import Route

from orchestration.errors import UsageError
from orchestration.security.principal import Principal, Role
from orchestration.storage.saved_views import SavedViews
from orchestration.web.pages.forms import Form
from orchestration.web.pages.site import SAVED_LISTS, DashboardSite, SitePage, Values, principal_of

_LONGEST_NAME, _LONGEST_ADDRESS = 80, 2_000
# Where somebody was in a list, and what a form has said, are no parts of a view.
_PASSING = frozenset({"before", "done"})


def routes(site: DashboardSite) -> Sequence[Route]:
    """The page with its forms, and the link that leads to a view."""
    view = _Views(site)
    page = SitePage("/views", "views.html", "views", view.read)
    actions = {"save": (view.save, Role.VIEWER), "delete": (view.delete, Role.VIEWER)}
    return [*site.page(page, actions), site.link("/views/{view}", "views", view.follow)]


class _Views:
    def __init__(self, site: DashboardSite) -> None:
        self._app = site.app
        self._views = SavedViews(site.app.database)

    async def read(self, request: Request) -> Values:
        principal = principal_of(request)
        owner = principal.name if principal else ""
        found = await anyio.to_thread.run_sync(self._views.list, owner)
        return {"saved": found, "origin": f"{request.url.scheme}://{request.url.netloc}"}

    async def save(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        address, name = checked_address(form.text("address")), form.text("name").strip()
        if len(name) > _LONGEST_NAME:
            raise UsageError(f"The name has {len(name)} characters; {_LONGEST_NAME} are possible.")
        name = self._app.redactor.text(name)
        now = self._app.clock.now()
        await anyio.to_thread.run_sync(self._views.save, principal.name, name, address, now)
        return address, "view-saved"

    async def delete(self, request: Request, form: Form, principal: Principal) -> tuple[str, str]:  # noqa: ARG002
        await anyio.to_thread.run_sync(self._views.delete, principal.name, form.text("view"))
        return "/views", "view-deleted"

    async def follow(self, request: Request) -> str:
        """The address of a view. Raises NotFoundError."""
        found = await anyio.to_thread.run_sync(self._views.get, request.path_params["view"])
        return checked_address(found.address)


def checked_address(address: str) -> str:
    """The address of a list with its filters, without what passes. Raises UsageError for any other address: a link of
    the dashboard must lead nowhere else."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc or parts.path not in SAVED_LISTS or len(address) > _LONGEST_ADDRESS:
        raise UsageError(f"Only views of these lists can be saved: {', '.join(SAVED_LISTS)}.")
    kept = [(name, value) for name, value in parse_qsl(parts.query) if name not in _PASSING and value]
    return f"{parts.path}?{urlencode(kept)}" if kept else parts.path
