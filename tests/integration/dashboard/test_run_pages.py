"""The pages of a run beside its own: a call, its texts, the changes, a comparison, and the form that starts a run."""

from __future__ import annotations

import hashlib
import html
import json
import re

import pytest

from orchestration.security.principal import Principal, Role
from orchestration.storage.call_records import CallKind, CallRecord
from orchestration.storage.runs import Run
from tests.support.dashboard import Dashboard
from tests.support.dashboard_records import finished_run

HOSTILE = "</pre><script>alert(1)</script><img src=x onerror=alert(2)>"
VIEWER = Principal("vic", Role.VIEWER)


def recorded(dashboard: Dashboard, run: Run, *contents: str) -> list[str]:
    """Record a call of the run with these messages; returns the digests of their texts."""
    texts = [json.dumps({"role": "user", "content": content}) for content in contents]
    digests = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    messages = [{"role": "user", "digest": one, "size": len(text)} for one, text in zip(digests, texts, strict=True)]
    content = {"messages": messages, "answer": messages[-1], "failure": {"kind": "x", "message": HOSTILE}}
    now = dashboard.app.clock.now()
    record = CallRecord(f"{run.id}.planner/0", run.id, "planner", CallKind.MODEL, now, now, content)
    dashboard.app.calls.records.save([record], {run.id: dict(zip(digests, texts, strict=True))})
    return digests


def test_what_a_model_has_said_is_text_and_never_markup(dashboard: Dashboard) -> None:
    run = finished_run(dashboard.app, 901)
    (digest,) = recorded(dashboard, run, HOSTILE)
    page = dashboard.get(f"/runs/{run.id}/calls/planner/0")
    assert page.text.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 2
    assert "<script>alert" not in page.text
    assert "<img src=x" not in page.text
    text = dashboard.get(f"/runs/{run.id}/texts/{digest}")
    assert text.headers["content-type"].startswith("text/plain")
    assert text.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in text.headers["content-security-policy"]


def test_a_long_prompt_is_shown_in_part_and_linked_whole(dashboard: Dashboard) -> None:
    run = finished_run(dashboard.app, 902)
    digests = recorded(dashboard, run, *(f"message {number} begins {'x' * 50_000} ends" for number in range(60)))
    page = dashboard.get(f"/runs/{run.id}/calls/planner/0").text
    assert len(page) < 150_000
    assert all(f"/texts/{digest}" in page for digest in digests)
    assert "message 59 begins" in page
    assert "message 0 begins" not in page
    assert len(dashboard.get(f"/runs/{run.id}/texts/{digests[0]}").text) > 50_000


@pytest.mark.parametrize("path", ["calls/planner/99", "calls/x", "texts/0", "changes", "compare/run-none"])
def test_what_is_not_there_is_said_and_no_error(dashboard: Dashboard, run: Run, path: str) -> None:
    answer = dashboard.get(f"/runs/{run.id}/{path}")
    assert answer.status_code == (200 if path == "changes" else 404)
    assert dashboard.get(f"/runs/run-none/{path}").status_code == 404


def test_who_may_only_look_reads_calls_and_starts_no_run(dashboard: Dashboard, run: Run) -> None:
    (digest,) = recorded(dashboard, run, "a prompt")
    dashboard.principal = VIEWER
    assert dashboard.get(f"/runs/{run.id}/calls/planner/0").status_code == 200
    assert dashboard.get(f"/runs/{run.id}/texts/{digest}").status_code == 200
    assert dashboard.get("/runs/new").status_code == 403
    assert dashboard.post("/runs/new/start", goal="x", workspace="/tmp", priority="normal").status_code == 403
    assert "New run" not in dashboard.get("/runs").text
    dashboard.principal = None
    assert dashboard.get(f"/runs/{run.id}/calls/planner/0").status_code == 401
    assert dashboard.get(f"/runs/{run.id}/texts/{digest}").status_code == 401


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"goal": ""}, "expected a goal"),
        ({"workspace": "/nowhere/at/all"}, "expected a"),
        ({"priority": "urgent"}, "expected one of low, normal, high"),
        ({"usd": "nan"}, "expected a number from 0.01"),
        ({"tokens": "1.5"}, "expected a whole number"),
        ({"checks": "'open"}, "expected a command"),
        ({"agent": "nobody"}, "There is no agent"),
        ({"approve": "nobody"}, "There is no agent"),
        ({"provider": "nobody"}, "nobody"),
        ({"model": "rehearsal/nonsense"}, "The provider rehearsal has no model"),
        ({"model": "one/m", "provider": "rehearsal"}, "Choose one of both"),
        ({"place": "moon"}, "expected one of worktree and in-place"),
    ],
)
def test_a_run_is_refused_as_on_the_console_and_nothing_is_recorded(
    dashboard: Dashboard, fields: dict[str, str], said: str
) -> None:
    before = dashboard.app.runs.list(limit=1)
    usual = {"goal": "mend <it>", "workspace": str(dashboard.app.root), "priority": "normal"}
    answer = dashboard.post("/runs/new/start", **{**usual, **fields})
    assert answer.status_code == 422
    assert said in answer.text
    if "goal" not in fields:
        assert "mend &lt;it&gt;</textarea>" in answer.text
    assert dashboard.app.runs.list(limit=1) == before


def test_a_model_is_chosen_with_its_provider_and_the_command_says_the_same(dashboard: Dashboard) -> None:
    options = re.findall(r'<option value="(rehearsal/[^"]+)"', dashboard.get("/runs/new").text)
    assert options == ["rehearsal/rehearsal-1"]
    usual = {"goal": "mend it", "workspace": str(dashboard.app.root), "priority": "normal"}
    shown = html.unescape(dashboard.post("/runs/new/preview", **usual, model=options[0]).text)
    assert "--provider rehearsal --model rehearsal-1" in shown


def test_what_browsers_load_comes_compressed_where_they_take_it(dashboard: Dashboard) -> None:
    path = "/static/vendor/pico-2.1.1.min.css"
    small, whole = (dashboard.get(path, headers={"accept-encoding": how}) for how in ("gzip", "identity"))
    assert small.text == whole.text
    assert int(small.headers["content-length"]) < int(whole.headers["content-length"]) / 4
    assert small.headers["content-encoding"] == "gzip"
    assert {one.headers["vary"] for one in (small, whole)} == {"Accept-Encoding"}
    assert {one.headers["content-type"] for one in (small, whole)} == {"text/css; charset=utf-8"}
