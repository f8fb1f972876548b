"""The page that shows two runs side by side."""

from __future__ import annotations

from collections.abc import Sequence

import anyio.to_thread
from starlette.requests import Request
from starlette.routing import Route

from orchestration.agents.workspace import WorkspaceError
from orchestration.errors import ConflictError
from orchestration.runs.patch_reader import PatchReader
from orchestration.runs.patch_view import PatchFile, patch_view
from orchestration.runs.run_comparison import RunComparison
from orchestration.storage.runs import Run
from orchestration.web.pages.site import DashboardSite, SitePage, Values

_Pair = tuple[str, PatchFile | None, PatchFile | None]


def routes(site: DashboardSite) -> Sequence[Route]:
    """The page."""
    return site.page(SitePage("/runs/{run}/compare/{other}", "compare.html", "runs", _Comparison(site).read))


class _Comparison:
    def __init__(self, site: DashboardSite) -> None:
        self._app = site.app
        self._patches = PatchReader(site.app.run_service.changes, site.app.artifacts)

    async def read(self, request: Request) -> Values:
        left, right = [await self._app.get_run(request.path_params[name]) for name in ("run", "other")]
        found: RunComparison = await anyio.to_thread.run_sync(
            self._app.comparisons.compare, left, right, self._app.clock.now()
        )
        # Read only when the page asks for it: it takes processes of git.
        with_files = request.query_params.get("files") == "1"
        files = await self._files(left, right) if with_files else None
        return {"left": left, "right": right, "found": found, "files": files}

    async def _files(self, left: Run, right: Run) -> list[_Pair]:
        one, other = [{file.path: file for file in await self._changed(run)} for run in (left, right)]
        return [(path, one.get(path), other.get(path)) for path in dict.fromkeys([*one, *other])]

    async def _changed(self, run: Run) -> Sequence[PatchFile]:
        try:
            return patch_view(await self._patches.read(run)).files
        except (ConflictError, WorkspaceError):
            return ()
