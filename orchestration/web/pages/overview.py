"""The first page: is everything well, and if not, what needs me?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

import anyio.to_thread
from starlette.requests import Request
from starlette.routing import Route

from orchestration.app.overview import Overview, overview
from orchestration.domain.alert_status import AlertStatus
from orchestration.domain.run_status import RunStatus
from orchestration.storage.spend import Spend
from orchestration.web.pages.incidents import Card, open_cards
from orchestration.web.pages.providers import by_provider
from orchestration.web.pages.runs import is_rehearsed
from orchestration.web.pages.site import DashboardSite, SitePage, Values

_SUBJECTS = ("run", "approval", "incident", "alert", "route", "worker", "configuration", "override", "calendar")
_SHOWN = 12
_ENDED = tuple(status for status in RunStatus if status.ended)


@dataclass(frozen=True, slots=True)
class AttentionItem:
    """Something that needs a person: what, why, where to go, and how urgent (`bad` before `fair`)."""

    tone: str
    what: str
    why: str
    link: str


def routes(site: DashboardSite) -> Sequence[Route]:
    """The page."""
    return site.page(SitePage("/", "overview.html", "overview", _Overview(site).read, _SUBJECTS, stales=True))


class _Overview:
    def __init__(self, site: DashboardSite) -> None:
        self._app = site.app
        self._spend = Spend(site.app.database)

    async def read(self, request: Request) -> Values:  # noqa: ARG002
        return await anyio.to_thread.run_sync(self._read)

    def _read(self) -> Values:
        app, now = self._app, self._app.clock.now()
        found = overview(app)
        cards = open_cards(app.incident_service.records, now)
        workers = [worker for control in found.control for worker in control["workers"]]
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        recent = app.runs.list(_ENDED, _SHOWN)
        under_way = sum(count for status, count in app.runs.count_by_status().items() if not status.ended)
        providers = by_provider(app)
        needs = list(_needs(app.store.refused, cards, found, automated=app.configuration.automation.enabled))
        return {
            "needs": sorted(needs, key=lambda need: need.tone != "bad"),
            "cards": cards,
            "found": found,
            "under_way": under_way,
            "unfinished": found.runs[:_SHOWN],
            "questions": {question.subject: question for question in found.questions},
            "rehearsed": {run.id for run in (*found.runs, *recent) if is_rehearsed(run)},
            "workers": workers,
            "providers": providers,
            "firing": len(app.alerts.list([AlertStatus.FIRING], limit=1000)),
            "counts": app.runs.count_by_status(since=now - timedelta(days=1)),
            "today": self._spend.totals(since=today),
            "lately": recent,
        }


def _needs(
    refused: Sequence[object], cards: Sequence[Card], found: Overview, *, automated: bool
) -> Iterator[AttentionItem]:
    for card in cards:
        incident = card.incident
        if card.unattended:
            why = f"{incident.scenario.value}, nobody has acknowledged it"
            tone = "bad" if incident.severity.value in ("P0", "P1") else "fair"
            drill = " (drill)" if incident.drill else ""
            yield AttentionItem(tone, f"{incident.severity}: {incident.title}{drill}", why, f"/incidents/{incident.id}")
    for question in found.questions:
        kind = "incidents" if question.subject.startswith("inc-") else "runs"
        yield AttentionItem("fair", question.question, "it waits for your answer", f"/{kind}/{question.subject}")
    if refused:
        yield AttentionItem(
            "fair", "The configuration file cannot be used", "the last good one stays in force", "/configuration"
        )
    if not automated:
        yield AttentionItem("fair", "Automation is stopped", "nothing is repaired without a person", "/configuration")
    if not found.control:
        yield AttentionItem(
            "fair", "Nobody serves", "no worker takes waiting runs; start: orchestrator serve", "/resources"
        )
    waiting = [run for run in found.runs if run.status is RunStatus.WAITING]
    asked = {question.subject for question in found.questions}
    for run in waiting[:_SHOWN]:
        if run.id not in asked:
            yield AttentionItem("fair", f"{run.id} waits", run.reason, f"/runs/{run.id}")
