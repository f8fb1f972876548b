"""Which escalation path an incident takes, and that it is paged by that path and no other."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.config.checks import escalation as checks
from orchestration.config.checks.environment import CheckEnvironment
from orchestration.config.escalation import EscalationRoute
from orchestration.config.findings import FindingCode
from orchestration.config.response import ResponseSettings
from orchestration.config.schema import Configuration
from orchestration.domain.scenario import Scenario
from orchestration.domain.severity import Severity
from orchestration.errors import UsageError
from orchestration.incidents import timers
from orchestration.incidents.change import IncidentChange
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.commands.manual_escalation import Escalate
from orchestration.incidents.commands.path_change import ChangeEscalationPath
from orchestration.incidents.commands.snooze import Snooze
from orchestration.incidents.escalation import IncidentTimer, due_times
from orchestration.incidents.escalation_routes import choose_path, describe_path
from orchestration.incidents.lifecycle import change_severity
from orchestration.incidents.message_answers import level_to_call
from orchestration.incidents.model import Incident, IncidentRefusedError, Refusal
from orchestration.incidents.severity import SeverityReason
from tests.support.incidents import (
    HALF,
    MACHINE,
    a_report,
    after,
    declared,
    said,
    some_settings,
    turned,
)

DATABASE = {
    "levels": [{"level": 1, "targets": ["dba"], "after": 120}, {"level": 2, "targets": ["boss"], "after": 300}],
    "repeat": 1,
    "audience": {"P1": []},
}
NIGHT = {"levels": [{"level": 1, "targets": ["guard"], "after": 60}]}
ROUTES = [
    {"path": "night", "matchers": ['team=~"db.*"', 'env="test"']},
    {"path": "database", "matchers": ['team=~"db.*"']},
    {"path": "night", "severities": ["P0"], "scenarios": ["security-alert"]},
]


def settings(**values: Any) -> ResponseSettings:
    plain = some_settings().model_dump()
    people = [*plain["contacts"], *({"id": name} for name in ("dba", "boss", "guard"))]
    whole = {"contacts": people, "escalationPaths": {"database": DATABASE, "night": NIGHT}, "escalationRoutes": ROUTES}
    return ResponseSettings.model_validate({**whole, **values})


@pytest.mark.parametrize(
    ("severity", "scenario", "labels", "expected"),
    [
        (Severity.P1, Scenario.EXTERNAL_ALERT, {"team": "db-core", "env": "test"}, ("night", 0)),
        (Severity.P1, Scenario.EXTERNAL_ALERT, {"team": "db-core"}, ("database", 1)),
        (Severity.P0, Scenario.SECURITY_ALERT, {"team": "db"}, ("database", 1)),
        (Severity.P0, Scenario.SECURITY_ALERT, {}, ("night", 2)),
        (Severity.P1, Scenario.SECURITY_ALERT, {}, ("default", None)),
        (Severity.P0, Scenario.EXTERNAL_ALERT, {"team": "mydb"}, ("default", None)),
    ],
)
def test_the_first_route_that_matches_chooses_the_path(
    severity: Severity, scenario: Scenario, labels: dict[str, str], expected: tuple[str, int | None]
) -> None:
    chosen = choose_path(settings(), severity, scenario, labels)
    assert (chosen.path, chosen.route) == expected


def test_the_name_scenario_and_source_of_an_alert_are_labels_too() -> None:
    matchers = ['alertname="DiskFull"', 'scenario="agent-failure"', 'source="prometheus"']
    here = settings(escalationRoutes=[{"path": "night", "matchers": matchers}])
    report = a_report(source="prometheus", labels={"alertname": "DiskFull"})
    assert declared(report, here).incident.escalation_path == "night"
    assert declared(a_report(labels={"alertname": "DiskFull"}), here).incident.escalation_path == "default"


def database_report(**values: Any) -> Any:
    return a_report(HALF, labels={"team": "db"}, **values)


def test_every_page_of_an_incident_goes_to_its_path() -> None:
    here = settings()
    turn = declared(database_report(), here)
    assert turn.incident.severity is Severity.P1
    assert said(turn) == [("initial", "initial-1", ("dba",))], "its audience for P1 is empty: the first level only"
    assert turn.entries[0].data["escalation_path"] == "database"
    assert due_times(turn.incident, here)[IncidentTimer.PAGE] == after(seconds=120)
    assert describe_path(turn.incident, here) == "database; level 2 is paged next, at 2026-03-03 12:02:00 UTC"
    paged = turned(turn.incident, partial(timers.fire, timer=IncidentTimer.PAGE), at=after(seconds=120), settings=here)
    assert said(paged) == [("escalation", "page-1-2", ("boss",))]
    last = turned(paged.incident, partial(timers.fire, timer=IncidentTimer.PAGE), at=after(hours=1), settings=here)
    assert not [one for one in said(last) if one[1].startswith("page-")], "it is gone through once"


def test_a_person_and_the_rules_call_the_levels_of_the_path() -> None:
    here = settings()
    incident = declared(database_report(), here).incident
    assert level_to_call(incident, here) == 2
    assert said(turned(incident, Escalate(2, "a decision").apply, settings=here))[0][2] == ("boss",)
    assert said(turned(incident, Escalate(4, "secrets").apply, settings=here))[0][2] == ("sec",), "of all of level 4"
    raised = partial(
        change_severity, severity=Severity.P0, severity_reason=SeverityReason.ALL_AGENTS_DOWN, reason="all of them"
    )
    told = {name for _, _, names in said(turned(incident, raised, settings=here, actor=MACHINE)) for name in names}
    assert "boss" in told, "by the rule that its severity rose"
    assert {"ada", "cleo", "sec"} <= told, "of a P0 everybody learns, since the path has no audience of its own for it"


def test_a_path_that_the_settings_lack_is_the_default_one() -> None:
    incident = declared(database_report(), settings()).incident
    assert said(turned(incident, Escalate(2, "a decision").apply))[0][2] == ("ben",)


def test_moving_an_incident_pages_the_first_level_of_its_new_path() -> None:
    here = settings()
    incident = declared(database_report(), here).incident
    moved = turned(incident, ChangeEscalationPath("night", "not ours").apply, at=after(seconds=30), settings=here)
    assert moved.incident.escalation_path == "night"
    assert moved.stops_pages, "what was not sent yet is for people whom it does not concern"
    assert ("initial", "initial-2", ("ada", "ben", "guard")) in said(moved)
    assert due_times(moved.incident, here)[IncidentTimer.PAGE] == after(seconds=90)
    assert (moved.entries[0].kind, moved.entries[0].actor) == ("path-changed", "ada")
    assert moved.entries[0].data == {"from": "database", "to": "night", "reason": "not ours"}


def test_moving_an_incident_that_somebody_has_wakes_nobody() -> None:
    here = settings()
    incident = turned(declared(database_report(), here).incident, Acknowledge().apply, settings=here).incident
    moved = turned(incident, ChangeEscalationPath("night").apply, at=after(minutes=1), settings=here)
    assert moved.incident.escalation_path == "night"
    assert said(moved) == []
    assert IncidentTimer.PAGE not in due_times(moved.incident, here)


def test_moving_a_snoozed_incident_pages_the_new_path_after_the_snooze() -> None:
    here = settings()
    incident = declared(database_report(), here).incident
    incident = turned(incident, Snooze(after(hours=1)).apply, settings=here).incident
    moved = turned(incident, ChangeEscalationPath("night").apply, at=after(minutes=1), settings=here)
    assert said(moved) == []
    woken = turned(moved.incident, partial(timers.fire, timer=IncidentTimer.SNOOZE), at=after(hours=1), settings=here)
    due = due_times(woken.incident, here)[IncidentTimer.PAGE]
    paged = turned(woken.incident, partial(timers.fire, timer=IncidentTimer.PAGE), at=due, settings=here)
    assert ("escalation", "page-1-1", ("guard",)) in said(paged)


def test_a_path_that_is_not_there_and_one_that_it_takes_are_refused() -> None:
    here = settings()
    incident = declared(database_report(), here).incident
    with pytest.raises(UsageError, match="There are: default, database, night"):
        turned(incident, ChangeEscalationPath("dba").apply, settings=here)
    with pytest.raises(IncidentRefusedError) as refused:
        turned(incident, ChangeEscalationPath("database").apply, settings=here)
    assert refused.value.reason is Refusal.ALREADY_DONE


BY_SEVERITY = [{"path": "night", "severities": ["P2"]}, {"path": "database", "severities": ["P1"]}]


def raised(incident: Incident, here: ResponseSettings, to: Severity = Severity.P1) -> IncidentChange:
    worse = partial(change_severity, severity=to, severity_reason=SeverityReason.DECLARED, reason="worse")
    return turned(incident, worse, at=after(seconds=30), settings=here)


def test_a_worse_incident_takes_the_path_of_its_severity_and_pages_its_first_level() -> None:
    here = settings(escalationRoutes=BY_SEVERITY)
    incident = declared(a_report(), here).incident
    assert (incident.severity, incident.escalation_path) == (Severity.P2, "night")
    change = raised(incident, here)
    assert change.incident.escalation_path == "database"
    assert [entry.kind for entry in change.entries][:2] == ["severity-raised", "path-changed"]
    assert change.entries[1].data["reason"] == "the routes lead there at P1"
    assert change.stops_pages, "a page that was not sent yet is for people whom it does not concern"
    paged = {name: kind for kind, _, names in said(change) for name in names}
    assert paged["dba"] == "initial"
    assert paged["guard"] == "update", "whoever knows of it learns how bad it is"
    told = [name for _, _, names in said(change) for name in names]
    assert len(told) == len(set(told)), "nobody is told twice of one change"
    assert due_times(change.incident, here)[IncidentTimer.PAGE] == after(seconds=150)


def test_a_worse_incident_that_somebody_has_in_hand_changes_its_path_and_pages_no_level() -> None:
    here = settings(escalationRoutes=BY_SEVERITY)
    incident = turned(declared(a_report(), here).incident, Acknowledge().apply, settings=here).incident
    change = raised(incident, here)
    assert change.incident.escalation_path == "database"
    assert IncidentTimer.PAGE not in due_times(change.incident, here)
    assert "dba" not in {name for _, _, names in said(change) for name in names}


def test_what_a_person_has_moved_stays_there_however_bad_it_gets() -> None:
    here = settings(escalationRoutes=BY_SEVERITY)
    moved = turned(declared(a_report(), here).incident, ChangeEscalationPath("default").apply, settings=here).incident
    assert raised(moved, here).incident.escalation_path == "default"


def test_a_better_incident_stays_with_those_who_have_it() -> None:
    here = settings(escalationRoutes=BY_SEVERITY)
    incident = declared(a_report(HALF), here).incident
    assert (incident.severity, incident.escalation_path) == (Severity.P1, "database")
    assert raised(incident, here, to=Severity.P2).incident.escalation_path == "database"


def findings(routes: list[dict[str, Any]], **paths: Any) -> list[tuple[str, str, str]]:
    response = {"escalationPaths": {"a": NIGHT, "b": NIGHT, **paths}, "escalationRoutes": routes}
    whole = Configuration.model_validate({"runtime": {"defaultProvider": "rehearsal"}, "response": response})
    found = checks.check(whole, CheckEnvironment(variables=frozenset()))
    return [(one.code.value, ".".join(map(str, one.path[1:])), one.message) for one in found]


SOUND = [{"path": "a", "matchers": ['team="a"']}, {"path": "b"}]


def test_sound_routes_have_no_finding() -> None:
    assert findings(SOUND) == []


@pytest.mark.parametrize(
    ("routes", "paths", "expected"),
    [
        (SOUND[:1], {}, ("W037", "escalationPaths.b")),
        (SOUND[::-1], {}, ("W037", "escalationRoutes.1")),
        ([*SOUND, {"path": "c"}], {}, ("E055", "escalationRoutes.2.path")),
        ([*SOUND, {"path": "a", "severities": ["P0"]}], {}, ("W037", "escalationRoutes.2")),
        ([{"path": "a", "matchers": ['team=~"x|y"']}, {"path": "b", "matchers": ['team="x"']}], {},
         ("W037", "escalationRoutes.1")),
        ([{"path": "a", "matchers": ['team="x"', 'team!~"x.*"']}, {"path": "b"}], {}, ("W037", "escalationRoutes.0")),
        ([{"path": "a", "matchers": ['team=~"("']}, {"path": "b"}], {}, ("E031", "escalationRoutes.0.matchers.0")),
        (SOUND, {"default": NIGHT}, ("E049", "escalationPaths.default")),
        ([*SOUND[:1], {"path": "c", "matchers": ['team="c"']}, SOUND[1]], {"c": {}}, ("W038", "escalationPaths.c")),
    ],
)  # fmt: skip
def test_a_route_or_path_that_nothing_reaches_or_that_pages_nobody_is_found(
    routes: list[dict[str, Any]], paths: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert expected in [one[:2] for one in findings(routes, **paths)]


matchers = st.builds(
    lambda name, operator, value: f'{name}{operator}"{value}"',
    st.sampled_from(["team", "env"]),
    st.sampled_from(["=", "!=", "=~", "!~"]),
    st.sampled_from(["a", "b", "a.*", "a|b", ""]),
)
routes = st.builds(
    lambda matchers, severities, scenarios: EscalationRoute(
        path="a", matchers=tuple(matchers), severities=tuple(severities), scenarios=tuple(scenarios)
    ),
    st.lists(matchers, max_size=3),
    st.sets(st.sampled_from(Severity), max_size=2),
    st.sets(st.sampled_from([Scenario.EXTERNAL_ALERT, Scenario.SECURITY_ALERT]), max_size=2),
)


@given(st.lists(routes, min_size=1, max_size=4))
def test_a_route_that_is_called_unreachable_is_never_taken(given_routes: list[EscalationRoute]) -> None:
    found = findings([route.model_dump(mode="json", by_alias=True) for route in given_routes])
    dead = {int(path.rpartition(".")[2]) for code, path, _ in found if code == FindingCode.UNREACHABLE_PATH.value
            and path.startswith("escalationRoutes")}  # fmt: skip
    here = ResponseSettings(escalation_routes=tuple(given_routes))
    scenarios = (Scenario.EXTERNAL_ALERT, Scenario.SECURITY_ALERT, Scenario.AGENT_FAILURE)
    words = ("", "a", "ab", "b")
    taken = {
        choose_path(here, severity, scenario, {"team": team, "env": env}).route
        for severity in Severity
        for scenario in scenarios
        for team in words
        for env in words
    }
    assert not dead & taken
