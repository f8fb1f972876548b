"""The commands as values, and the table from which the surfaces are built."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from datetime import UTC, date, datetime

import pytest

from orchestration.cli.incidents import incidents as console
from orchestration.cli.remote_incidents import incidents as console_on_a_server
from orchestration.client import IncidentRequest
from orchestration.commands.command import Command
from orchestration.domain.severity import Severity
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.commands.action_items import AddActionItem, CompleteActionItem
from orchestration.incidents.commands.base import IncidentCommand, OpeningCommand
from orchestration.incidents.commands.declaration import Declare
from orchestration.incidents.commands.estimate import SetEstimate
from orchestration.incidents.commands.impact import SetImpact
from orchestration.incidents.commands.note import RecordLikelyCauses
from orchestration.incidents.commands.review_field import WriteReview
from orchestration.incidents.commands.severity_change import ChangeSeverity
from orchestration.incidents.commands.table import COMMANDS, OPENING_COMMANDS
from orchestration.incidents.model import ReviewField
from orchestration.security.principal import Role
from orchestration.web.api.incidents import router
from orchestration.web.pages.incident_forms import FORMS, OPENING_FORMS

FOR_PEOPLE = [command for command in COMMANDS.values() if command.spec.for_people]
OPENING = list(OPENING_COMMANDS.values())
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def names(command: type[Command]) -> str:
    return command.__name__


def test_the_table_holds_every_command_once() -> None:
    assert len(COMMANDS) == len(set(COMMANDS.values()))
    assert {"Acknowledge", "AddNote", "Resolve", "Merge", "Suppress"} <= set(COMMANDS)


@pytest.mark.parametrize("command", FOR_PEOPLE, ids=names)
def test_what_a_person_may_do_is_on_every_surface(command: type[IncidentCommand]) -> None:
    spec = command.spec
    assert spec.api is not None
    assert spec.page is not None
    paths = {(route.path, tuple(route.methods), route.name) for route in router.routes}  # type: ignore[attr-defined]
    assert (f"/incidents/{{incident}}/{spec.api.path}", (spec.api.method,), spec.api.operation) in paths
    assert FORMS[spec.page.name] is command
    assert spec.console in console.commands
    assert spec.console in console_on_a_server.commands
    assert spec.role is Role.RESPONDER


@pytest.mark.parametrize("command", OPENING, ids=names)
def test_what_opens_an_incident_is_on_every_surface(command: type[OpeningCommand]) -> None:
    spec = command.spec
    assert spec.api is not None
    assert spec.page is not None
    paths = {(route.path, tuple(route.methods), route.name) for route in router.routes}  # type: ignore[attr-defined]
    assert (f"/incidents{spec.api.path}", (spec.api.method,), spec.api.operation) in paths
    assert OPENING_FORMS[spec.page.name] is command
    assert spec.console in console.commands
    assert spec.console in console_on_a_server.commands
    assert spec.role is Role.RESPONDER


@pytest.mark.parametrize("command", [*FOR_PEOPLE, *OPENING], ids=names)
def test_each_field_that_people_fill_in_is_described(command: type[Command]) -> None:
    assert command.spec.summary.endswith(".")
    for field in command.fields():
        assert field.input.description.endswith("."), field.name


def test_the_addresses_of_commands_do_not_collide() -> None:
    commands = (*FOR_PEOPLE, *OPENING)
    operations = [command.spec.api.operation for command in commands if command.spec.api]
    words = [command.spec.page.done for command in commands if command.spec.page]
    assert len(operations) == len(set(operations))
    assert len(words) == len(set(words))


def test_a_command_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        CompleteActionItem(1).number = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    ("command", "method", "path", "body"),
    [
        (Acknowledge(), "POST", "acknowledge", None),
        (ChangeSeverity(Severity.P1, "worse"), "POST", "severity", {"severity": "P1", "reason": "worse"}),
        (SetEstimate(None), "POST", "estimate", {"eta": None}),
        (SetImpact("all", AT), "POST", "impact", {"text": "all", "started_at": "2026-03-01T12:00:00Z"}),
        (WriteReview(ReviewField.ROOT_CAUSE, "none"), "PUT", "review/root-cause", {"text": "none"}),
        (
            AddActionItem("a", "b", date(2026, 3, 2)),
            "POST",
            "actions",
            {"text": "a", "owner": "b", "due": "2026-03-02"},
        ),
        (CompleteActionItem(7), "POST", "actions/7/done", None),
        (
            Declare("down", severity=Severity.P1, started_at=AT),
            "POST",
            "",
            {
                "title": "down",
                "severity": "P1",
                "started_at": "2026-03-01T12:00:00Z",
                "impact": "",
                "subject": "",
                "scenario": "external-alert",
                "data_loss": False,
                "breach": False,
                "has_workaround": False,
            },
        ),
    ],
)
def test_a_command_knows_the_request_that_gives_it(
    command: IncidentRequest, method: str, path: str, body: dict[str, object] | None
) -> None:
    assert (command.api_method, command.api_path, command.api_body) == (method, path, body)


def test_what_only_automation_does_has_no_request() -> None:
    with pytest.raises(TypeError, match="for automation only"):
        _ = RecordLikelyCauses(("the disk",)).api_path
