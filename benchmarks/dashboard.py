"""How long the dashboard's pages take on the server with 10,000 runs and 100,000 timeline rows, and what many open
pages cost: `python -m benchmarks.dashboard`. Prints one line of JSON for each page."""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import sqlalchemy as sa

from orchestration.domain.run_status import RunStatus
from orchestration.events import Event
from orchestration.incidents.report import Facts
from orchestration.storage import tables
from tests.support.dashboard import Dashboard, a_dashboard
from tests.support.dashboard_records import declare, fill, finished_run
from tests.support.project import ProjectFolder

RUNS, ROWS, LISTENERS, TIMES = 10_000, 100_000, 200, 15


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = ProjectFolder(Path(folder) / "project", {})
        with a_dashboard(project.configuration_file) as dashboard:
            incidents = fill(dashboard.app)
            long = seed(dashboard)
            pages = ["/", "/runs", "/runs?status=unfinished", f"/runs?before={middle()}", f"/runs/{long}", "/incidents"]
            pages += [f"/incidents/{incidents['worst'].id}", "/alerts", "/providers", "/resources", "/figures"]
            for page in (*pages, "/configuration"):
                print(json.dumps({"page": page, **timed(dashboard, page)}))
            print(json.dumps(listening(dashboard)))


def seed(dashboard: Dashboard) -> str:
    """10,000 runs; one of them owns half of the timeline."""
    app, now = dashboard.app, dashboard.app.clock.now()
    statuses = [RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.STOPPED, RunStatus.SUCCEEDED]
    rows: list[dict[str, Any]] = [
        {
            "id": name(number), "goal": f"goal {number}", "status": statuses[number % 4].value, "reason": "",
            "workspace": "/tmp", "priority": "normal", "origin": "", "options": {},
            "created_at": now - timedelta(seconds=10 * (RUNS - number)),
        }
        for number in range(RUNS)
    ]  # fmt: skip
    with app.database.write() as connection:
        connection.execute(sa.insert(tables.runs), rows)
    long = finished_run(app, 1, calls=ROWS // 2)
    template = app.timeline.list_newest(long.id, limit=1)[0][1]
    rest = [
        Event("tool_call.finished", now, name(number % RUNS), "executor", data=template.data)
        for number in range(ROWS // 2)
    ]
    app.timeline.append(rest)
    for number in range(50):
        declare(app, f"key-{number}", f"trouble {number}", Facts(agents_failing=1, agents_total=4))
    return long.id


def name(number: int) -> str:
    return f"run-{number:013d}"


def middle() -> str:
    return name(RUNS // 2)


def timed(dashboard: Dashboard, page: str) -> dict[str, object]:
    """Milliseconds of a page over a connection that is kept."""
    took = []
    with httpx2.Client(base_url=dashboard.url, timeout=60) as client:
        for _ in range(TIMES):
            begun = time.perf_counter()
            answer = client.get(page)
            took.append((time.perf_counter() - begun) * 1000)
            assert answer.status_code == 200, answer.text
    return {"median_ms": round(statistics.median(took)), "most_ms": round(max(took)), "bytes": len(answer.content)}


def listening(dashboard: Dashboard) -> dict[str, object]:
    """How soon so many open pages hear of an event."""
    heard: list[float] = []
    ready = threading.Barrier(LISTENERS + 1)

    def listen() -> None:
        with httpx2.stream("GET", f"{dashboard.url}/stream?of=run", timeout=60) as answer:
            lines = answer.iter_lines()
            next(lines)
            ready.wait()
            for line in lines:
                if line.startswith("event:"):
                    heard.append(time.perf_counter())
                    return

    threads = [threading.Thread(target=listen) for _ in range(LISTENERS)]
    for thread in threads:
        thread.start()
    ready.wait()
    begun = time.perf_counter()
    dashboard.app.bus.emit("run.created", run_id="run-1", goal="g", priority="normal", origin="")
    for thread in threads:
        thread.join()
    waits = sorted(at - begun for at in heard)
    return {"listeners": len(waits), "median_s": round(statistics.median(waits), 2), "last_s": round(waits[-1], 2)}


if __name__ == "__main__":
    main()
