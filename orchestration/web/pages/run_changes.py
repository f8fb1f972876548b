"""What a run has changed, as a difference to review: unified or side by side, in colours, with the remarks of its
reviewers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import anyio.to_thread
from markupsafe import Markup
from starlette.requests import Request
from starlette.routing import Route

from orchestration.agents.workspace import WorkspaceError
from orchestration.errors import ConflictError
from orchestration.runs.patch_reader import MOST_BYTES, PatchReader
from orchestration.runs.patch_view import PatchFile, PatchHunk, PatchLine, PatchView, patch_view, review_comments
from orchestration.storage.runs import Run
from orchestration.web.pages.forms import whole_number
from orchestration.web.pages.highlight import highlighted
from orchestration.web.pages.site import DashboardSite, SitePage, Values

# So many lines are shown at first; the files after them are opened one by one.
_FIRST_LINES = 400
# Of one file at once. A longer one is generated, and is read in the editor.
_MOST_LINES = 3_000
_VIEWS = ("unified", "split")


def routes(site: DashboardSite) -> Sequence[Route]:
    """The page. The run's page shows a part of it."""
    return site.page(SitePage("/runs/{run}/changes", "changes.html", "runs", _Changes(site).read))


@dataclass(frozen=True, slots=True)
class _ShownFile:
    """A file, and its hunks if it is shown open: each as pairs of a line and its HTML."""

    number: int
    file: PatchFile
    hunks: Sequence[_ShownHunk] | None
    too_long: bool


@dataclass(frozen=True, slots=True)
class _ShownHunk:
    title: str
    hunk: PatchHunk
    html: dict[int, Markup]

    def of(self, line: PatchLine) -> Markup:
        return self.html[id(line)]


class _Changes:
    def __init__(self, site: DashboardSite) -> None:
        self._app = site.app
        self._patches = PatchReader(site.app.run_service.changes, site.app.artifacts)

    async def read(self, request: Request) -> Values:
        run = await self._app.get_run(request.path_params["run"])
        chosen = request.query_params.get("view", _VIEWS[0])
        only = whole_number(request.query_params.get("file", ""))
        problem, patch = "", ""
        try:
            patch = await self._patches.read(run)
        except (ConflictError, WorkspaceError) as error:
            problem = str(error)
        found = await anyio.to_thread.run_sync(self._view, run, patch, only)
        return {
            "run": run,
            "view": chosen if chosen in _VIEWS else _VIEWS[0],
            "views": _VIEWS,
            "only": only,
            "trouble": problem,
            **found,
        }

    def _view(self, run: Run, patch: str, only: int | None) -> Values:
        view = patch_view(patch, review_comments(run.outcome))
        return {"patch": view, "files": _shown(view, only), "cut": len(patch) >= MOST_BYTES}


def _shown(view: PatchView, only: int | None) -> list[_ShownFile]:
    """The files: the first of them open, or the one that was asked for alone."""
    shown, left = [], _FIRST_LINES
    for number, file in enumerate(view.files):
        too_long = file.length > _MOST_LINES
        left -= file.length
        is_open = not too_long and (number == only if only is not None else left >= 0 or number == 0)
        if only is None or number == only:
            hunks = [_hunk(hunk, file.path) for hunk in file.hunks] if is_open else None
            shown.append(_ShownFile(number, file, hunks, too_long))
    return shown


def _hunk(hunk: PatchHunk, path: str) -> _ShownHunk:
    """A hunk in colours. Before and after are read apart, or a removed quote would colour what follows it."""
    html: dict[int, Markup] = {}
    for side in ("old", "new"):
        lines = [line for line in hunk.lines if getattr(line, side) is not None]
        html |= {
            id(line): text for line, text in zip(lines, highlighted([one.text for one in lines], path), strict=True)
        }
    return _ShownHunk(hunk.title, hunk, html)
