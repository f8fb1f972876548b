"""How long the dashboard's pages take on the server with 10,000 runs, 1,000,000 incidents and 100,000 rows of the runs'
timeline, and what many open pages cost: `python -m benchmarks.dashboard`. Prints one line of JSON for each page."""

from __future__ import annotations

import json
import math
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import sqlalchemy as sa

from benchmarks.arguments import arguments
from benchmarks.incident_records import SPAN, a_desk, make_samples, multiply
from orchestration.domain.run_status import RunStatus
from orchestration.events import Event
from orchestration.incidents.report import Facts
from orchestration.incidents.statistics import Statistics
from orchestration.storage import tables
from orchestration.storage.incidents.figures import IncidentFigures
from tests.support.dashboard import Dashboard, a_dashboard
from tests.support.dashboard_records import declare, fill, finished_run
from tests.support.project import ProjectFolder

INCIDENTS, RUNS, ROWS, LISTENERS, TIMES = 1_000_000, 10_000, 100_000, 200, 20
_SETTLING_SECONDS = 10


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        project = ProjectFolder(Path(folder) / "project", {})
        make_incidents(Path(folder) / "project" / "var")
        with a_dashboard(project.configuration_file) as dashboard:
            known = fill(dashboard.app)["taken"].id
            long = seed(dashboard)
            Statistics(IncidentFigures(dashboard.app.database)).build_rollups(dashboard.app.clock.now())
            # What the process does at its start is no part of a page.
            time.sleep(_SETTLING_SECONDS)
            for page in pages(known, long):
                print(json.dumps({"page": page, **timed(dashboard, page)}), flush=True)
            print(json.dumps(listening(dashboard)))


def make_incidents(folder: Path) -> None:
    """A million of them over the last year, the newest of an hour ago; one in a hundred is open."""
    folder.mkdir(parents=True)
    begin = datetime.now(UTC) - SPAN - timedelta(days=2)
    with a_desk(folder, begin) as (database, service, clock):
        make_samples(service, clock)
        multiply(database, INCIDENTS)


def pages(incident: str, run: str) -> list[str]:
    """Every page that shows records, and the lists as their filters and cursors show them."""
    return [
        "/", "/runs", "/runs?status=unfinished", "/runs?status=failed", f"/runs?before={name(RUNS // 2)}",
        f"/runs/{run}", f"/runs/{name(1)}", "/runs/new", f"/runs/{name(1)}/compare/{name(2)}",
        "/incidents", "/incidents?severity=P1&scenario=security-alert", "/incidents?range=7+d",
        f"/incidents/{incident}", "/search?q=trouble", "/search?q=goal+77", "/search?q=unheard-of", "/on-call",
        "/alerts", "/playbooks", "/drills", "/figures", "/figures?range=7+d", "/figures?range=365+d",
        "/figures?scenario=security-alert", "/figures.csv", "/providers", "/resources", "/resources?range=7d",
        "/maintenance", "/configuration", "/audit",
    ]  # fmt: skip


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


def timed(dashboard: Dashboard, page: str) -> dict[str, object]:
    """Milliseconds of a page over a connection that is kept: the processor's, which other work on the machine does not
    change, and those that passed. The first call, which fills caches, does not count."""
    worked, passed = [], []
    with httpx2.Client(base_url=dashboard.url, timeout=120) as client:
        for _ in range(TIMES + 1):
            begun, work = time.perf_counter(), time.process_time()
            answer = client.get(page)
            worked.append((time.process_time() - work) * 1000)
            passed.append((time.perf_counter() - begun) * 1000)
            assert answer.status_code == 200, f"{page}: {answer.status_code} {answer.text[-500:]}"
    return {
        "processor_p95_ms": round(p95(worked[1:]), 1),
        "p95_ms": round(p95(passed[1:]), 1),
        "first_ms": round(worked[0]),
        "bytes": len(answer.content),
    }


def p95(values: Sequence[float]) -> float:
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


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
    arguments(__doc__).parse_args()
    main()
