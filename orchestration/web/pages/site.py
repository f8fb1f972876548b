"""What all pages share: authorization, rendering, forms and error pages.

Everything works without JavaScript. A form is a POST that redirects to a page (303, so that reloading it does not send
the form again) with a confirmation; if the action is not possible, the same page is shown with the reason at the top.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import anyio.to_thread
import jinja2
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from orchestration.app.application import Application
from orchestration.config.isolation import isolation_of
from orchestration.errors import ConflictError, NotFoundError, OrchestratorError
from orchestration.security.principal import Principal, Role
from orchestration.storage.database import StorageError
from orchestration.storage.saved_views import SavedView, SavedViews
from orchestration.web.pages.bidirectional import isolated
from orchestration.web.pages.formatting import CONFIRMATIONS, FILTERS
from orchestration.web.pages.forms import DURATIONS, Form, csrf_of, read_form, whole_number
from orchestration.web.pages.streams import Streams

_FOLDER = Path(__file__).parents[1]
_STATIC = _FOLDER / "static"
_COMPRESSED = frozenset({".css", ".js", ".svg"})
# A page follows at most ten subjects. The bound keeps a client from making the server count thousands.
_MAX_SUBJECTS = 16
# The frame shows how many incidents and questions are open.
_FRAME_SUBJECTS = ("incident", "approval", "isolation")

# The lists whose filters and time ranges can be saved under a name.
SAVED_LISTS = ("/runs", "/incidents", "/search", "/figures", "/resources", "/audit")

Values = Mapping[str, Any]
Read = Callable[[Request], Awaitable[Values]]
# Carries out what a form requests. Returns the address to redirect to and a key of `CONFIRMATIONS`; or, if it only
# reads something such as a dry run, values for the page to show.
PageAction = Callable[[Request, Form, Principal], Awaitable[tuple[str, str] | Values]]


class _ImmutableFiles(StaticFiles):
    """Static files whose URL changes with their content, so that browsers may cache them for ever. Compressed where the
    browser takes that: together they are 200 kB otherwise. Pages are not, since they hold tokens beside what others
    have written (https://breachattack.com)."""

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        path = Path(full_path)
        if path.suffix in _COMPRESSED and "gzip" in Headers(scope=scope).get("accept-encoding", ""):
            response = Response(_gzipped(path), media_type=mimetypes.guess_type(path.name)[0])
            response.headers["Content-Encoding"] = "gzip"
        else:
            response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        response.headers["Vary"] = "Accept-Encoding"
        return response


@lru_cache(maxsize=32)
def _gzipped(path: Path) -> bytes:
    return gzip.compress(path.read_bytes(), 9, mtime=0)


@dataclass(frozen=True, slots=True)
class MenuEntry:
    """One entry of the menu, for principals with `role`. Those of a `group` are behind its last entry."""

    path: str
    title: str
    role: Role = Role.VIEWER
    group: str = ""

    def is_at(self, path: str) -> bool:
        """Whether this page is shown at a path."""
        return path == self.path or (self.path != "/" and path.startswith(f"{self.path}/"))


@dataclass(frozen=True, slots=True)
class SitePage:
    """One page. `area` is the scope that a token needs, `role` the role that a principal needs to view it.

    Events about one of the `subjects` refresh the page; `run/ID` stands for the run in its address. A page that
    `refreshes` is also fetched anew every 30 seconds, because it shows things that no event reports.
    """

    path: str
    template: str
    area: str
    read: Read
    subjects: tuple[str, ...] = ()
    refreshes: bool = False
    role: Role = Role.VIEWER


class DashboardSite:
    """The pages of one application."""

    def __init__(self, app: Application, streams: Streams, menu: Sequence[MenuEntry]) -> None:
        self.app = app
        self._streams = streams
        self._menu = menu
        self._views = SavedViews(app.database)
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_FOLDER / "templates"),
            # Titles, goals and log lines come from models and from other systems: none of them may become markup.
            autoescape=True,
            # A misspelt variable fails in the first test that renders the page, instead of showing nothing.
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=_isolated,
        )
        self._templates.filters.update(FILTERS)
        self._templates.globals.update(version=_version(), durations=tuple(DURATIONS))

    def routes(self) -> list[Route | Mount]:
        """The static files and the event stream, which every page needs."""
        return [
            Route("/stream", self._stream),
            Route("/session", self._session),
            Mount("/static", _ImmutableFiles(directory=_STATIC), name="static"),
        ]

    def menu_of(self, principal: Principal | None) -> list[MenuEntry]:
        """The entries that a principal may see."""
        return [entry for entry in self._menu if _has(principal, entry.role)]

    def page(self, page: SitePage, actions: Mapping[str, tuple[PageAction, Role]] | None = None) -> list[Route]:
        """The routes of a page and of its forms. The name of an action is the last part of its address; each comes with
        the role that it requires."""
        routes = [Route(page.path, partial(self._show, page), methods=["GET"])]
        for name, (action, role) in (actions or {}).items():
            path = f"{page.path.rstrip('/')}/{name}"
            routes.append(Route(path, partial(self._submit, page, action, role), methods=["POST"]))
        return routes

    def link(self, path: str, area: str, find: Callable[[Request], Awaitable[str]]) -> Route:
        """A route that leads to the address that `find` returns."""
        return Route(path, partial(self._follow, area, find), methods=["GET"])

    async def _follow(self, area: str, find: Callable[[Request], Awaitable[str]], request: Request) -> Response:
        principal = principal_of(request)
        if refusal := _refusal(principal, Role.VIEWER, area):
            return await self._error(request, 403 if principal else 401, refusal)
        try:
            return RedirectResponse(await find(request), 303)
        except NotFoundError as error:
            return await self._error(request, 404, str(error))
        except SQLAlchemyError:
            return await self._error(request, 503, "The database is not available. Try again in a moment.")

    async def _show(self, page: SitePage, request: Request) -> Response:
        principal = principal_of(request)
        if refusal := _refusal(principal, page.role, page.area):
            return await self._error(request, 403 if principal else 401, refusal)
        return await self._respond(request, page, 200, "")

    async def _submit(self, page: SitePage, action: PageAction, role: Role, request: Request) -> Response:
        principal = principal_of(request)
        refusal = _refusal(principal, role, page.area)
        if principal is None or refusal:
            return await self._error(request, 403 if principal else 401, refusal)
        try:
            result = await action(request, await read_form(request), principal)
        # The order matters: a database error must not be reported as a mistake in the form.
        except NotFoundError as error:
            return await self._error(request, 404, str(error))
        except (SQLAlchemyError, StorageError):
            return await self._error(request, 503, "The database is not available. Nothing was changed.")
        except OrchestratorError as error:
            return await self._respond(request, page, 409 if isinstance(error, ConflictError) else 422, str(error))
        if isinstance(result, Mapping):
            # Without live updates: a refresh would replace the result by the page without it.
            return await self._respond(request, replace(page, subjects=(), refreshes=False), 200, "", result)
        to, done = result
        return RedirectResponse(f"{to}{'&' if '?' in to else '?'}{urlencode({'done': done})}", 303)

    async def _respond(
        self, request: Request, page: SitePage, status: int, problem: str, extra: Values | None = None
    ) -> Response:
        try:
            frame = await anyio.to_thread.run_sync(self._frame, request)
            values = await page.read(request)
        except NotFoundError as error:
            return await self._error(request, 404, str(error))
        except OrchestratorError as error:
            return await self._error(request, 503 if isinstance(error, StorageError) else 422, str(error))
        except SQLAlchemyError:
            return await self._error(request, 503, "The database is not available. Try again in a moment.")
        subjects = [one.replace("ID", request.path_params.get("run", "")) for one in page.subjects]
        if subjects:
            subjects = list(dict.fromkeys([*subjects, *_FRAME_SUBJECTS]))
        frame = {
            **frame,
            "address": _address(page, request),
            "subjects": ",".join(subjects),
            "refreshes": page.refreshes,
        }
        frame["problem"] = problem
        # Rendering a long page takes tens of milliseconds, during which the event loop has to serve streams and calls.
        text = await anyio.to_thread.run_sync(lambda: self._render(page.template, {**frame, **values, **(extra or {})}))
        # `no-store`: after signing out, the back button must not show the page from the browser's cache.
        return HTMLResponse(text, status, {"Cache-Control": "no-store"})

    async def _error(self, request: Request, status: int, message: str) -> Response:
        headings = {401: "Not signed in", 403: "Not allowed", 404: "Not found", 503: "Temporarily unavailable"}
        heading = headings.get(status, "Not possible")
        frame = self._static_frame(request) | {"heading": heading, "message": message}
        return HTMLResponse(self._render("error.html", frame), status, {"Cache-Control": "no-store"})

    def _static_frame(self, request: Request) -> dict[str, Any]:
        """The values of the page frame that need no database, so that an error page can be shown without one."""
        principal = principal_of(request)
        return {
            "path": request.url.path,
            "address": "",
            "csrf": csrf_of(request),
            "principal": principal,
            "session": bool(getattr(request.state, "session", "")),
            "may": partial(_may, principal),
            "menu": self.menu_of(principal),
            "badges": {},
            "saved_views": None,
            "now": self.app.clock.now(),
            "project": self.app.configuration.metadata.name,
            "subjects": "",
            "refreshes": False,
            "sequence": 0,
            "problem": "",
            "confirmation": CONFIRMATIONS.get(request.query_params.get("done", ""), ""),
            "automation": self.app.configuration.automation.enabled,
            "isolation": isolation_of(self.app.store),
        }

    def _frame(self, request: Request) -> dict[str, Any]:
        """The values of the page frame, with the badges of the menu."""
        app = self.app
        # Before anything else is read: the page's stream starts from this number, so an event that happens while the
        # page is being made refreshes it. Read afterwards, that event would be missed.
        sequence = app.timeline.last_sequence()
        open_incidents = app.incident_service.records.table.list(is_open=True, limit=100)
        badges = {"/incidents": len(open_incidents), "/runs": len(app.approvals.list_open())}
        return {
            **self._static_frame(request),
            "sequence": sequence,
            "badges": badges,
            "saved_views": self._views_of(request),
        }

    def _views_of(self, request: Request) -> Sequence[SavedView] | None:
        """The saved views of a person, on the pages of the lists that can be saved; None on others."""
        principal = principal_of(request)
        if principal is None or request.url.path not in SAVED_LISTS:
            return None
        return self._views.list(principal.name)

    def _render(self, template: str, values: Values) -> str:
        return self._templates.get_template(template).render(values)

    async def _session(self, request: Request) -> Response:
        """Whether the session still lasts, which a page asks before it sends a form."""
        return Response(status_code=204 if principal_of(request) else 401)

    async def _stream(self, request: Request) -> Response:
        if refusal := _refusal(principal_of(request), Role.VIEWER, None):
            return Response(refusal, 401, media_type="text/plain")
        subjects = [one for one in request.query_params.get("of", "").split(",") if one][:_MAX_SUBJECTS]
        after = request.headers.get("last-event-id") or request.query_params.get("after", "")
        lines = self._streams.listen(subjects, whole_number(after))
        # nginx buffers responses by default, which would hold events back until its buffer is full; this header turns
        # that off (https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_buffering).
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(lines, media_type="text/event-stream", headers=headers)


def principal_of(request: Request) -> Principal | None:
    """The principal that the middleware has found, if any."""
    found = getattr(request.state, "principal", None)
    return found if isinstance(found, Principal) else None


def _refusal(principal: Principal | None, role: Role, area: str | None) -> str:
    """Why a principal may not do something; empty if it may."""
    if principal is None:
        return "Sign in to see this page."
    if principal.may(role, area) if area else principal.role.includes(role):
        return ""
    return f"This requires the role {role.value}. {principal.name} has the role {principal.role.value}. Ask an admin."


def _has(principal: Principal | None, role: Role) -> bool:
    return role is Role.VIEWER or (principal is not None and principal.role.includes(role))


def _address(page: SitePage, request: Request) -> str:
    """The address for fetching the page again, also in the response to a form; without the confirmation."""
    query = {name: value for name, value in request.query_params.items() if name != "done"}
    # `{name:path}` is Starlette's, not a format.
    path = page.path.replace(":path}", "}").format(**request.path_params)
    return f"{path}?{urlencode(query)}" if query else path


def _may(principal: Principal | None, role: str, area: str) -> bool:
    return principal is not None and principal.may(Role(role), area)


def _isolated(value: Any) -> Any:
    """What a template writes: a text that turns its direction must not turn what follows it. Markup was made from such
    texts."""
    return isolated(value) if type(value) is str else value


def _version() -> str:
    """A digest of the static files, for their URLs."""
    digest = hashlib.sha256()
    for path in sorted(_STATIC.rglob("*")):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
