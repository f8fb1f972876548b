"""Drills: what is rehearsed, what each expects, and how it went over time.

A drill is a process of its own with a project of its own, and takes up to two minutes: it is held at the console.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import anyio.to_thread
from starlette.requests import Request
from starlette.routing import Route

from orchestration.drills import catalogue
from orchestration.drills.model import Drill
from orchestration.errors import UsageError
from orchestration.storage.drills import DrillHistory, DrillRecord
from orchestration.web.pages.site import Page, Site, Values

_SHOWN = 100
_LATELY = 12


@dataclass(frozen=True, slots=True)
class DrillLine:
    """A drill with its last results, the newest first; `impossible` says why it cannot be held here, else nothing."""

    drill: Drill
    impossible: str
    results: tuple[DrillRecord, ...]


def routes(site: Site) -> Sequence[Route]:
    """The page."""
    return site.page(Page("/drills", "drills.html", "drills", _Drills(site).read))


class _Drills:
    def __init__(self, site: Site) -> None:
        self._history = DrillHistory(site.app.database)

    async def read(self, request: Request) -> Values:
        return await anyio.to_thread.run_sync(self._read, request.query_params.get("drill", ""))

    def _read(self, chosen: str) -> Values:
        names = [drill.name for drill in catalogue.ALL]
        if chosen and chosen not in names:
            raise UsageError(f"expected a drill ({', '.join(names)}), got '{chosen[:64]}'; choose one of the list")
        lines = [
            DrillLine(drill, drill.impossible(), self._history.list(drill.name, _LATELY)) for drill in catalogue.ALL
        ]
        held = [line.results[0] for line in lines if line.results]
        return {
            "lines": lines,
            "held": len(held),
            "passed": sum(record.passed for record in held),
            "last": max((record.started_at for record in held), default=None),
            "chosen": chosen,
            "history": self._history.list(chosen or None, _SHOWN),
        }
