"""People answer in Slack and in PagerDuty: the running server, and a server of the shape of Slack's Web API."""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx2
import pytest

from orchestration.domain.incident_status import IncidentStatus
from orchestration.incidents.commands.reopen import Reopen
from orchestration.incidents.commands.resolution import Resolve
from orchestration.incidents.model import Incident, person
from tests.support.incidents import HALF, a_report
from tests.support.patience import until
from tests.support.receivers import Answer, HttpReceiver, http_receiver
from tests.support.slack_server import SlackMessage, SlackServer, slack_server
from tests.support.web import RunningWebServer, a_web_server
from tests.unit.web_api.test_vendor_answers import an_event

SECRETS = {"SLACK_TOKEN": "xoxb-1", "SLACK_SECRET": "slack-signing", "PD_KEY": "R1", "PD_SECRET": "pd-signing"}


@pytest.fixture(scope="module")
def slack() -> Iterator[SlackServer]:
    with slack_server() as running:
        yield running


@pytest.fixture(scope="module")
def pager() -> Iterator[HttpReceiver]:
    with http_receiver() as running:
        running.answer = Answer(202, "{}")
        yield running


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, slack: SlackServer, pager: HttpReceiver
) -> Iterator[RunningWebServer]:
    with a_web_server(tmp_path_factory.mktemp("web") / "project") as running:
        configure(running, slack, pager)
        yield running


def configure(server: RunningWebServer, slack: SlackServer, pager: HttpReceiver) -> None:
    channels = {
        "chat": {"type": "slack-bot", "tokenEnv": "SLACK_TOKEN", "secretEnv": "SLACK_SECRET", "url": slack.url,
                 "perSecond": 50},
        "pager": {"type": "pagerduty", "routingKeyEnv": "PD_KEY", "secretEnv": "PD_SECRET", "url": pager.url},
    }  # fmt: skip
    ada = {
        "id": "ada", "level": 1, "accounts": {"chat": "UADA000001", "pager": "PXPGF42"},
        "channels": [{"channel": "chat", "address": "C0123456789"}, {"channel": "pager"}],
    }  # fmt: skip
    ben = {"id": "ben", "level": 2, "channels": [{"channel": "log"}]}
    server.project.document["response"] = {"channels": channels, "contacts": [ada, ben]}
    (Path(server.project.root) / ".env").write_text("".join(f"{name}={value}\n" for name, value in SECRETS.items()))
    server.project.write()
    until(lambda: server.app.configuration.response.contacts, 20)


@pytest.fixture
def incident(server: RunningWebServer, request: pytest.FixtureRequest) -> Incident:
    report = a_report(HALF, server.app.clock.now(), key=f"key-{request.node.name}")
    return server.app.incident_service.open_or_join(report)


def now_of(server: RunningWebServer, incident: Incident) -> Incident:
    return server.app.incident_service.records.get(incident.id)


def entries_via(server: RunningWebServer, incident: Incident) -> list[tuple[str, str, str]]:
    rows = server.app.incident_service.records.entries(incident.id)
    return [(row.kind, row.actor, row.data["via"]) for row in rows if "via" in row.data]


def press(
    server: RunningWebServer, incident: Incident, action: str, user: str = "UADA000001", **more: Any
) -> httpx2.Response:
    """Press a button as Slack would report it; `age` seconds ago, signed with `secret`."""
    age, secret, trigger = more.get("age", 0), more.get("secret", SECRETS["SLACK_SECRET"]), more.get("trigger", "1")
    payload = {
        "type": "block_actions", "user": {"id": user, "username": "somebody"}, "trigger_id": trigger,
        "response_url": "http://127.0.0.1:9/", "actions": [{"action_id": action, "value": incident.id}],
    }  # fmt: skip
    body = urlencode({"payload": json.dumps(payload)}).encode()
    stamp = str(int(time.time() - age))
    signature = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, sha256).hexdigest()
    headers = {"x-slack-request-timestamp": stamp, "x-slack-signature": f"v0={signature}"}
    kind = {"content-type": "application/x-www-form-urlencoded"}
    return server.client(None).post("/api/v1/answers/slack", content=body, headers={**headers, **kind})


def deliver(server: RunningWebServer, body: bytes, secret: str = SECRETS["PD_SECRET"]) -> httpx2.Response:
    signature = hmac.new(secret.encode(), body, sha256).hexdigest()
    headers = {"x-pagerduty-signature": f"v1={signature}", "content-type": "application/json"}
    return server.client(None).post("/api/v1/answers/pagerduty", content=body, headers=headers)


def audited(server: RunningWebServer, action: str) -> list[tuple[str, str]]:
    return [
        (str(row[0]), str(row[1]))
        for row in server.project.records(f"SELECT actor, outcome FROM audit WHERE action = '{action}'")
    ]


def test_a_button_in_slack_acknowledges_once_in_the_name_of_its_person_and_the_message_says_so(
    server: RunningWebServer, slack: SlackServer, incident: Incident
) -> None:
    def posted() -> list[SlackMessage]:
        return [each for each in slack.roots() if incident.id in json.dumps(each.content)]

    (root,) = until(posted, 20)
    buttons = root.content["attachments"][0]["blocks"][-1]["elements"]
    assert [each["action_id"] for each in buttons][:2] == ["incident.acknowledge", "incident.escalate"]
    for _ in range(2):
        assert press(server, incident, "incident.acknowledge").status_code == 200
    assert now_of(server, incident).acknowledged_by == "ada"
    assert entries_via(server, incident) == [("acknowledged", "ada", "slack")]
    until(lambda: root.content["text"].startswith("[ACKNOWLEDGED"), 20)
    assert ("ada", "done") in audited(server, "acknowledge by slack")
    for _ in range(2):
        assert press(server, incident, "incident.escalate").status_code == 200
    assert entries_via(server, incident)[1:] == [("escalated", "ada", "slack")]


def test_who_is_not_slack_or_has_no_account_here_changes_nothing(server: RunningWebServer, incident: Incident) -> None:
    assert press(server, incident, "incident.acknowledge", secret="guessed").status_code == 401
    assert press(server, incident, "incident.acknowledge", age=301).status_code == 401
    assert press(server, incident, "incident.acknowledge", user="UEVE000001").status_code == 200
    assert server.client(None).post("/api/v1/answers/slack", content=b"payload={}").status_code == 401
    assert deliver(server, an_event(incident_key=incident.id), secret="guessed").status_code == 401
    assert deliver(server, b"[1]").status_code == 400
    assert now_of(server, incident).acknowledged_by == ""
    assert ("UEVE000001", "refused") in audited(server, "acknowledge by slack")


def test_pagerduty_acknowledges_in_the_name_of_its_person_and_no_event_counts_twice(
    server: RunningWebServer, incident: Incident
) -> None:
    service = server.app.incident_service
    event = an_event(incident_key=incident.id)
    assert [deliver(server, event).status_code for _ in range(3)] == [200] * 3
    assert entries_via(server, incident) == [("acknowledged", "ada", "pagerduty")]
    service.execute(incident.id, person("ada"), Resolve("done", anyway=True))
    service.execute(incident.id, person("ada"), Reopen("it is back"))
    assert deliver(server, event).status_code == 200, "an old delivery, long after"
    assert now_of(server, incident).status is IncidentStatus.REOPENED
    # What our own integration has caused there comes back, too.
    echo = an_event(incident_key=incident.id, agent={"id": "P1", "type": "inbound_integration_reference"})
    assert deliver(server, echo).status_code == 200
    assert now_of(server, incident).status is IncidentStatus.REOPENED


def test_what_still_fires_is_not_resolved_by_pagerduty_and_the_timeline_says_why(
    server: RunningWebServer, incident: Incident
) -> None:
    stranger = {"id": "PNOBODY", "type": "user_reference", "summary": "Earline Greenholt"}
    body = an_event("incident.resolved", agent=stranger, incident_key=incident.id)
    assert [deliver(server, body).status_code for _ in range(2)] == [200, 200]
    assert now_of(server, incident).status.is_open
    notes = [row for row in server.app.incident_service.records.entries(incident.id) if row.kind == "noted"]
    assert [row.actor for row in notes] == ["Earline Greenholt (pagerduty)"]
    assert "still open here" in notes[0].data["text"]
    assert deliver(server, an_event(incident_key="of-another-service")).status_code == 200


def test_who_is_on_call_is_a_calendar_for_whoever_has_its_address(server: RunningWebServer) -> None:
    before = dict(server.project.document["response"])
    rotation = {"id": "primary", "members": ["ada", "ben"], "start": "2026-01-05", "hours": 12}
    server.project.document["response"] = {**before, "rotations": [rotation], "dashboardUrl": server.url}
    server.project.write()
    until(lambda: server.app.configuration.response.rotations, 20)
    url = server.client().get("/api/v1/on-call/feeds/primary").json()["url"]
    stranger = server.client(None)
    answer = stranger.get(url)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/calendar; charset=utf-8")
    assert answer.text.startswith("BEGIN:VCALENDAR\r\n")
    assert "SUMMARY:On call: ada (primary)" in answer.text
    for wrong in (url[:-1], url.replace("primary", "other"), url.partition("?")[0], f"{url.partition('=')[0]}=ö"):
        assert stranger.get(wrong).status_code == 404
    assert stranger.get("/on-call", follow_redirects=False).status_code == 303, "the page is another matter"
    assert server.client().get("/api/v1/on-call/feeds/nothing").status_code == 404
    server.project.document["response"] = before
    server.project.write()
