"""The API at work: runs, incidents, silences, providers, configuration, and what holds for all of it."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from orchestration.app import Application
from orchestration.incidents.report import BlastRadius
from orchestration.security.principal import Role
from orchestration.storage.runs import Run
from tests.support.incidents import a_report
from tests.support.patience import Stopwatch, until
from tests.support.push_service import a_device
from tests.support.web import RunningWebServer


@pytest.fixture
def api(server: RunningWebServer) -> httpx2.Client:
    client = server.client()
    client.base_url = client.base_url.join("/api/v1/")
    return client


def an_incident(app: Application, key: str) -> str:
    now = app.clock.now()
    return app.incident_service.open_or_join(
        a_report(at=now, key=key, title=f"{key} fails", blast_radius=BlastRadius(agents=("executor",)))
    ).id


def some_runs(app: Application, count: int) -> list[str]:
    """Runs that have ended, so that nobody takes them up."""
    now = app.clock.now()
    made = [Run(f"run-{index:014d}", "a goal", "/nowhere", now) for index in range(count)]
    for run in made:
        app.runs.add(run)
        app.runs.set_status(run.id, run.status.CANCELLED)
    return [run.id for run in made]


def test_a_list_is_read_page_by_page_without_a_gap_or_a_repetition(
    server: RunningWebServer, api: httpx2.Client
) -> None:
    made = some_runs(server.app, 12)
    found: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": 5, "status": "cancelled"} | ({"cursor": cursor} if cursor else {})
        page = api.get("runs", params=query).json()
        found += [one["id"] for one in page["items"]]
        if (cursor := page["next"]) is None:
            break
    assert [one for one in found if one in made] == sorted(made, reverse=True)
    assert len(found) == len(set(found))


def test_a_run_is_begun_followed_and_shown(server: RunningWebServer, api: httpx2.Client) -> None:
    sample = server.app.new_demo_folder()
    from orchestration.rehearsal import samples

    copied = samples.copy_to(sample)
    asked = {"goal": copied.goal, "workspace": str(copied.workspace), "provider": "rehearsal"}
    begun = api.post("runs", json=asked)
    assert begun.status_code == 201
    run = begun.json()["id"]
    assert begun.json()["origin"] == "api: test"
    until(lambda: api.get(f"runs/{run}").json()["run"]["status"] in ("succeeded", "failed"), 60)
    shown = api.get(f"runs/{run}").json()
    assert shown["run"]["status"] == "succeeded"
    assert shown["steps_executed"] > 0
    artifact = shown["artifacts"][0]
    content = api.get(f"runs/{run}/artifacts/{artifact['name']}")
    assert len(content.content) == artifact["size"]
    assert content.headers["content-disposition"].startswith("attachment")
    assert api.get(f"runs/{run}/artifacts/..%2f..%2forchestrator.db").status_code == 404
    read = until(lambda: server.app.timeline.list_of_kinds([run], ["artifact.read"])[run])
    assert [(event.actor, event.data) for event in read] == [(api.get("me").json()["name"], {"name": artifact["name"]})]
    events = api.get(f"runs/{run}/events", params={"limit": 3}).json()
    later = api.get(f"runs/{run}/events", params={"limit": 1, "after": events[-1]["id"]}).json()
    assert events[0]["event"]["kind"] == "run.created"
    assert later[0]["id"] > events[-1]["id"]
    assert api.get(f"runs/{run}/parts").json()
    assert api.post(f"runs/{run}/cancel", json={}).status_code == 409


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({"goal": "x"}, "workspace"),
        ({"goal": "", "workspace": "/tmp"}, "goal"),
        ({"goal": "x", "workspace": "/no/such/folder"}, "does not exist"),
        ({"goal": "x", "workspace": "/" + "y" * 300}, "too long"),
        ({"goal": "x", "workspace": "/", "agent": "nobody"}, "agent"),
        ({"goal": "x", "workspace": "/", "provider": "nobody"}, "provider"),
        ({"goal": "x", "workspace": "/a\u0000b"}, "control characters"),
    ],
)
def test_what_cannot_be_done_is_a_problem_that_says_why(api: httpx2.Client, body: dict[str, Any], what: str) -> None:
    answer = api.post("runs", json=body)
    assert answer.status_code in (404, 422)
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert what in problem["detail"]


def test_a_problem_never_repeats_what_was_sent(api: httpx2.Client) -> None:
    answer = api.post("users", json={"name": "x", "role": "viewer", "password": ["hunter2-hunter2"]})
    assert answer.status_code == 422
    assert "hunter2" not in answer.text


def test_the_same_key_does_it_once_and_is_answered_alike(server: RunningWebServer, api: httpx2.Client) -> None:
    body = {"matchers": ['agent="idem"'], "seconds": 60, "comment": "once"}
    key = {"Idempotency-Key": "a-key-of-mine"}
    first, second = (api.post("silences", json=body, headers=key) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true"
    listed = api.get("silences").json()
    assert sum(one["matchers"] == ['agent="idem"'] for one in listed) == 1
    other = api.post("silences", json={**body, "seconds": 61}, headers=key)
    assert (other.status_code, "another request" in other.json()["detail"]) == (422, True)
    with server.client(Role.VIEWER) as less:
        assert less.post("/api/v1/silences", json=body, headers=key).status_code == 403


def test_a_refusal_is_kept_and_what_failed_may_be_tried_again(server: RunningWebServer, api: httpx2.Client) -> None:
    key = {"Idempotency-Key": "refused"}
    answers = [api.post("incidents/inc-none/acknowledge", headers=key) for _ in range(2)]
    assert [one.status_code for one in answers] == [404, 404]
    assert answers[1].headers["content-type"] == "application/problem+json"
    assert answers[0].json() == answers[1].json()


def test_a_secret_is_not_kept_for_a_repetition(server: RunningWebServer, api: httpx2.Client) -> None:
    key = {"Idempotency-Key": "make-a-token"}
    body = {"name": "once", "role": "viewer"}
    secret = api.post("tokens", json=body, headers=key).json()["secret"]
    again = api.post("tokens", json=body, headers=key)
    assert again.status_code == 409
    assert secret not in str(server.project.records("SELECT * FROM kept_answers"))
    assert sum(one["name"] == "once" for one in api.get("tokens").json()) == 1


def test_an_incident_goes_all_its_way(server: RunningWebServer, api: httpx2.Client) -> None:
    incident = an_incident(server.app, "api:way")
    assert incident in [one["id"] for one in api.get("incidents", params={"open": True}).json()["items"]]
    assert api.post(f"incidents/{incident}/acknowledge").json()["acknowledged_by"] == "test"
    assert api.post(f"incidents/{incident}/acknowledge").json()["reason"] == "already-done"
    for act, body in {
        "notes": {"text": "looking"},
        "impact": {"text": "nobody can order"},
        "estimate": {"eta": "2030-01-01T12:00:00+01:00"},
        "severity": {"severity": "P0", "reason": "worse than thought"},
        "escalate": {"level": 2, "reason": "need help"},
        "assign": {"contact": "ada"},
        "actions": {"text": "watch it", "owner": "ada", "due": "2030-02-01"},
        "resolve": {"resolution": "restarted it", "root_cause": "it had hung", "anyway": True},
    }.items():
        answer = api.post(f"incidents/{incident}/{act}", json=body)
        assert answer.status_code in (200, 201), (act, answer.text)
    assert api.get("action-items").json()[-1]["owner"] == "ada"
    assert api.post(f"incidents/{incident}/actions/1/done").status_code == 200
    assert api.put(f"incidents/{incident}/review/what-helped", json={"text": "luck"}).status_code == 200
    shown = api.get(f"incidents/{incident}").json()
    assert shown["incident"]["severity"] == "P0"
    assert shown["incident"]["eta"] == "2030-01-01T11:00:00Z"
    assert {"noted", "impact-set"} <= {entry["kind"] for entry in shown["timeline"]}
    assert len(shown["sla"]) == 2
    assert api.get(f"incidents/{incident}/review").text.startswith("# Post-incident review")
    assert api.post(f"incidents/{incident}/reopen", json={"reason": "again"}).status_code == 200
    assert api.post(f"incidents/{incident}/cancel", json={"reason": "a test"}).status_code == 200


def test_an_incident_is_declared_once_however_often_it_is_sent(api: httpx2.Client) -> None:
    body = {
        "title": "The shop is down",
        "severity": "P1",
        "started_at": "2026-01-01T10:00:00+01:00",
        "impact": "no orders",
    }
    first, again = (api.post("incidents", json=body) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]
    found = api.get(f"incidents/{first.json()['id']}").json()["incident"]
    assert (found["source"], found["asserted_by"], found["acknowledged_at"]) == ("person", "test", None)
    assert (found["impact_started_at"], found["impact"]) == ("2026-01-01T09:00:00Z", "no orders")
    refused = api.post("incidents", json={**body, "started_at": "2999-01-01T10:00:00Z"})
    assert (refused.status_code, "that is past" in refused.json()["detail"]) == (422, True)
    assert api.post(f"incidents/{found['id']}/cancel", json={"reason": "a test"}).status_code == 200


def test_two_incidents_become_one(server: RunningWebServer, api: httpx2.Client) -> None:
    first, second = an_incident(server.app, "api:one"), an_incident(server.app, "api:two")
    assert api.post(f"incidents/{first}/merge", json={"into": second}).json()["id"] == second
    assert api.get(f"incidents/{first}").json()["incident"]["merged_into"] == second


def test_a_silence_begins_and_ends(api: httpx2.Client) -> None:
    made = api.post("silences", json={"matchers": ['agent="x"'], "seconds": 3600, "comment": "why"}).json()
    assert made["author"] == "test"
    assert api.delete(f"silences/{made['id']}").status_code == 200
    assert api.delete(f"silences/{made['id']}").status_code == 409
    everything = {"matchers": ['agent=~".*"'], "seconds": 3600, "comment": "why"}
    assert api.post("silences", json=everything).status_code == 422


def test_a_limit_acts_and_can_be_taken_back(server: RunningWebServer, api: httpx2.Client) -> None:
    made = api.put("providers/rehearsal/limit", json={"concurrency": 1, "reason": "try", "seconds": 600}).json()
    assert server.app.configuration.runtime.providers["rehearsal"].concurrency == 1
    until(lambda: limits(api)["rehearsal"] == 1)
    assert made["actor"] == "test"
    assert [one["id"] for one in api.get("overrides").json()] == [made["id"]]
    assert api.delete(f"overrides/{made['id']}").status_code == 204
    assert api.delete(f"overrides/{made['id']}").status_code == 404
    assert server.app.configuration.runtime.providers["rehearsal"].concurrency != 1
    assert api.put("providers/nobody/limit", json={"concurrency": 1, "reason": "x"}).status_code == 404


def limits(api: httpx2.Client) -> dict[str, int]:
    """How many calls each provider is given at once, by what processes last said."""
    return {one["provider"]: one["limit"] for one in api.get("providers").json()}


def test_an_override_is_added_by_its_kind(api: httpx2.Client) -> None:
    change = {"kind": "stop_automation"}
    made = api.post("overrides", json={"change": change, "reason": "a drill", "seconds": 60}).json()
    assert made["change"]["kind"] == "stop_automation"
    assert api.get("configuration").json()["configuration"]["automation"]["enabled"] is False
    api.delete(f"overrides/{made['id']}")
    assert api.post("overrides", json={"change": {"kind": "nonsense"}, "reason": "x"}).status_code == 422


def test_the_configuration_is_shown_with_its_history(api: httpx2.Client) -> None:
    shown = api.get("configuration").json()
    assert shown["version"] == api.get("configuration/versions").json()[0]["number"]
    assert api.get("configuration/findings").json()["usable"] is True
    number = shown["version"]
    assert api.get(f"configuration/versions/{number}/changes/{number}").json() == []
    assert api.get("configuration/versions/999/changes/1").status_code == 404


def test_playbooks_are_shown_as_document_and_as_text(api: httpx2.Client) -> None:
    listed = api.get("playbooks").json()
    assert listed["mistakes"] == []
    name = listed["items"][0]["name"]
    assert api.get(f"playbooks/{name}").json()["playbook"] == name
    assert api.get(f"playbooks/{name}/runbook").text.startswith("#")
    assert api.get(f"playbooks/{name}/cacao").json()["type"] == "playbook"
    assert api.get("playbooks/none").status_code == 404
    assert api.post("guards/provider.reroute/reset").json() == {"reset": 0}


def test_people_and_figures_are_shown(api: httpx2.Client) -> None:
    assert api.get("contacts").json()
    assert set(api.get("on-call").json()["told_first"]) == {"P0", "P1", "P2", "P3"}
    assert "total" in api.get("statistics", params={"by": "scenario"}).json()
    assert isinstance(api.get("measurements/cpu_percent", params={"since": "2026-01-01T00:00:00Z"}).json(), list)
    assert {one["id"] for one in api.get("agents").json()} >= {"planner", "executor"}


def test_a_test_message_goes_out_and_leaves_evidence(api: httpx2.Client) -> None:
    name = api.get("contacts").json()[0]["id"]
    keys = api.post(f"contacts/{name}/test").json()["keys"]
    assert keys
    until(lambda: api.get(f"deliveries/{keys[0]}").json(), 20)
    assert api.post("contacts/nobody/test").status_code == 404


def test_the_status_says_what_is_going_on(server: RunningWebServer, api: httpx2.Client) -> None:
    found = until(lambda: (status := api.get("status").json())["control"] and status, 20)
    assert found["control"][0]["workers"] == []


@pytest.mark.parametrize(
    "query",
    [{"limit": 0}, {"limit": 501}, {"limit": "x"}, {"status": "unknown"}, {"cursor": "a b"}, {"cursor": "x" * 65}],
)
def test_a_list_refuses_what_it_does_not_understand(api: httpx2.Client, query: dict[str, Any]) -> None:
    assert api.get("runs", params=query).status_code == 422


@pytest.mark.parametrize("moment", ["yesterday", "2026-01-01", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z"])
def test_a_moment_has_a_time_zone_and_a_sane_year(api: httpx2.Client, moment: str) -> None:
    assert api.get("incidents", params={"since": moment}).status_code == 422


def test_a_body_that_is_too_long_is_refused_before_it_is_read_to_its_end(api: httpx2.Client) -> None:
    answer = api.post("silences", content=b"x" * 3_000_000, headers={"content-type": "application/json"})
    assert answer.status_code == 413


@pytest.mark.parametrize("content", [b"", b"nonsense", b"[1]", b'"\\ud800"', b'{"goal": "\\ud800", "workspace": "/"}'])
def test_a_body_that_is_no_request_is_refused(api: httpx2.Client, content: bytes) -> None:
    answer = api.post("runs", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 422


def test_what_is_sent_as_a_form_is_not_taken_for_json(api: httpx2.Client) -> None:
    """A page elsewhere can send that without being asked first."""
    answer = api.post("runs", content=b'{"goal": "x", "workspace": "/"}', headers={"content-type": "text/plain"})
    assert answer.status_code == 422


def test_metrics_are_shown_to_a_scraper_with_a_token(server: RunningWebServer) -> None:
    with server.client(Role.VIEWER, ("metrics",)) as scraper:
        answer = scraper.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "orchestration_runs_started_total" in answer.text
    with server.client(None) as stranger:
        assert stranger.get("/metrics").status_code == 401


def test_health_and_readiness_are_told_to_anybody_under_any_name(server: RunningWebServer) -> None:
    with server.client(None, headers={"Host": "10.1.2.3"}) as probe:
        assert probe.get("/healthz").json() == {"status": "ok"}
        assert probe.get("/readyz").json() == {"status": "ready"}


def test_alerts_from_outside_come_to_a_door_of_their_own(server: RunningWebServer) -> None:
    """What its `Authorization` says is no token of ours: nobody is locked out for it."""
    with server.client(None, headers={"Authorization": "Bearer what-alertmanager-sends"}) as sender:
        answer = sender.post("/api/v1/intake/alertmanager", json={"version": "4", "alerts": []})
    assert answer.status_code == 403
    assert "the intake is closed" in answer.json()["error"]


def test_reading_is_quick_with_many_at_once(server: RunningWebServer, api: httpx2.Client) -> None:
    """No request waits for another: a slow reader of events holds nobody up."""
    with api.stream("GET", "events"):
        began = Stopwatch()
        assert api.get("runs").status_code == 200
        assert began.is_within(10), began


def test_the_roster_is_changed_and_every_change_is_in_the_audit_trail(
    server: RunningWebServer, api: httpx2.Client
) -> None:
    before = dict(server.project.document)
    people = [{"id": name, "level": 1, "channels": [{"channel": "log"}]} for name in ("ada", "ben", "cyd")]
    rotation = {"id": "primary", "members": ["ada", "ben"], "start": "2026-01-05", "hours": 8}
    server.project.document["response"] = {"contacts": people, "rotations": [rotation]}
    server.project.write()
    try:
        until(lambda: api.get("on-call/shifts", params={"rotation": "primary"}).status_code == 200, 20)
        entered = {"rotation": "primary", "contact": "cyd", "end": "2100-01-01T00:00:00Z", "reason": "too long"}
        assert api.post("on-call/overrides", json=entered).status_code == 422
        start, end = "2099-01-01T00:00:00Z", "2099-01-02T00:00:00Z"
        made = api.post("on-call/overrides", json={**entered, "start": start, "end": end})
        assert made.status_code == 201
        shifts = api.get("on-call/shifts", params={"rotation": "primary", "start": start, "days": 2}).json()
        assert (shifts[0]["contact"], shifts[0]["until"], shifts[0]["override"]) == ("cyd", end, True)
        swapped = api.post(
            "on-call/swaps", json={"rotation": "primary", "contact": "ada", "other": "ben", "reason": "a wedding"}
        ).json()
        ended = api.delete(f"on-call/overrides/{swapped[1]['id']}").json()
        assert {one["id"] for one in ended} == {one["id"] for one in swapped}
        assert [one["id"] for one in api.get("on-call/overrides").json()] == [made.json()["id"]]
        assert len(api.get("on-call/overrides", params={"ended": True}).json()) == 3
        with server.client(Role.VIEWER) as less:
            assert less.post("/api/v1/on-call/swaps", json={}).status_code == 403
        actions = [one["action"] for one in api.get("audit", params={"limit": 20}).json()["items"]]
        assert "POST /api/v1/on-call/swaps" in actions
        assert f"DELETE /api/v1/on-call/overrides/{swapped[1]['id']}" in actions
        api.delete(f"on-call/overrides/{made.json()['id']}")
    finally:
        server.project.document = before
        server.project.write()


def test_a_device_is_subscribed_renewed_tested_and_removed(server: RunningWebServer, api: httpx2.Client) -> None:
    before = dict(server.project.document)
    channels = {"push": {"type": "web-push", "sender": "ops@example.org"}}
    server.project.document["response"] = {"channels": channels, "contacts": []}
    server.project.write()
    p256dh, auth = a_device().keys
    new = {"endpoint": "https://push.example.com/1", "p256dh": p256dh, "auth": auth, "label": "Firefox on Linux"}
    try:
        until(lambda: api.get("push").status_code == 200, 20)
        assert (api.get("push").json()["reaches"], api.get("push").json()["devices"]) == (False, [])
        first = api.post("push/devices", json=new)
        assert (first.status_code, first.json()["service"]) == (201, "push.example.com")
        renewed = {**new, "endpoint": "https://push.example.com/2", "label": "", "replaces": new["endpoint"]}
        second = api.post("push/devices", json=renewed).json()
        # Whoever renews twice, because an answer was lost, still has one device.
        assert api.post("push/devices", json=renewed).json()["id"] == second["id"] != first.json()["id"]
        (shown,) = api.get("push").json()["devices"]
        assert (shown["id"], set(shown)) == (second["id"], {"id", "label", "service", "created_at"})
        assert api.post("push/devices", json={**new, "endpoint": "https://127.0.0.1/x"}).status_code == 422
        assert "No contact has a push channel" in api.post("push/test").json()["detail"]
        secret = server.web.access.add_token("somebody", Role.RESPONDER, actor="tests", limits={})[0]
        with server.client(None, headers={"Authorization": f"Bearer {secret}"}) as other:
            # Nobody takes the place of somebody else's device, nor removes it.
            theirs = {**new, "endpoint": "https://push.example.com/3", "replaces": renewed["endpoint"]}
            assert other.post("/api/v1/push/devices", json=theirs).status_code == 201
            assert other.delete(f"/api/v1/push/devices/{second['id']}").status_code == 404
        with server.client(Role.VIEWER) as less:
            assert less.get("/api/v1/push").status_code == 403
        assert [one["id"] for one in api.get("push").json()["devices"]] == [second["id"]]
        assert api.delete(f"push/devices/{second['id']}").status_code == 204
        assert api.get("push").json()["devices"] == []
    finally:
        server.project.document = before
        server.project.write()
