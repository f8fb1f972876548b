"""The overview page: what needs attention, open incidents, providers, runs and workers."""

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
from orchestration.security.principal import Principal
from orchestration.storage.approvals import Approval
from orchestration.storage.spend import Spend
from orchestration.web.approval_rights import area_of, may_answer
from orchestration.web.pages.formatting import plain
from orchestration.web.pages.incidents import Card, open_board
from orchestration.web.pages.providers import by_provider
from orchestration.web.pages.runs import is_rehearsed
from orchestration.web.pages.site import DashboardSite, SitePage, Values, principal_of

_SUBJECTS = ("run", "approval", "incident", "alert", "route", "worker", "configuration", "override", "calendar")
_RUNS_SHOWN = 10
_CARDS_READ = 12
_ENDED = tuple(status for status in RunStatus if status.ended)


@dataclass(frozen=True, slots=True)
class AttentionItem:
    """Something that a person has to do. Items with the tone `bad` come before those with `fair`. An item with an
    `approval` is answered on the spot, by those who `may_answer`."""

    tone: str
    title: str
    detail: str
    link: str
    approval: str = ""
    may_answer: bool = False


def routes(site: DashboardSite) -> Sequence[Route]:
    """The page."""
    return site.page(SitePage("/", "overview.html", "overview", _Overview(site).read, _SUBJECTS, refreshes=True))


class _Overview:
    def __init__(self, site: DashboardSite) -> None:
        self._app = site.app
        self._spend = Spend(site.app.database)

    async def read(self, request: Request) -> Values:
        return await anyio.to_thread.run_sync(self._read, principal_of(request))

    def _read(self, principal: Principal | None) -> Values:
        app, now = self._app, self._app.clock.now()
        found = overview(app)
        board = open_board(app.incident_service.records, now, _CARDS_READ)
        cards = board.cards
        workers = [worker for control in found.control for worker in control["workers"]]
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        recent = app.runs.list(_ENDED, _RUNS_SHOWN)
        unfinished_count = sum(count for status, count in app.runs.count_by_status().items() if not status.ended)
        providers = by_provider(app)
        automated = app.configuration.automation.enabled
        needs = list(_attention_items(app.store.refused, cards, found, principal, automated=automated))
        return {
            "needs": sorted(needs, key=lambda need: need.tone != "bad"),
            "cards": cards,
            "open_count": board.counted,
            "found": found,
            "unfinished_count": unfinished_count,
            "unfinished": found.runs[:_RUNS_SHOWN],
            "questions": {question.subject: question for question in found.questions},
            "rehearsed": {run.id for run in (*found.runs, *recent) if is_rehearsed(run)},
            "workers": workers,
            "providers": providers,
            # Only the number is shown. The bound keeps an alert storm from loading tens of thousands of rows.
            "firing": len(app.alerts.list([AlertStatus.FIRING], limit=1000)),
            "counts": app.runs.count_by_status(since=now - timedelta(days=1)),
            "today": self._spend.totals(since=today),
            "finished": recent,
        }


def _attention_items(
    refused: Sequence[object],
    cards: Sequence[Card],
    found: Overview,
    principal: Principal | None,
    *,
    automated: bool,
) -> Iterator[AttentionItem]:
    for card in cards:
        if card.unattended:
            yield _unattended_item(card)
    unattended = {card.incident.id for card in cards if card.unattended}
    for storm in (each for each in found.storms if each.id not in unattended):
        detail = "alerts share this incident, so that they do not hide others"
        yield AttentionItem("fair", storm.title, detail, f"/incidents/{storm.id}")
    # Before the waiting runs below: a run that asks a question is also waiting, and is named here only once.
    for question in found.questions:
        yield _question_item(question, principal)
    if refused:
        yield AttentionItem(
            "fair", "The configuration file is invalid", "the last valid version stays in force", "/configuration"
        )
    if not automated:
        yield AttentionItem("fair", "Automation is stopped", "nothing is repaired automatically", "/configuration")
    if not found.control:
        yield AttentionItem(
            "fair", "No control process is running", "queued runs do not start; run: orchestrator serve", "/resources"
        )
    waiting = [run for run in found.runs if run.status is RunStatus.WAITING]
    with_question = {question.subject for question in found.questions}
    for run in waiting[:_RUNS_SHOWN]:
        if run.id not in with_question:
            yield AttentionItem("fair", f"{run.id} is waiting", run.reason, f"/runs/{run.id}")


def _question_item(question: Approval, principal: Principal | None) -> AttentionItem:
    link = f"/{area_of(question.subject)}/{question.subject}"
    may = principal is not None and may_answer(principal, question)
    return AttentionItem("fair", question.question, "waiting for approval", link, question.id, may)


def _unattended_item(card: Card) -> AttentionItem:
    incident = card.incident
    tone = "bad" if incident.severity.value in ("P0", "P1") else "fair"
    title = f"{incident.severity}: {incident.title}{' (drill)' if incident.drill else ''}"
    return AttentionItem(
        tone, title, f"{plain(incident.scenario.value)}, not acknowledged", f"/incidents/{incident.id}"
    )
