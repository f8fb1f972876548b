"""What the agents of a run do now, over the API: asked for once, and as a stream."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

from orchestration.domain.run_status import RunStatus
from orchestration.ids import new_id
from tests.support.patience import patient
from tests.support.web import RunningWebServer
from tests.support.work_in_progress import a_run_at_work, beat_of


def reports(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        if line.startswith("data: "):
            yield json.loads(line[6:])


def test_the_progress_of_a_run_is_streamed_to_its_end(server: RunningWebServer) -> None:
    run = a_run_at_work(server.app, new_id("run", server.app.clock.now().timestamp()))
    client = server.client()
    asked = client.get(f"/api/v1/runs/{run.id}/progress").json()
    (agent,) = asked["agents"]
    assert (agent["agent"], agent["phase"], agent["text"]) == ("executor", "answering", "a/m answers: 100 tokens")
    assert (agent["tail"], agent["lost_seconds"]) == ("Now I count <b>to</b>\ntwo.", None)
    assert 30 <= agent["seconds"] <= 30 + patient(5)
    assert [step["state"] for step in asked["steps"]] == ["done", "running", "waiting"]
    with client.stream("GET", f"/api/v1/runs/{run.id}/progress/stream") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        stream = reports(answer.iter_lines())
        assert next(stream)["agents"][0]["tokens"] == 100
        beat_of(server.app, run, 200, "three")
        changed = next(one for one in stream if one["agents"][0]["tokens"] == 200)
        assert changed["agents"][0]["tail"] == "three"
        # Nothing is new but the seconds.
        assert next(stream)["agents"][0]["seconds"] > changed["agents"][0]["seconds"]
        threading.Timer(0.5, server.app.runs.set_status, (run.id, RunStatus.CANCELLED)).start()
        rest = list(stream)
    assert (rest[-1]["status"], rest[-1]["agents"], rest[-1]["steps_done"]) == ("cancelled", [], 1)
    assert client.get("/api/v1/runs/run-nowhere/progress/stream").status_code == 404
