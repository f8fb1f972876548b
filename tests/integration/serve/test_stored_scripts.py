"""What strangers, agents and programs can write, shown on every page: no browser must act on any of it."""

from __future__ import annotations

import html.parser
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.routing import Route

from tests.support.web import RunningWebServer, a_web_server

MARK = "zqx7"
SCRIPT = f'"\'><script>{MARK}()</script><img src=x onerror={MARK}()><a href="javascript:{MARK}()">x</a>'
LINK = f"javascript:{MARK}()"
TOKEN = "a-token-of-the-intake-1"


class _Tags(html.parser.HTMLParser):
    """Elements and attributes that hold the mark where a browser would act on it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._acts = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._acts = tag in ("script", "style")
        for name, value in attrs:
            scheme = re.sub(r"[\x00-\x20]", "", value or "").lower().partition(":")[0]
            acts = name.startswith("on") or scheme in ("javascript", "data", "vbscript")
            if MARK in name or MARK in tag or (acts and MARK in (value or "")):
                self.found.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        if self._acts and MARK in data:
            self.found.append(data)
        self._acts = False


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningWebServer]:
    monkeypatch.setenv("INTAKE_TOKEN", TOKEN)
    settings = {
        "alerting": {"intake": {"tokenEnv": "INTAKE_TOKEN"}, "heartbeats": {"nightly": {"period": 3600}}},
    }
    with a_web_server(tmp_path / "project", settings=settings) as found:
        yield found


def test_no_page_runs_what_a_stranger_has_written(server: RunningWebServer) -> None:
    with server.client() as admin:
        plant(server, admin)
        pages = [*_pages(server), *_records(admin)]
        shown = {path: admin.get(path).text for path in pages}
    for path, text in shown.items():
        tags = _Tags()
        tags.feed(text)
        assert tags.found == [], path
    seen = {path for path, text in shown.items() if MARK in text}
    assert {"/", "/alerts", "/incidents", "/runs"} <= seen, "what was planted is shown at all"


def plant(server: RunningWebServer, admin: httpx2.Client) -> None:
    """Write the script into every field that somebody without a role, an agent or a program can fill."""
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    assert admin.post("/api/v1/intake/alertmanager", json=_alerts(), headers=bearer).status_code == 200
    assert admin.post("/heartbeat/nightly/fail", content=SCRIPT, headers=bearer).status_code == 200
    admin.post("/sign-in", data={"name": SCRIPT, "password": "a wrong password", "next": SCRIPT})
    made = admin.post("/api/v1/incidents", json={"title": SCRIPT, "impact": SCRIPT})
    assert made.is_success, made.text
    incident = made.json()["id"]
    assert admin.post(f"/api/v1/incidents/{incident}/notes", json={"text": SCRIPT}).is_success
    silence = {"matchers": [f'a="{MARK}<b>"'], "seconds": 60, "comment": SCRIPT}
    assert admin.post("/api/v1/silences", json=silence).is_success
    goal = {"goal": SCRIPT, "workspace": str(server.project.workspace)}
    assert admin.post("/api/v1/runs", json=goal).is_success


def _alerts() -> dict[str, Any]:
    labels = {"alertname": SCRIPT, "severity": "critical", "instance": SCRIPT}
    texts = {"summary": SCRIPT, "description": SCRIPT, "runbook_url": LINK, "dashboard": LINK}
    alert = {"status": "firing", "labels": labels, "annotations": texts, "startsAt": "2026-11-01T00:00:00Z",
             "endsAt": "0001-01-01T00:00:00Z", "generatorURL": LINK, "fingerprint": "0123456789abcdef"}  # fmt: skip
    return {
        "version": "4", "groupKey": SCRIPT, "truncatedAlerts": 0, "status": "firing", "receiver": SCRIPT,
        "groupLabels": labels, "commonLabels": labels, "commonAnnotations": texts, "externalURL": LINK,
        "alerts": [alert],
    }  # fmt: skip


def _pages(server: RunningWebServer) -> list[str]:
    with_a_body = (one for one in server.web.asgi.routes if isinstance(one, Route) and "GET" in (one.methods or ()))
    return [one.path for one in with_a_body if not re.search(r"\{|^/stream|^/metrics", one.path)]


def _records(admin: httpx2.Client) -> Iterator[str]:
    for kind in ("incidents", "runs"):
        for one in admin.get(f"/api/v1/{kind}").json()["items"]:
            yield f"/{kind}/{one['id']}"
