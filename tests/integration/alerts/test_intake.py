"""The intake over HTTP: a process of its own, killed where it hurts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
import sqlalchemy as sa

from orchestration.alerts.webhook_auth import sign
from orchestration.clock import FakeClock
from orchestration.events import Event, EventBus
from orchestration.storage.database import Database
from tests.support.alerts import Bench
from tests.support.intake import ALERTMANAGER, BEARER, WEBHOOK, RunningIntake, a_webhook, one, running_intake
from tests.support.intake_process import SECRET, SETTINGS, application
from tests.support.patience import patient


@pytest.fixture(scope="module")
def intake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningIntake]:
    with running_intake(tmp_path_factory.mktemp("intake") / "orchestrator.db") as running:
        yield running


@pytest.fixture(autouse=True)
def _empty(intake: RunningIntake) -> None:
    with intake.database.write() as connection:
        connection.execute(sa.text("DELETE FROM alert_inbox"))


def test_what_is_answered_with_success_is_in_the_database(intake: RunningIntake) -> None:
    answer = intake.post(ALERTMANAGER, a_webhook(one(), one("resolved", fingerprint="aa")))
    assert (answer.status_code, answer.json()) == (200, {"accepted": 2})
    (delivery,) = intake.inbox.list(10)
    assert delivery.source == "alertmanager"
    assert [notice["firing"] for notice in delivery.notices] == [True, False]


@pytest.mark.parametrize("path", [ALERTMANAGER, WEBHOOK])
@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        (b"{", 400, "JSON"),
        (b"\xff\xfe", 400, "JSON"),
        (b"[" * 100_000, 400, "JSON"),
        (b'{"alerts": NaN}', 400, "NaN"),
        (b"[]", 400, "an object in the body, got a list"),
        (b'"hello"', 400, "an object"),
        (b'{"version": "4", "alerts": 7}', 400, "a list in alerts"),
        (b'{"version": "4", "alerts": [7]}', 400, "alerts[0]"),
        (b" " * (SETTINGS.max_bytes + 1), 413, "bytes"),
    ],
)
def test_garbage_is_refused_with_a_reason_and_nothing_is_written(
    intake: RunningIntake, path: str, body: bytes, status: int, word: str
) -> None:
    answer = httpx2.post(intake.url + path, content=body, headers=BEARER, timeout=patient(30))
    assert answer.status_code == status
    assert word in answer.json()["error"]
    assert intake.inbox.count() == 0


def test_a_body_without_an_end_is_cut_off_at_the_limit(intake: RunningIntake) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(SETTINGS.max_bytes // 65_536 + 2):
            yield b" " * 65_536

    assert httpx2.post(intake.url + WEBHOOK, content=endless(), headers=BEARER, timeout=patient(30)).status_code == 413


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "let-me-in-please"},
        {"Authorization": "Basic let-me-in-please"},
        {"X-Orchestrator-Signature": "sha256=00"},
    ],
)
def test_nothing_is_accepted_without_valid_credentials(intake: RunningIntake, headers: dict[str, str]) -> None:
    answer = intake.post(ALERTMANAGER, a_webhook(one()), headers=headers)
    assert answer.status_code == 401
    signed = "X-Orchestrator-Signature" in headers
    expected = "expected Unix seconds in x-orchestrator-timestamp" if signed else "header is required"
    assert expected in answer.json()["error"]
    assert intake.inbox.count() == 0


async def test_a_bad_token_is_a_failed_sign_in_and_a_good_one_is_not(database: Database) -> None:
    bus = EventBus(FakeClock())
    heard: list[Event] = []
    bus.subscribe(heard.append)
    app = httpx2.ASGITransport(application(database, bus=bus), client=("10.0.0.9", 1))
    async with httpx2.AsyncClient(transport=app, base_url="http://intake") as client:
        for headers in (BEARER, {"Authorization": "Bearer guess"}, {}):
            await client.post(ALERTMANAGER, json=a_webhook(one()), headers=headers)
    assert [(one_of.kind, one_of.data["source"]) for one_of in heard] == [("sign_in.failed", "10.0.0.9")] * 2
    assert "guess" not in repr(heard)


def test_a_signed_body_gets_in_and_a_changed_or_an_old_one_does_not(intake: RunningIntake) -> None:
    def post(age: int, body: bytes, signed: bytes) -> int:
        stamp = int(time.time()) - age
        headers = {"X-Orchestrator-Timestamp": str(stamp), "X-Orchestrator-Signature": sign(SECRET, stamp, signed)}
        return httpx2.post(intake.url + WEBHOOK, content=body, headers=headers, timeout=patient(30)).status_code

    body = json.dumps({"name": "disk", "labels": {"host": "a"}}).encode()
    assert post(0, body, body) == 200
    assert post(0, body + b" ", body) == 401
    assert post(3600, body, body) == 401
    assert post(-3600, body, body) == 401
    assert intake.inbox.count() == 1


def test_many_senders_at_once_are_all_written(intake: RunningIntake) -> None:
    def send(number: int) -> int:
        return client.post(ALERTMANAGER, json=a_webhook(one(fingerprint=f"f{number}"))).status_code

    with (
        httpx2.Client(base_url=intake.url, headers=BEARER, timeout=patient(30)) as client,
        ThreadPoolExecutor(16) as pool,
    ):
        assert set(pool.map(send, range(64))) == {200}
    written = {notice["fingerprint"] for delivery in intake.inbox.list(100) for notice in delivery.notices}
    assert written == {f"f{number}" for number in range(64)}


def test_what_cannot_be_written_is_not_accepted(intake: RunningIntake) -> None:
    with intake.database.write() as connection:
        connection.execute(sa.text("ALTER TABLE alert_inbox RENAME TO inbox_away"))
    try:
        answer = intake.post(ALERTMANAGER, a_webhook(one()))
    finally:
        with intake.database.write() as connection:
            connection.execute(sa.text("ALTER TABLE inbox_away RENAME TO alert_inbox"))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "again" in answer.json()["error"]
    assert intake.post(ALERTMANAGER, a_webhook(one())).status_code == 200


def test_a_secret_in_an_alert_is_not_written(intake: RunningIntake) -> None:
    key = "ghp_" + "a1b2c3d4e5" * 4
    intake.post(ALERTMANAGER, a_webhook(one(annotations={"summary": f"token {key} is used"})))
    assert key not in repr(intake.inbox.list(1))
    assert "[redacted:github-token]" in repr(intake.inbox.list(1))


@pytest.mark.parametrize(("fault", "deliveries"), [("before-write", 0), ("after-write", 1)])
def test_killed_before_the_answer_nothing_that_was_accepted_is_lost(
    tmp_path: Path, fault: str, deliveries: int
) -> None:
    """A sender that got no answer sends again; the same alert twice is one alert."""
    file = tmp_path / "orchestrator.db"
    body = a_webhook(one())
    with running_intake(file, fault) as dying:
        with pytest.raises(httpx2.TransportError):
            dying.post(ALERTMANAGER, body)
        assert dying.process.wait(patient(10)) == 9
        assert dying.inbox.count() == deliveries
    with running_intake(file) as intake:
        assert intake.post(ALERTMANAGER, body).status_code == 200
        bench = Bench(intake.database)
        bench.evaluate()
        bench.evaluate()
        assert list(bench.reported()) == [("report", "external-alert:web-1")]
        assert len(bench.alerts.list()) == 1
        assert intake.inbox.count() == 0
