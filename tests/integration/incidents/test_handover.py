"""A change of shift under a server's process: those whom it concerns get one message."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestration.app import application
from orchestration.app.handover import HandOverNotifier
from orchestration.storage.outbox import Outbox
from tests.integration.incidents.test_console import Console


async def test_both_get_what_is_open_once_whichever_process_looks(tmp_path: Path) -> None:
    console = Console(tmp_path)
    people = [{"id": name, "level": 1, "channels": [{"channel": "log"}]} for name in ("ada", "ben")]
    began = datetime.now(UTC) - timedelta(hours=1)
    rotation = {"id": "primary", "members": ["ada", "ben"], "start": f"{began - timedelta(days=1):%Y-%m-%d}", "days": 1}
    console.configure(contacts=people, rotations=[{**rotation, "handOver": f"{began:%H:%M}"}])
    async with application(str(console.config)) as app:
        for _ in range(2):
            notifier = HandOverNotifier(app, Outbox(app.database))
            notifier.notify()
            notifier.notify()
        rows = [row for row in Outbox(app.database).list_pending() if row.kind == "report"]
        assert [row.contact for row in rows] == ["ada", "ben"]
        assert f"P1 {console.incident.id}: executor fails" in rows[0].payload["body"]
        assert rows[0].payload["subject"] == "[REPORT] On call for primary: ben"
