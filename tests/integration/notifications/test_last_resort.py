from __future__ import annotations

import json
from datetime import time
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from orchestration import logs
from orchestration.clock import FakeClock, SystemClock
from orchestration.config.response import QuietHours, ResponseSettings
from orchestration.domain.severity import Severity
from orchestration.notifications.last_resort import LastResort, last_resort
from orchestration.security.redaction import Redactor
from orchestration.storage.outbox import SendOutcome
from tests.integration.notifications.conftest import SECRET
from tests.support.notices import NOON, a_contact, a_notice, a_response
from tests.support.patience import fail_after
from tests.support.receivers import Answer, HttpReceiver

REDACT = Redactor([SECRET]).data
P0 = a_notice(severity=Severity.P0, title="The database is corrupt", details=f"password was {SECRET}")


async def test_the_last_resort_tells_log_standard_error_and_everybody(
    tmp_path: Path, receiver: HttpReceiver, capsys: pytest.CaptureFixture[str]
) -> None:
    response = a_response({}, hook={"type": "webhook", "url": receiver.url})
    night = QuietHours(start=time(0), end=time(23, 59), severities=())
    contacts = (a_contact("ada", "hook", quiet_hours=night), a_contact("bob", "hook"))
    logging = logs.configure(tmp_path, "INFO", REDACT)
    try:
        done = await last_resort(P0, contacts, response, {}, FakeClock(NOON), REDACT)
    finally:
        logging.close()
    assert [each.outcome for each in done] == [SendOutcome.SENT] * 4
    subject = "[INCIDENT] [Severity: P0] The database is corrupt"
    assert {body["data"]["subject"] for body in receiver.bodies()} == {subject}
    block = capsys.readouterr().err
    assert subject in block
    assert "What to do now:\n  ollama serve" in block
    written = (tmp_path / "orchestrator.log").read_text()
    assert " ERROR notification.logged " in written
    for text in (block, written, json.dumps(receiver.bodies())):
        assert SECRET not in text
        assert "[redacted:credential]" in text


async def test_a_channel_that_hangs_or_refuses_delays_no_other(receiver: HttpReceiver, other: HttpReceiver) -> None:
    receiver.answer = Answer(delay=1)
    response = a_response(
        {},
        slow={"type": "webhook", "url": receiver.url, "timeout": 0.2},
        bad={"type": "slack", "url_env": "NOT_SET"},
        hook={"type": "webhook", "url": other.url},
    )
    with fail_after(0.9):
        done = await last_resort(P0, [a_contact("ada", "slow", "bad", "hook")], response, {}, SystemClock(), REDACT)
    assert [each.outcome for each in done[2:]] == [SendOutcome.FAILED, SendOutcome.FAILED, SendOutcome.SENT]
    assert [each.detail for each in done[2:4]] == [
        "slow did not accept the message within 0.2 s",
        "NOT_SET is not set; put NOT_SET=… into .env",
    ]


async def test_it_never_raises_whatever_is_wrong_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)

    def broken(_: object) -> object:
        raise ZeroDivisionError

    done = await last_resort(P0, [a_contact("ada", "log")], ResponseSettings(), {}, FakeClock(NOON), broken)
    assert {each.outcome for each in done} == {SendOutcome.FAILED}
    done = await last_resort(P0, [], ResponseSettings(), {}, FakeClock(NOON), REDACT)
    assert [each.outcome for each in done] == [SendOutcome.SENT, SendOutcome.FAILED]


async def test_a_caller_that_must_not_wait_does_not(receiver: HttpReceiver, capsys: pytest.CaptureFixture[str]) -> None:
    receiver.answer = Answer(delay=0.3)
    response = a_response({"ada": ("hook",)}, hook={"type": "webhook", "url": receiver.url})
    tell = LastResort(lambda: response.contacts, lambda: response, {}, SystemClock(), REDACT)
    tell(P0)
    assert [thread.is_alive() for thread in tell._threads] == [True]
    await anyio.to_thread.run_sync(tell.close)
    assert len(receiver.received) == 1


def test_without_a_configuration_the_log_and_the_console_are_notified(capsys: pytest.CaptureFixture[str]) -> None:
    tell = LastResort(lambda: {}["gone"], lambda: {}["gone"], {}, SystemClock(), REDACT)
    tell(P0)
    tell.close()
    assert "[INCIDENT] [Severity: P0] The database is corrupt" in capsys.readouterr().err


async def test_whom_it_has_reached_is_known_and_whom_it_has_not_is_not(receiver: HttpReceiver) -> None:
    response = a_response({}, hook={"type": "webhook", "url": receiver.url})
    contacts = (a_contact("ada", "hook"), a_contact("bob", "none"))
    last = LastResort(lambda: contacts, lambda: response, {}, SystemClock(), REDACT)
    last(P0)
    reached = await anyio.to_thread.run_sync(last.reached, P0.incident_id)
    assert ("ada", "hook") in reached
    assert not {who for who, _ in reached} & {"bob"}
    assert last.reached("another") == frozenset()
