"""The options of channels whose messages become tickets, and the rule that assigns them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, field_validator

from orchestration.config.matchers import Matcher, all_fit, parse_matchers
from orchestration.config.section import Section
from orchestration.errors import UsageError

_Name = Annotated[str, Field(min_length=1, max_length=250)]


class TicketAssignment(Section):
    """Whom a ticket is assigned to, and its further labels, if its labels meet all matchers of `match`, such as
    `agent=reviewer`. Labels are those of the incident's alerts, `scenario`, `severity`, and for an action item `owner`.
    """

    match: tuple[str, ...] = ()
    assignees: tuple[_Name, ...] = ()
    labels: tuple[_Name, ...] = ()

    @field_validator("match")
    @classmethod
    def _parsed(cls, match: tuple[str, ...]) -> tuple[str, ...]:
        try:
            parse_matchers(match)
        except UsageError as error:
            raise ValueError(str(error)) from error
        return match

    @property
    def matchers(self) -> tuple[Matcher, ...]:
        return parse_matchers(self.match)


class GithubIssuesOptions(Section):
    """`labels` are those of each issue; of the rules in `assign` the first that fits counts."""

    labels: tuple[_Name, ...] = ("incident",)
    assign: tuple[TicketAssignment, ...] = ()

    def assignment(self, labels: Mapping[str, str]) -> TicketAssignment:
        """The rule for a ticket with these labels, with what every ticket gets."""
        found = next((rule for rule in self.assign if all_fit(rule.matchers, labels)), TicketAssignment())
        return TicketAssignment(assignees=found.assignees, labels=tuple(dict.fromkeys((*self.labels, *found.labels))))


class JiraOptions(GithubIssuesOptions):
    """As for GitHub; assignees are account ids in Jira Cloud, user names in Data Center. `issueType` is that of the
    tickets; `done` is the name of the transition by which one is closed, where several lead to a status that is done.
    """

    issue_type: _Name = "Task"
    done: _Name | None = None
