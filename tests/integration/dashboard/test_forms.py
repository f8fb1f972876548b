"""Every form does what it says, leads back to its page, and is refused to whoever may not."""

from __future__ import annotations

import pytest

from orchestration.domain.incident_status import IncidentStatus
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.model import ReviewField, person
from orchestration.incidents.report import Facts
from orchestration.security.principal import Principal, Role
from orchestration.storage.approvals import Approval
from tests.support.dashboard import Dashboard
from tests.support.dashboard_records import declare, fill
from tests.support.project import wait_until

_TROUBLE = Facts(agents_failing=1, agents_total=4)


@pytest.fixture
def incident(dashboard: Dashboard, request: pytest.FixtureRequest) -> str:
    """The id of an incident that this test has for itself."""
    return declare(dashboard.app, f"key-{request.node.name}", "a trouble", _TROUBLE).id


def leads_to(dashboard: Dashboard, path: str, **fields: str) -> str:
    answer = dashboard.post(path, **fields)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def test_an_incident_is_worked_from_its_detection_to_its_end(dashboard: Dashboard, incident: str) -> None:
    page = f"/incidents/{incident}"
    records = dashboard.app.incident_service.records
    assert leads_to(dashboard, f"{page}/acknowledge") == f"{page}?done=acknowledged"
    assert records.get(incident).acknowledged_by == "ada"
    leads_to(dashboard, f"{page}/note", text="looked at the log")
    leads_to(dashboard, f"{page}/impact", text="nobody yet")
    leads_to(dashboard, f"{page}/estimate", eta="2100-01-01T10:00")
    leads_to(dashboard, f"{page}/severity", severity="P1", reason="it spreads")
    leads_to(dashboard, f"{page}/escalate", level="3", reason="it takes long")
    leads_to(dashboard, f"{page}/mitigate", text="another provider")
    leads_to(dashboard, f"{page}/severity", severity="P2", reason="it does not")
    leads_to(dashboard, f"{page}/resolve", resolution="another provider", root_cause="quota", anyway="true")
    assert records.get(incident).status is IncidentStatus.RESOLVED
    leads_to(dashboard, f"{page}/action", text="raise the quota", owner="ben", due="2100-01-02")
    leads_to(dashboard, f"{page}/action-done", number="1")
    for field in ReviewField:
        leads_to(dashboard, f"{page}/review", field=field.value, text="none")
    assert leads_to(dashboard, f"{page}/close") == f"{page}?done=closed"
    assert records.get(incident).status is IncidentStatus.CLOSED
    assert [entry.kind for entry in records.entries(incident) if entry.actor == "ada"][:2] == ["acknowledged", "noted"]


def test_an_incident_is_declared_by_hand(dashboard: Dashboard) -> None:
    page = dashboard.get("/incidents").text
    assert 'action="/incidents/declare"' in page
    assert '<option value="" selected>by the severity rules</option>' in page
    to = leads_to(dashboard, "/incidents/declare", title="The shop is down", started_at="2026-01-01T10:00", severity="")
    found = dashboard.app.incident_service.records.get(to.removeprefix("/incidents/").removesuffix("?done=declared"))
    assert (found.title, found.asserted_by, found.severity.value) == ("The shop is down", "ada", "P2")
    leads_to(dashboard, f"/incidents/{found.id}/resolve", resolution="restarted it")


def test_an_incident_is_reopened_found_to_be_a_false_alarm_or_merged(dashboard: Dashboard, incident: str) -> None:
    page = f"/incidents/{incident}"
    leads_to(dashboard, f"{page}/resolve", resolution="gone", anyway="true")
    leads_to(dashboard, f"{page}/reopen", reason="it is back")
    other = declare(dashboard.app, "another", "the same trouble", _TROUBLE).id
    assert leads_to(dashboard, f"{page}/merge", into=other) == f"/incidents/{other}?done=merged"
    leads_to(dashboard, f"/incidents/{other}/cancel", reason="a test")
    assert dashboard.app.incident_service.records.get(other).status is IncidentStatus.CANCELLED


def test_what_cannot_be_done_is_said_on_the_same_page(dashboard: Dashboard, incident: str) -> None:
    dashboard.app.incident_service.execute(incident, person("ben"), Acknowledge())
    answer = dashboard.post(f"/incidents/{incident}/acknowledge")
    assert answer.status_code == 409
    assert "was acknowledged by user ben already" in answer.text
    assert f'hx-get="/incidents/{incident}"' in answer.text


@pytest.mark.parametrize(
    ("form", "fields", "says"),
    [
        ("note", {"text": " "}, "field &#39;text&#39; is empty"),
        ("escalate", {"level": "9", "reason": "r"}, "expected a whole number from 1 to 4"),
        ("severity", {"severity": "P9", "reason": "r"}, "expected one of P0, P1, P2, P3"),
        ("estimate", {"eta": "soon"}, "expected a date and a time"),
        ("action", {"text": "t", "owner": "o", "due": "soon"}, "expected a date"),
        ("review", {"field": "poem", "text": "t"}, "expected one of resolution, workarounds"),
    ],
)
def test_a_field_that_cannot_be_meant_changes_nothing(
    dashboard: Dashboard, incident: str, form: str, fields: dict[str, str], says: str
) -> None:
    before = dashboard.app.incident_service.records.get(incident)
    answer = dashboard.post(f"/incidents/{incident}/{form}", **fields)
    assert answer.status_code == 422
    assert says in answer.text
    assert dashboard.app.incident_service.records.get(incident) == before


def test_a_form_without_the_sessions_token_changes_nothing(dashboard: Dashboard, incident: str) -> None:
    dashboard.csrf = "right"
    assert 'name="csrf" value="right"' in dashboard.get(f"/incidents/{incident}").text
    assert dashboard.post(f"/incidents/{incident}/acknowledge", csrf="wrong").status_code == 422
    assert not dashboard.app.incident_service.records.get(incident).acknowledged
    leads_to(dashboard, f"/incidents/{incident}/acknowledge")


def test_a_form_that_is_too_long_is_refused(dashboard: Dashboard, incident: str) -> None:
    answer = dashboard.post(f"/incidents/{incident}/note", text="x" * 300_000)
    assert answer.status_code == 422
    assert "larger than 200,000 bytes" in answer.text


@pytest.mark.parametrize(
    ("path", "least"),
    [
        ("/incidents/INC/acknowledge", Role.RESPONDER),
        ("/alerts/silence", Role.RESPONDER),
        ("/on-call/swap", Role.RESPONDER),
        ("/providers/limit", Role.OPERATOR),
        ("/runs/RUN/cancel", Role.OPERATOR),
        ("/configuration/roll-back", Role.ADMIN),
    ],
)
def test_each_form_asks_for_its_role(dashboard: Dashboard, incident: str, path: str, least: Role) -> None:
    for role in Role:
        dashboard.principal = Principal("eve", role)
        status = dashboard.post(path.replace("INC", incident)).status_code
        assert (status != 403) == role.includes(least), role
    dashboard.principal = None
    assert dashboard.post(path.replace("INC", incident)).status_code == 401


def test_a_question_about_an_incident_is_answered_once(dashboard: Dashboard, incident: str) -> None:
    table = dashboard.app.approvals
    table.add(Approval("restart-1", incident, "restart the agent? It would: stop 1 run", dashboard.app.clock.now()))
    assert "restart the agent?" in dashboard.get(f"/incidents/{incident}").text
    leads_to(dashboard, f"/incidents/{incident}/approve", approval="restart-1", reason="go on")
    assert (table.get("restart-1").decision, table.get("restart-1").decided_by) == ("approved", "ada")
    assert "approved: restart the agent? It would: stop 1 run; go on" in dashboard.get(f"/incidents/{incident}").text
    assert dashboard.post(f"/incidents/{incident}/deny", approval="restart-1").status_code == 409


def test_a_question_is_only_answered_where_it_was_asked(dashboard: Dashboard, incident: str) -> None:
    dashboard.app.approvals.add(Approval("other-1", "run-other", "may it?", dashboard.app.clock.now()))
    assert dashboard.post(f"/incidents/{incident}/approve", approval="other-1").status_code == 404
    assert dashboard.app.approvals.get("other-1").decision is None


def test_a_silence_begins_and_ends(dashboard: Dashboard) -> None:
    leads_to(dashboard, "/alerts/silence", matchers='agent="planner"', duration="8 h", comment="it is rebuilt")
    (silence,) = dashboard.app.silences.list(dashboard.app.clock.now())
    assert (silence.author, tuple(silence.matchers)) == ("ada", ('agent="planner"',))
    leads_to(dashboard, "/alerts/end-silence", silence=silence.id)
    assert dashboard.app.silences.list(dashboard.app.clock.now()) == ()
    everything = dashboard.post("/alerts/silence", matchers='agent=~".*"', duration="8 h", comment="c")
    assert everything.status_code == 422


def test_somebody_is_put_on_call_and_two_shifts_are_swapped(dashboard: Dashboard) -> None:
    leads_to(dashboard, "/on-call/override", rotation="primary", contact="cyd", start="2099-01-01T00:00",
             end="2099-01-02T00:00", reason="<b>ill</b>")  # fmt: skip
    leads_to(dashboard, "/on-call/swap", rotation="primary", contact="ada", other="ben", reason="a wedding")
    entered, *swapped = dashboard.app.on_call.overrides.list(dashboard.app.clock.now())
    assert (entered.contact, entered.author, entered.starts_at.year) == ("cyd", "ada", 2099)
    assert [row.contact for row in swapped] == ["ben", "ada"]
    text = dashboard.get("/on-call").text
    assert "&lt;b&gt;ill&lt;/b&gt;" in text
    assert leads_to(dashboard, "/on-call/cancel", override=swapped[0].id) == "/on-call?done=on-call-cancelled"
    assert dashboard.app.on_call.overrides.list(dashboard.app.clock.now()) == (entered,)
    wrong = dashboard.post("/on-call/override", rotation="primary", contact="cyd", end="tomorrow", reason="x")
    assert wrong.status_code == 422
    assert "expected a date and time" in wrong.text


def test_a_limit_is_an_override_with_an_end_that_can_be_taken_away(dashboard: Dashboard) -> None:
    def concurrency() -> int:
        return dashboard.app.configuration.runtime.providers["rehearsal"].concurrency

    usual = concurrency()
    leads_to(dashboard, "/providers/limit", provider="rehearsal", concurrency="2", duration="1 h", reason="it is slow")
    assert concurrency() == 2
    (override,) = dashboard.app.store.overrides
    assert override.expires_at is not None
    assert (override.actor, override.reason) == ("ada", "it is slow")
    for path in ("/providers", "/configuration"):
        assert "it is slow" in dashboard.get(path).text
    leads_to(dashboard, "/providers/end-override", override=override.id)
    assert concurrency() == usual


def test_what_would_break_the_configuration_is_refused(dashboard: Dashboard) -> None:
    answer = dashboard.post("/providers/switch-off", provider="rehearsal", duration="1 h", reason="r")
    assert answer.status_code == 422
    assert dashboard.app.store.overrides == ()
    assert dashboard.post("/providers/limit", provider="nobody", concurrency="1").status_code == 404


def test_a_provider_is_asked_whether_it_answers(dashboard: Dashboard) -> None:
    assert "done=" in leads_to(dashboard, "/providers/probe", provider="rehearsal")


def test_automation_is_stopped_and_goes_on(dashboard: Dashboard) -> None:
    leads_to(dashboard, "/configuration/stop-automation", duration="15 min", reason="it does harm")
    assert not dashboard.app.configuration.automation.enabled
    assert "Automation is stopped" in dashboard.get("/").text
    leads_to(dashboard, "/configuration/end-override", override=dashboard.app.store.overrides[0].id)
    assert dashboard.app.configuration.automation.enabled


def test_the_file_goes_back_to_an_earlier_version(dashboard: Dashboard) -> None:
    file = dashboard.app.root / "config" / "agents.config.json"
    before = file.read_text(encoding="utf-8")
    file.write_text(before.replace('"concurrency": 8', '"concurrency": 7'), encoding="utf-8")
    dashboard.portal.call(dashboard.app.store.refresh)
    newest = dashboard.app.store.number
    assert newest is not None
    assert "concurrency" in dashboard.get("/configuration").text
    leads_to(dashboard, "/configuration/roll-back", number=str(newest - 1))
    assert file.read_text(encoding="utf-8") == before


def test_a_run_is_cancelled_resumed_and_forked(dashboard: Dashboard) -> None:
    run = dashboard.begin_run(options={"approve": ["executor"]})
    page = f"/runs/{run.id}"
    dashboard.wait_for(run, "waiting")
    leads_to(dashboard, f"{page}/cancel", reason="not now")
    assert dashboard.app.runs.get(run.id).reason == "not now"
    assert dashboard.post(f"{page}/cancel").status_code == 409
    leads_to(dashboard, f"{page}/resume")
    dashboard.wait_for(run, "waiting")
    wait_until(lambda: dashboard.app.approvals.list_open(run.id), "for the question")
    leads_to(dashboard, f"{page}/approve", approval=dashboard.app.approvals.list_open(run.id)[0].id)
    dashboard.wait_for(run, "succeeded")
    parts = dashboard.call(lambda: dashboard.app.control.parts(run.id))
    fork = leads_to(dashboard, f"{page}/fork", number=str(parts[-1].number)).partition("?")[0]
    assert fork != page
    dashboard.wait_for(dashboard.app.runs.get(fork.removeprefix("/runs/")), "succeeded")


def test_filling_all_pages_leaves_their_forms_usable(dashboard: Dashboard) -> None:
    worst = fill(dashboard.app)["worst"]
    assert leads_to(dashboard, f"/incidents/{worst.id}/acknowledge").endswith("done=acknowledged")
