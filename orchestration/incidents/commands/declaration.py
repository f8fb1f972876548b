"""Declaring an incident by hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, ClassVar

from orchestration.commands.inputs import Choices, Input
from orchestration.commands.spec import ApiRoute, CommandSpec, PageForm
from orchestration.domain.request_fields import Moment, OptionalText, Text
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.errors import UsageError
from orchestration.incidents.commands.base import OpeningCommand
from orchestration.incidents.model import describe_actor
from orchestration.incidents.report import PERSON_SOURCE, Facts, TroubleReport

# A client that says "now" by a clock which is somewhat ahead of ours means no time to come.
_SKEW = timedelta(minutes=1)
# One line of a message; the impact has room for the rest.
_LONGEST_TITLE = 300


@dataclass(frozen=True, slots=True)
class Declare(OpeningCommand):
    """A person says that something is broken. It is a fact of that person: no alert speaks for its end, and nothing is
    changed for it unless the configuration allows that for what this system has not observed itself."""

    title: Annotated[Text, Input("What is wrong, in one sentence.", label="What is wrong", argument=True)]
    impact: Annotated[
        OptionalText, Input("Who is affected, and how.", label="Who is affected, and how", hint="if known", rows=2)
    ] = ""
    started_at: Annotated[
        Moment | None,
        Input(
            "When the impact began: 20min for 20 minutes ago, or a time.",
            label="Start of the impact (UTC)",
            hint="if known",
            option="--since",
            past=True,
        ),
    ] = None
    severity: Annotated[
        Severity | None,
        Input(
            "P0 to P3. The severity rules decide without it, and make it worse where the facts are worse.",
            label="Severity",
            choices=Choices.SEVERITIES,
        ),
    ] = None
    subject: Annotated[
        OptionalText, Input("The service or machine that it is about.", label="Service or machine", hint="if known")
    ] = ""
    scenario: Annotated[
        Scenario,
        Input(
            "What kind of trouble of this system it is; external-alert for trouble elsewhere.",
            label="Kind of trouble",
            choices=Choices.SCENARIOS,
            console_default=Scenario.EXTERNAL_ALERT,
        ),
    ] = Scenario.EXTERNAL_ALERT
    data_loss: Annotated[bool, Input("Data has been lost, or may be.", label="Data has been lost, or may be")] = False
    breach: Annotated[bool, Input("Somebody has broken in.", label="Somebody has broken in")] = False
    has_workaround: Annotated[
        bool, Input("There is a workaround.", label="There is a workaround", option="--workaround")
    ] = False

    spec: ClassVar = CommandSpec(
        summary="Declare an incident by hand; the people on call are paged as for any other.",
        console="declare",
        api=ApiRoute("declare_incident", "", status=201),
        page=PageForm(
            "declare",
            "declared",
            "Incident declared. Its audience is being notified.",
            title="Declare an incident",
            button="Declare",
            danger=True,
            explanation="The people on call are paged by the severity. The incident is open until a person resolves "
            "it. One of the same title and service that is open is added to.",
        ),
    )

    def report(self, by: str, now: datetime) -> TroubleReport:
        """The report. Raises UsageError for a start that is still to come."""
        title, subject = _line(self.title), _line(self.subject)
        if not title:
            raise UsageError("expected a title that says what is wrong, got an empty one")
        return TroubleReport(
            # By what people call it, so that two who declare the same, or one who repeats it, open one incident.
            key=f"declared:{subject.casefold()}:{title.casefold()}",
            scenario=self.scenario,
            title=title,
            summary=f"declared by {describe_actor(by)}{f', about {subject}' if subject else ''}",
            facts=Facts(
                data_loss=self.data_loss,
                breach=self.breach,
                has_workaround=self.has_workaround,
                declared=self.severity,
            ),
            at=now,
            source=PERSON_SOURCE,
            started_at=self._start(now),
            labels={"subject": subject} if subject else {},
            impact=self.impact,
            asserted_by=by,
        )

    def _start(self, now: datetime) -> datetime | None:
        if self.started_at is not None and self.started_at > now + _SKEW:
            raise UsageError(f"expected a start of the impact that is past, got {self.started_at:%Y-%m-%d %H:%M} UTC")
        return None if self.started_at is None else min(self.started_at, now)


def _line(text: str) -> str:
    return " ".join(text.split())[:_LONGEST_TITLE]
