"""What all pages share: who may see them, how they are rendered, what happens to a form, and what an error looks like.

Nothing here needs a script. A form is a POST that leads back to its page (303), with a word of what was done; one that
cannot be done shows the same page with the reason on top.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import anyio.to_thread
import jinja2
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from orchestration.app.application import Application
from orchestration.errors import ConflictError, NotFoundError, OrchestratorError
from orchestration.security.principal import Principal, Role
from orchestration.storage.database import StorageError
from orchestration.web.pages.formatting import DONE, FILTERS
from orchestration.web.pages.forms import DURATIONS, Form, csrf_of, read_form, whole_number
from orchestration.web.pages.streams import Streams

_FOLDER = Path(__file__).parents[1]
_STATIC = _FOLDER / "static"
_MOST_SUBJECTS = 16

Values = Mapping[str, Any]
Read = Callable[[Request], Awaitable[Values]]
# Does what a form asks for; returns where to go then, and the word of `DONE` that says so. One that changes nothing and
# only finds something out returns that, for the page to show.
Deed = Callable[[Request, Form, Principal], Awaitable[tuple[str, str] | Values]]


class _Kept(StaticFiles):
    """Files whose address changes with what is in them, so that a browser may keep them."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


@dataclass(frozen=True, slots=True)
class SitePage:
    """One page. `area` is what a token's scopes name; `subjects` are the events after which it is out of date, where
    `run/ID` stands for those of the run in the address. One with `stales` is so after half a minute, too: it shows
    what no event tells of. `needed` is the role that it takes to look."""

    path: str
    template: str
    area: str
    read: Read
    subjects: tuple[str, ...] = ()
    stales: bool = False
    needed: Role = Role.VIEWER


class DashboardSite:
    """The pages of one application."""

    def __init__(self, app: Application, streams: Streams, menu: Sequence[tuple[str, str, Role]]) -> None:
        self.app = app
        self._streams = streams
        self._menu = menu
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_FOLDER / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(FILTERS)
        self._templates.globals.update(version=_version(), durations=tuple(DURATIONS))

    def routes(self) -> list[Route | Mount]:
        """What every page needs beside itself: the files, and the stream of signs."""
        return [Route("/stream", self._stream), Mount("/static", _Kept(directory=_STATIC), name="static")]

    def page(self, page: SitePage, deeds: Mapping[str, tuple[Deed, Role]] | None = None) -> list[Route]:
        """A page, and the forms on it: under its own address, each by the last part of theirs, with who may use it."""
        routes = [Route(page.path, partial(self._show, page), methods=["GET"])]
        for name, (deed, needed) in (deeds or {}).items():
            path = f"{page.path.rstrip('/')}/{name}"
            routes.append(Route(path, partial(self._do, page, deed, needed), methods=["POST"]))
        return routes

    async def _show(self, page: SitePage, request: Request) -> Response:
        principal = principal_of(request)
        if refusal := _refusal(principal, page.needed, page.area):
            return await self._error(request, 403 if principal else 401, refusal)
        return await self._answer(request, page, 200, "")

    async def _do(self, page: SitePage, deed: Deed, needed: Role, request: Request) -> Response:
        principal = principal_of(request)
        refusal = _refusal(principal, needed, page.area)
        if principal is None or refusal:
            return await self._error(request, 403 if principal else 401, refusal)
        try:
            found = await deed(request, await read_form(request), principal)
        except NotFoundError as error:
            return await self._error(request, 404, str(error))
        except (SQLAlchemyError, StorageError):
            return await self._error(request, 503, "the database does not answer; nothing was changed")
        except OrchestratorError as error:
            return await self._answer(request, page, 409 if isinstance(error, ConflictError) else 422, str(error))
        if isinstance(found, Mapping):
            # News would take the place of what was found.
            return await self._answer(request, replace(page, subjects=(), stales=False), 200, "", found)
        to, done = found
        return RedirectResponse(f"{to}{'&' if '?' in to else '?'}{urlencode({'done': done})}", 303)

    async def _answer(
        self, request: Request, page: SitePage, status: int, problem: str, found: Values | None = None
    ) -> Response:
        try:
            shell = await anyio.to_thread.run_sync(self._shell, request)
            values = await page.read(request)
        except NotFoundError as error:
            return await self._error(request, 404, str(error))
        except OrchestratorError as error:
            return await self._error(request, 503 if isinstance(error, StorageError) else 422, str(error))
        except SQLAlchemyError:
            return await self._error(request, 503, "the database does not answer; look again in a moment")
        subjects = [one.replace("ID", request.path_params.get("run", "")) for one in page.subjects]
        shell = {**shell, "here": _address(page, request), "subjects": ",".join(subjects), "stales": page.stales}
        shell["problem"] = problem
        text = await anyio.to_thread.run_sync(lambda: self._render(page.template, {**shell, **values, **(found or {})}))
        return HTMLResponse(text, status, {"Cache-Control": "no-store"})

    async def _error(self, request: Request, status: int, message: str) -> Response:
        words = {401: "Sign in first", 403: "Not allowed", 404: "Not found", 503: "Not available now"}
        title = words.get(status, "That cannot be done")
        shell = self._bare(request) | {"heading": title, "message": message}
        return HTMLResponse(self._render("error.html", shell), status, {"Cache-Control": "no-store"})

    def _bare(self, request: Request) -> dict[str, Any]:
        """What the frame of a page needs, without the database."""
        principal = principal_of(request)
        return {
            "path": request.url.path,
            "here": "",
            "csrf": csrf_of(request),
            "principal": principal,
            "session": bool(getattr(request.state, "session", "")),
            "may": partial(_may, principal),
            "menu": [(path, title) for path, title, needed in self._menu if _has(principal, needed)],
            "badges": {},
            "now": self.app.clock.now(),
            "project": self.app.configuration.metadata.name,
            "subjects": "",
            "stales": False,
            "sequence": 0,
            "problem": "",
            "said": DONE.get(request.query_params.get("done", ""), ""),
            "automation": self.app.configuration.automation.enabled,
        }

    def _shell(self, request: Request) -> dict[str, Any]:
        """The frame, with what waits for somebody."""
        app = self.app
        sequence = app.timeline.last_sequence()  # first: what happens while the page is made is told to it afterwards
        open_ = app.incident_service.records.table.list(is_open=True, limit=100)
        badges = {"/incidents": len(open_), "/runs": len(app.approvals.list_open())}
        return {**self._bare(request), "sequence": sequence, "badges": badges}

    def _render(self, template: str, values: Values) -> str:
        return self._templates.get_template(template).render(values)

    async def _stream(self, request: Request) -> Response:
        if refusal := _refusal(principal_of(request), Role.VIEWER, None):
            return Response(refusal, 401, media_type="text/plain")
        subjects = [one for one in request.query_params.get("of", "").split(",") if one][:_MOST_SUBJECTS]
        after = request.headers.get("last-event-id") or request.query_params.get("after", "")
        signs = self._streams.listen(subjects, whole_number(after))
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(signs, media_type="text/event-stream", headers=headers)


def principal_of(request: Request) -> Principal | None:
    """Who asks, as the server has found out."""
    found = getattr(request.state, "principal", None)
    return found if isinstance(found, Principal) else None


def _refusal(principal: Principal | None, needed: Role, area: str | None) -> str:
    """Why somebody may not; empty where they may."""
    if principal is None:
        return "this page is for people who are signed in; sign in and come back"
    if principal.may(needed, area) if area else principal.role.includes(needed):
        return ""
    return (
        f"expected somebody with the role {needed.value}, got {principal.name} ({principal.role.value}); ask an admin"
    )


def _has(principal: Principal | None, needed: Role) -> bool:
    return needed is Role.VIEWER or (principal is not None and principal.role.includes(needed))


def _address(page: SitePage, request: Request) -> str:
    """Where the page can be fetched anew, also when a form of it was sent; without the word of what was done."""
    query = {name: value for name, value in request.query_params.items() if name != "done"}
    path = page.path.format(**request.path_params)
    return f"{path}?{urlencode(query)}" if query else path


def _may(principal: Principal | None, role: str, area: str) -> bool:
    return principal is not None and principal.may(Role(role), area)


def _version() -> str:
    """Changes with the files that browsers keep."""
    digest = hashlib.sha256()
    for path in sorted(_STATIC.rglob("*")):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
