"""Maintenance reports: a file for each, and a summary for its audience."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from orchestration.config.response import Contact, ResponseSettings
from orchestration.config.schema import Configuration
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.incidents import oncall
from orchestration.notifications.notice import Notice, NoticeKind
from orchestration.notifications.recipients import plan
from orchestration.notifications.templates import TemplateRenderer
from orchestration.private_folder import make_private_folder
from orchestration.storage.outbox import Outbox

_STEP = "report"


@dataclass(frozen=True, slots=True)
class MaintenanceReport:
    """A report: `summary` has one line for each main point, `body` has the details in Markdown."""

    name: str
    title: str
    summary: tuple[str, ...]
    body: str


class ReportWriter:
    """Writes reports and sends their summaries through the outbox. Blocks."""

    def __init__(
        self,
        folder: Path,
        configuration: Callable[[], Configuration],
        outbox: Outbox,
        templates: TemplateRenderer,
        redact: Callable[[str], str],
    ) -> None:
        self.folder = folder
        self._configuration = configuration
        self._outbox = outbox
        self._templates = templates
        self._redact = redact

    def publish(self, report: MaintenanceReport, now: datetime) -> Path:
        """Write a report, replacing an earlier one of that day, and send its summary to the audience, once a day.

        The day is in the key of the messages, so that a job that is repeated sends no second one.
        """
        folder = self.folder
        # Not readable by everyone: reports quote errors and titles from the project.
        make_private_folder(folder)
        day = f"{now.astimezone(ZoneInfo(self._configuration().maintenance.time_zone)):%Y-%m-%d}"
        path = folder / f"{report.name}-{day}.md"
        head = "\n".join([f"# {report.title}, {day}", "", *(f"- {line}" for line in report.summary), ""])
        path.write_text(self._redact(f"{head}\n{report.body}"), encoding="utf-8")
        details = "\n".join([*report.summary, "", f"The whole report: {path}"])
        self._notify(f"report-{report.name}-{day}", f"{report.title}, {day}", details, now)
        return path

    def test_contacts(self, now: datetime) -> tuple[str, ...]:
        """Put a test message to every contact on each of its channels into the outbox; returns who will get it."""
        response = self._configuration().response
        notice = Notice(
            kind=NoticeKind.TEST,
            # The day is in the key of the messages, so that a job that is repeated sends nothing twice.
            incident_id=f"test-contacts-{now:%Y-%m-%d}",
            severity=Severity.P3,
            scenario=Scenario.CONTROL_PLANE,
            title="A message to test this channel",
            status="TEST",
            details="Sent by the monthly test of contacts.",
        )
        rows = plan(notice, response.contacts, response, "test", now, templates=self._templates)
        self._outbox.add(rows)
        return tuple(f"{row.named} by {row.channel}" for row in rows)

    def _notify(self, name: str, title: str, details: str, now: datetime) -> None:
        notice = Notice(
            kind=NoticeKind.REPORT,
            incident_id=name,
            severity=Severity.P3,
            scenario=Scenario.CONTROL_PLANE,
            title=title,
            status="REPORT",
            details=details,
        )
        response = self._configuration().response
        self._outbox.add(plan(notice, self._audience(response, now), response, _STEP, now, templates=self._templates))

    def _audience(self, response: ResponseSettings, now: datetime) -> tuple[Contact, ...]:
        return oncall.contacts(self._configuration().maintenance.audience, response, now)


def section(title: str, lines: Iterable[str]) -> str:
    """A section of a report; an empty one says so."""
    return "\n".join([f"## {title}", "", *(list(lines) or ["Nothing."]), ""])


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a table in Markdown; none without rows."""
    lines = ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    head = ["| " + " | ".join(columns) + " |", "| " + " | ".join("---" for _ in columns) + " |"]
    return [*head, *lines] if lines else []


def moment(at: datetime | None) -> str:
    """A time in the format of reports."""
    return "" if at is None else f"{at:%Y-%m-%d %H:%M} UTC"


def _cell(value: object) -> str:
    """One line of text without mark-up: titles and errors come from elsewhere, and reports are shown as HTML."""
    text = " ".join(str(value).split()).replace("\\", "\\\\").replace("|", "\\|")
    # Escaped before a renderer sees it, because raw HTML is legal in Markdown.
    return text.replace("<", "&lt;")[:300]
