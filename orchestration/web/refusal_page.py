"""Refusals as pages, for people who opened an address in a browser. Programs get problem details. Pure."""

from __future__ import annotations

import json
from html import escape

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import Scope

from orchestration.web.gateway.addresses import PREFIXES as GATEWAY
from orchestration.web.stylesheet import framed

_FOR_PROGRAMS = ("/api/", "/metrics", "/stream", *GATEWAY)
_ENDED = (
    "Your session has ended, and nothing was changed. Sign in, then go back to the page: your browser keeps what you "
    "have typed."
)


def refusal_for(scope: Scope, refusal: Response) -> Response:
    """The refusal as the client of a request reads it: a page for a person, otherwise as it is."""
    if not isinstance(refusal, JSONResponse) or not _is_for_a_person(scope):
        return refusal
    problem = json.loads(bytes(refusal.body))
    kept = {name: value for name, value in refusal.headers.items() if name not in ("content-length", "content-type")}
    return HTMLResponse(_page(refusal.status_code, problem["title"], problem["detail"]), refusal.status_code, kept)


def _is_for_a_person(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    # A script of a page reads the status alone.
    wants_page = "text/html" in headers.get("accept", "") and "hx-request" not in headers
    return wants_page and not scope["path"].startswith(_FOR_PROGRAMS)


def _page(status: int, title: str, detail: str) -> str:
    if status == 401:
        return framed(title, f'<p>{_ENDED}</p><p><a href="/sign-in">Sign in</a></p>')
    return framed(
        title, f'<p>{escape(detail)}</p><p><a href="/">To the overview</a> · <a href="/search">Search</a></p>'
    )
