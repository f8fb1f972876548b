"""One search over everything that has a page, in the page of the results and in the palette that the keyboard opens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import anyio.to_thread
from starlette.requests import Request
from starlette.routing import Route

from orchestration.app.maintenance import reports_folder
from orchestration.app.reviews import PLAYBOOKS
from orchestration.errors import NotFoundError, UsageError
from orchestration.playbooks.catalogue import PlaybookCatalogue
from orchestration.security.principal import Principal
from orchestration.storage.search import RecordSearch
from orchestration.web.pages.site import DashboardSite, SitePage, Values, principal_of
from orchestration.web.pages.time_range import time_range

_LONGEST = 200
# Shorter ends of identifiers mean many incidents.
_SHORTEST_IDENTIFIER = 5
_KINDS = ("incidents", "runs", "alerts", "providers", "playbooks", "documents", "pages")


@dataclass(frozen=True, slots=True)
class Hit:
    """Something that was found."""

    link: str
    title: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for: every word, in one kind or in all, begun in a time."""

    words: tuple[str, ...]
    kind: str
    since: datetime | None
    until: datetime | None

    def wants(self, kind: str) -> bool:
        """Whether things of this kind are searched."""
        return not self.kind or self.kind == kind

    def fits(self, *texts: str) -> bool:
        """Whether every word is in one of the texts."""
        whole = " ".join(texts).casefold()
        return all(word in whole for word in self.words)


def routes(site: DashboardSite) -> Sequence[Route]:
    """The page."""
    return site.page(SitePage("/search", "search.html", "search", _Search(site).read))


class _Search:
    def __init__(self, site: DashboardSite) -> None:
        self._site = site
        self._app = site.app
        self._records = RecordSearch(site.app.database)

    async def read(self, request: Request) -> Values:
        given = request.query_params
        text, kind = given.get("q", "")[:_LONGEST].strip(), given.get("kind", "")
        if kind not in ("", *_KINDS):
            raise UsageError(f"There is no kind '{kind[:20]}'. Choose one of: {', '.join(_KINDS)}.")
        chosen = time_range(request, self._app.clock.now())
        query = Query(tuple(text.casefold().split()), kind, chosen.since, chosen.until)
        found = await anyio.to_thread.run_sync(self._find, query, principal_of(request)) if query.words else {}
        return {
            "text": text,
            "kinds": _KINDS,
            "kind": kind,
            "range": chosen,
            "found": {name: hits for name, hits in found.items() if hits},
        }

    def _find(self, query: Query, principal: Principal | None) -> dict[str, Sequence[Hit]]:
        searches: dict[str, Callable[[], Sequence[Hit]]] = {
            "pages": lambda: self._pages(query, principal),
            "incidents": lambda: self._incidents(query),
            "runs": lambda: self._runs(query),
            "alerts": lambda: self._alerts(query),
            "providers": lambda: self._providers(query),
            "playbooks": lambda: self._playbooks(query),
            "documents": lambda: self._documents(query),
        }
        return {name: search() for name, search in searches.items() if query.wants(name)}

    def _pages(self, query: Query, principal: Principal | None) -> Sequence[Hit]:
        menu = self._site.menu_of(principal)
        return [Hit(entry.path, entry.title, entry.group) for entry in menu if query.fits(entry.title)]

    def _incidents(self, query: Query) -> Sequence[Hit]:
        found = self._records.incidents(query.words, query.since, query.until) or self._by_identifier(query)
        return [Hit(f"/incidents/{row.id}", row.title, f"{row.severity} {row.status}, {row.id}") for row in found]

    def _by_identifier(self, query: Query) -> Sequence[Any]:
        """The one incident, however old, whose identifier begins or ends like that."""
        records = self._app.incident_service.records
        if len(query.words) != 1 or len(query.words[0]) < _SHORTEST_IDENTIFIER:
            return ()
        try:
            return [records.get(records.table.find_id(query.words[0]))]
        except NotFoundError:
            return ()

    def _runs(self, query: Query) -> Sequence[Hit]:
        found = self._records.runs(query.words, query.since, query.until)
        return [Hit(f"/runs/{row.id}", row.goal, f"{row.status}, {row.id}") for row in found]

    def _alerts(self, query: Query) -> Sequence[Hit]:
        found = self._records.alerts(query.words, query.since, query.until)
        return [Hit(f"/alerts?alert={row.id}", row.name, f"{row.status}, from {row.source}") for row in found]

    def _providers(self, query: Query) -> Sequence[Hit]:
        known = self._app.configuration.runtime.providers
        return [Hit(f"/providers#provider-{name}", name, "provider") for name in known if query.fits(name)]

    def _playbooks(self, query: Query) -> Sequence[Hit]:
        books = [entry.playbook for entry in PlaybookCatalogue(self._app.root / PLAYBOOKS).all()]
        return [
            Hit(f"/playbooks/{book.name}", book.title, book.name)
            for book in books
            if query.fits(book.name, book.title, book.about, *book.symptoms)
        ]

    def _documents(self, query: Query) -> Sequence[Hit]:
        names = sorted((path.stem for path in reports_folder(self._app).glob("*.md")), reverse=True)
        return [Hit(f"/maintenance/reports/{name}", name, "report") for name in names if query.fits(name)][:20]
