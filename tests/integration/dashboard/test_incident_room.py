"""The page of an incident as a situation room: what it says, and what can be done from it."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from orchestration.app.playbooks import services_beside_control
from orchestration.cli.incident_screens import screen
from orchestration.config.overrides import LimitProvider, OverrideOrigin
from orchestration.config.response import Contact
from orchestration.domain.playbook_state import ActionState
from orchestration.domain.run_status import RunStatus
from orchestration.domain.scenario import Scenario
from orchestration.incidents import notices
from orchestration.incidents.brief import briefing
from orchestration.incidents.change import Notification
from orchestration.incidents.commands.acknowledgement import Acknowledge
from orchestration.incidents.commands.action_items import AddActionItem
from orchestration.incidents.commands.mitigation import (
    BeginMitigation,
    BeginVerification,
    RecordFailedMitigation,
)
from orchestration.incidents.commands.note import RecordLikelyCauses
from orchestration.incidents.commands.resolution import Resolve
from orchestration.incidents.model import Actor, Incident, person
from orchestration.incidents.report import BlastRadius, Facts
from orchestration.notifications.notice import NoticeKind
from orchestration.notifications.templates.renderer import SHIPPED
from orchestration.playbooks.actions import ActionContext, ActionOutcome
from orchestration.playbooks.actions.registry import find_action
from orchestration.security.principal import Principal, Role
from orchestration.storage.approvals import Approval
from orchestration.storage.configuration import ConfigurationVersions
from orchestration.storage.playbooks import ActionRun, PlaybookRecords, PlaybookRun, RankedHypothesis
from orchestration.storage.runs import Run
from orchestration.web.pages.incident_forms import FORMS
from tests.support.dashboard import Dashboard
from tests.support.dashboard_records import declare

PLAYBOOK = Actor("playbook:p")
RADIUS = BlastRadius(agents=("executor",), providers=("ollama",), runs=("run-a", "run-b"))
REROUTE = "Send all work to the best provider that answers"


def at_work(dashboard: Dashboard, key: str, *commands: Any, **values: Any) -> Incident:
    """An incident on which a playbook has worked so."""
    found = declare(dashboard.app, key, f"trouble of {key}", Facts(agents_failing=1, agents_total=4), **values)
    for command in commands:
        found = dashboard.app.incident_service.execute(found.id, PLAYBOOK, command)
    return found


def words(text: str) -> str:
    """What a reader sees of HTML or of plain text, on one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).replace(" :", ":").split())


def message(incident: Incident) -> str:
    """The mail about it."""
    notice = notices.notice(incident, Notification(NoticeKind.UPDATE, (), "step"), "https://here/it")
    return SHIPPED.render(notice, Contact(id="ada")).body


STATES: Mapping[str, tuple[Any, ...]] = {
    "new": (),
    "diagnosed": (RecordLikelyCauses(("its quota is used up (90 of 100)", "it is slow (50 of 100)")),),
    "tried": (
        RecordLikelyCauses(("its quota is used up (90 of 100)",)),
        BeginMitigation("Begin again"),
        RecordFailedMitigation("no", "Begin again"),
        BeginMitigation(REROUTE),
        BeginVerification("watched"),
    ),
    "taken": (BeginMitigation("Begin again"), "acknowledge"),
}


@pytest.mark.parametrize("state", STATES)
def test_the_page_the_console_and_the_message_say_the_same(dashboard: Dashboard, state: str) -> None:
    app = dashboard.app
    commands = [one for one in STATES[state] if one != "acknowledge"]
    found = at_work(dashboard, f"same-{state}", *commands, blast_radius=RADIUS)
    if "acknowledge" in STATES[state]:
        found = app.incident_service.execute(found.id, person("ben"), Acknowledge())
    if state == "diagnosed":
        causes = [
            RankedHypothesis("q", "its quota is used up", 90, {"status": 429}),
            RankedHypothesis("s", "it is slow", 50),
        ]
        PlaybookRecords(app.database).add_run(
            PlaybookRun("playbook-run-same", found.id, "p", 1, app.clock.now(), hypotheses=causes)
        )
    brief = briefing(found)
    facts = [
        brief.summary,
        f"{brief.since:%Y-%m-%d %H:%M:%S} UTC",
        brief.origin,
        brief.severity_reason,
        brief.impact,
        brief.status,
        *brief.causes,
        *(attempt.sentence for attempt in brief.attempts),
        *brief.commands,
    ]
    entries, settings = app.incident_service.records.entries(found.id), app.incident_service.records.settings(found)
    surfaces = {
        "page": words(dashboard.get(f"/incidents/{found.id}").text),
        "console": words(screen(found, entries, settings, app.clock.now(), None, [])),
        "message": words(message(found)),
    }
    for name, text in surfaces.items():
        missing = [fact for fact in facts if fact.casefold() not in text.casefold()]
        assert missing == [], name
    first, last = brief.summary, brief.commands[0]
    page = surfaces["page"]
    order = [page.index(part) for part in (first, "Since", "Why P", "Impact", "Likely", "Tried", "Do now", last)]
    assert order == sorted(order)


def test_a_question_is_approved_and_the_incident_acknowledged_in_one_tap(dashboard: Dashboard) -> None:
    found = at_work(dashboard, "one-tap")
    dashboard.app.approvals.add(Approval("tap-1", found.id, "restart? It would: restart", dashboard.app.clock.now()))
    assert "Approve and take it" in dashboard.get(f"/incidents/{found.id}").text
    answer = dashboard.post(f"/incidents/{found.id}/approve", approval="tap-1", acknowledge="yes")
    assert answer.headers["location"].endswith("?done=approved-and-acknowledged")
    assert dashboard.app.incident_service.records.get(found.id).acknowledged_by == "ada"
    assert dashboard.app.approvals.get("tap-1").decision == "approved"


def test_a_question_is_approved_on_the_overview(dashboard: Dashboard) -> None:
    found = at_work(dashboard, "overview-tap")
    now = dashboard.app.clock.now()
    dashboard.app.approvals.add(Approval("tap-2", found.id, "stop agent 7?", now, role="responder"))
    dashboard.principal = Principal("vic", Role.VIEWER)
    shown = dashboard.get("/").text
    assert re.search(r"<button[^>]* disabled>Approve<[^>]*>: stop agent 7", shown)
    dashboard.principal = Principal("eve", Role.RESPONDER)
    form = re.search(
        r'action="([^"]*)">(?:<input[^>]*>)*<button[^>]*>Approve<[^>]*>: stop agent 7', dashboard.get("/").text
    )
    assert form is not None
    assert dashboard.post(form[1], approval="tap-2").status_code == 303
    assert dashboard.app.approvals.get("tap-2").decision == "approved"


def test_an_option_of_the_playbook_is_asked_for_and_foreseen(dashboard: Dashboard) -> None:
    found = at_work(dashboard, "option", scenario=Scenario.PROVIDER_UNAVAILABLE, blast_radius=RADIUS)
    page = f"/incidents/{found.id}"
    text = dashboard.get(page).text
    assert f"orchestrator incidents try {found.id} use-fallback" in text
    assert "See which options apply" in text
    cause = RankedHypothesis("gone", "it is gone", 60, points_to="use-fallback")
    PlaybookRecords(dashboard.app.database).add_run(
        PlaybookRun(
            "playbook-run-points", found.id, "provider-unavailable", 1, dashboard.app.clock.now(), hypotheses=[cause]
        )
    )
    assert "Try: Send all work to the best provider" in dashboard.get(page).text
    dry = dashboard.post(f"{page}/dry-run", playbook="provider-unavailable")
    assert "in this order until one helps" in dry.text
    assert dashboard.post(f"{page}/try", option="use-fallback").status_code == 303
    asked = dashboard.app.incident_service.records.get(found.id)
    assert (asked.requested_option, asked.requested_by, asked.responses) == ("use-fallback", "ada", 1)


def test_a_run_is_steered_only_from_an_incident_that_affects_it(dashboard: Dashboard) -> None:
    app = dashboard.app
    runs = [
        Run(f"run-steer{number}", "g", "/tmp", app.clock.now(), status)
        for number, status in enumerate((RunStatus.STOPPED, RunStatus.QUEUED))
    ]
    for run in runs:
        app.runs.add(run)
    found = at_work(dashboard, "steer", blast_radius=replace(RADIUS, runs=("run-steer0", "run-steer1")))
    page = f"/incidents/{found.id}"
    text = dashboard.get(page).text
    assert "orchestrator runs resume run-steer0" in text
    assert "orchestrator runs pause run-steer1" in text
    assert dashboard.post(f"{page}/pause-run", run="run-elsewhere").status_code == 404
    assert dashboard.post(f"{page}/pause-run", run="run-steer1").status_code == 303
    after = app.incident_service.records.get(found.id)
    assert after.attempted_actions == ("Pause run-steer1",)


def test_what_is_in_force_for_an_incident_is_undone_from_its_page(dashboard: Dashboard) -> None:
    found = at_work(dashboard, "undo", blast_radius=RADIUS)
    provider = next(iter(dashboard.app.configuration.runtime.providers))

    async def limit() -> str:
        change = LimitProvider(target=provider, concurrency=1)
        origin = OverrideOrigin(incident_id=found.id, action_key="k")
        return dashboard.app.store.add_override(change, reason="r", actor="playbook:p", seconds=60, origin=origin).id

    override = dashboard.call(limit)
    assert f"limit provider: {provider}" in words(dashboard.get(f"/incidents/{found.id}").text)
    for role, status in ((Role.RESPONDER, 403), (Role.OPERATOR, 303)):
        dashboard.principal = Principal("eve", role)
        assert dashboard.post(f"/incidents/{found.id}/undo", override=override).status_code == status
    assert override not in [one.id for one in dashboard.app.store.overrides]


def lower_limit(dashboard: Dashboard, incident: Incident, key: str) -> tuple[str, str]:
    """What a playbook does when it lowers the limit of a provider; returns the provider and the override."""
    app = dashboard.app
    provider = next(iter(app.configuration.runtime.providers))
    now = app.clock.now()
    context = ActionContext(incident.id, key, "playbook:p", "it is overloaded", now)
    lower: Any = find_action("limit.lower")(services_beside_control(app))

    async def carry_out() -> ActionOutcome:
        outcome: ActionOutcome = await lower.run(context, lower.parameters(providers=(provider,)))
        return outcome

    outcome = dashboard.call(carry_out)
    records = PlaybookRecords(app.database)
    records.add_run(PlaybookRun("playbook-run-lower", incident.id, "p", 1, now))
    records.save_action(
        ActionRun(
            key, "playbook-run-lower", incident.id, "mitigate", "lower", "limit.lower", "reversible", "auto",
            ActionState.DONE, now, "playbook", summary=outcome.summary, undo=outcome.undo,
        )
    )  # fmt: skip
    return provider, str(outcome.findings["overrides"][0])


def test_what_a_playbook_did_is_undone_by_a_tap_that_says_what_it_will_do(dashboard: Dashboard) -> None:
    app, found = dashboard.app, at_work(dashboard, "undo-action", blast_radius=RADIUS)
    provider, override = lower_limit(dashboard, found, "playbook-run-lower/lower")
    text = words(dashboard.get(f"/incidents/{found.id}").text)
    assert f"calls at once to {provider}" in text.partition("Can be undone")[2]
    assert "If undone: the limits are as before." in text
    assert f"orchestrator incidents undo {found.id} lower" in text
    assert "remove " + override not in text  # by the action, and not a second time by what it has made
    page = f"/incidents/{found.id}/undo-action"
    dashboard.principal = Principal("vic", Role.VIEWER)
    assert dashboard.post(page, action="playbook-run-lower/lower").status_code == 403
    dashboard.principal = Principal("eve", Role.RESPONDER)
    assert dashboard.post(page, action="playbook-run-lower/lower").headers["location"].endswith("?done=action-undone")
    assert override not in [one.id for one in app.store.overrides]
    action = PlaybookRecords(app.database).find_action("playbook-run-lower/lower")
    assert action is not None
    assert action.state is ActionState.UNDONE
    text = words(dashboard.get(f"/incidents/{found.id}").text)
    assert f"undone: at most 4 calls at once to {provider}; now the limits are as before" in text
    assert "Can be undone" not in text
    again = dashboard.post(page, action="playbook-run-lower/lower")
    assert again.status_code == 409
    assert "nothing to undo: it is undone" in words(again.text)
    assert dashboard.post(page, action="never-done").status_code == 404


def test_overrides_that_have_ended_leave_nothing_to_undo(dashboard: Dashboard) -> None:
    found = at_work(dashboard, "undo-ended", blast_radius=RADIUS)
    _, override = lower_limit(dashboard, found, "playbook-run-lower/ended")

    async def end() -> None:
        dashboard.app.store.remove_override(override, "ben")

    dashboard.call(end)
    text = words(dashboard.get(f"/incidents/{found.id}").text)
    assert "Can be undone" not in text
    assert dashboard.post(f"/incidents/{found.id}/undo-action", action="playbook-run-lower/ended").status_code == 409


def test_every_form_of_an_incident_says_how_it_is_undone() -> None:
    silent = [name for name, command in FORMS.items() if command.spec.page.shown and not command.spec.page.undo]
    assert silent == []


def test_the_review_is_previewed_before_it_is_saved(dashboard: Dashboard) -> None:
    found = at_work(dashboard, "review")
    page = f"/incidents/{found.id}"
    shown = dashboard.post(f"{page}/review-preview", field="root-cause", text="a **bad** day <script>")
    assert "a <strong>bad</strong> day" in shown.text
    assert "Preview, not saved" in shown.text
    assert "<script>" not in shown.text.partition("Preview, not saved")[2].partition("</article>")[0]
    assert dashboard.app.incident_service.records.get(found.id).review == {}


def test_evidence_is_written_for_people(dashboard: Dashboard) -> None:
    evidence = {
        "query": "SELECT 1",
        "nested": {"seconds": 40.2, "ok": False},
        "lines": [{"at": 1}, {"at": 2}],
        "no": None,
    }
    found = declare(dashboard.app, "evidence", "t", Facts(), evidence=(evidence,))
    text = words(dashboard.get(f"/incidents/{found.id}").text)
    for part in ("query SELECT 1", "nested.seconds 40.2", "nested.ok no", "lines 1.at 1", "no unknown"):
        assert part in text


def test_odd_titles_are_shortened_and_turn_nothing_around(dashboard: Dashboard) -> None:
    title = "x" * 500 + "\u202egpj.exe"
    found = declare(dashboard.app, "odd", title, Facts())
    text = dashboard.get(f"/incidents/{found.id}").text
    assert "Whole title" in text
    assert "\u2068" + title + "\u202c\u2069" in text
    assert title not in dashboard.get("/incidents").text.replace("\u2068" + title, "")


def test_plots_mark_what_changed_and_months_lead_to_their_incidents(dashboard: Dashboard) -> None:
    app = dashboard.app
    found = declare(app, "plotted", "a plotted trouble", Facts())
    app.incident_service.execute(found.id, person("ben"), AddActionItem("do better", "ada", date(2026, 1, 1)))
    app.incident_service.execute(found.id, person("ben"), Resolve("over", anyway=True))
    version = ConfigurationVersions(app.database).add("{}", "0" * 64, app.clock.now())
    text = dashboard.get("/figures").text
    assert f"version {version.number} of the configuration" in words(text)
    assert 'data-mark="configuration"' in text
    assert f'data-mark="configuration" data-at="{version.loaded_at:%Y-%m-%d}' in dashboard.get("/resources").text
    assert "do better" in words(text.partition('id="owed"')[2])
    month = f"{app.clock.now():%Y-%m}"
    assert f'href="/incidents?month={month}#history"' in text
    assert f"/incidents/{found.id}" in dashboard.get(f"/incidents?month={month}").text.partition('id="history"')[2]
    assert f"/incidents/{found.id}" not in dashboard.get("/incidents?month=2020-02").text.partition('id="history"')[2]
    for page in ("/incidents", "/runs", "/search"):
        assert dashboard.get(f"{page}?range=8+d").status_code == 422


def test_one_search_finds_everything_that_has_a_page(dashboard: Dashboard) -> None:
    found = declare(dashboard.app, "needle", "the Needle in 100% hay", Facts())
    for text, link in (
        ("needle HAY", f"/incidents/{found.id}"),
        (found.id[-8:], f"/incidents/{found.id}"),
        ("100%", f"/incidents/{found.id}"),
        ("provider unavail", "/playbooks/provider-unavailable"),
        ("statist", "/figures"),
    ):
        assert f'href="{link}"' in dashboard.get("/search", params={"q": text}).text, text
    assert f"/incidents/{found.id}" not in dashboard.get("/search", params={"q": "needle", "kind": "runs"}).text
    assert "Nothing was found" in dashboard.get("/search", params={"q": "no%such_thing"}).text
    assert dashboard.get("/search", params={"q": "x", "kind": "poems"}).status_code == 422


def test_an_old_incident_is_found_by_its_identifier(dashboard: Dashboard, monkeypatch: pytest.MonkeyPatch) -> None:
    found = declare(dashboard.app, "old", "an old trouble", Facts())
    monkeypatch.setattr("orchestration.storage.search._SEARCHED", 0)
    assert f'href="/incidents/{found.id}"' in dashboard.get("/search", params={"q": found.id[-8:]}).text
    assert "Nothing was found" in dashboard.get("/search", params={"q": "old trouble"}).text


def test_the_newest_incident_of_each_key_is_found(dashboard: Dashboard) -> None:
    first = declare(dashboard.app, "key-a", "one", Facts())
    dashboard.app.incident_service.execute(first.id, person("ben"), Resolve("over", anyway=True))
    other = declare(dashboard.app, "key-b", "two", Facts())
    table = dashboard.app.incident_service.records.table
    assert table.newest_of_keys(["key-b", "key-a", "key-none", "key-a"]) == {"key-a": first.id, "key-b": other.id}
