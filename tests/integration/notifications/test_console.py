from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from orchestration.cli import cli
from orchestration.errors import NotFoundError
from tests.support.receivers import Answer, HttpReceiver, mail_server


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """Run the console command in a project with this `response`."""

    def run(response: dict[str, Any], *arguments: str) -> Result:
        file = tmp_path / "config" / "agents.config.json"
        file.parent.mkdir(exist_ok=True)
        runtime = {"defaultProvider": "rehearsal", "rehearsal": {}}
        file.write_text(json.dumps({"runtime": runtime, "response": response}))
        return CliRunner().invoke(cli, ["--config", str(file), "contacts", *arguments], standalone_mode=False)

    return run


def test_a_fresh_machine_tells_its_operator(run: Any) -> None:
    result = run({}, "test", "--json")
    assert result.return_value == 0
    assert [(each["contact"], each["channel"], each["outcome"]) for each in json.loads(result.stdout)] == [
        ("operator", "log", "sent"),
        ("operator", "console", "sent"),
    ]
    assert "[TEST] [Severity: P3] A message to test this channel" in result.stderr


def test_contacts_are_really_sent_to_and_each_is_proved(run: Any, receiver: HttpReceiver) -> None:
    with mail_server() as (mailbox, port):
        response = {
            "channels": {
                "mail": {"type": "email", "host": "127.0.0.1", "port": port, "tls": "none", "sender": "p@example.org"},
                "hook": {"type": "webhook", "url": receiver.url},
            },
            "contacts": [
                {"id": "ada", "level": 1, "channels": [{"channel": "mail", "address": "ada@example.org"}]},
                {"id": "bob", "level": 2, "channels": [{"channel": "hook"}]},
            ],
        }
        receiver.answer = Answer(403, "no")
        result = run(response, "test")
        assert result.return_value == 1, "one of them failed"
        lines = [line.split() for line in result.stdout.splitlines()]
        assert lines[1][:3] == ["ada", "mail", "sent"]
        assert lines[2][:3] == ["bob", "hook", "failed"]
        assert "answered 403: no" in result.stdout
        assert mailbox.mails[0]["Subject"].startswith("[TEST]")

        receiver.answer = Answer()
        result = run(response, "test", "bob", "--json")
        assert (result.return_value, len(mailbox.mails), len(receiver.received)) == (0, 1, 2)
        assert run(response, "test", "--channel", "mail").return_value == 0
        assert (len(mailbox.mails), len(receiver.received)) == (2, 2)

        listed = json.loads(run(response, "list", "--json").stdout)
        assert [(each["contact"], each["level"], each["state"], each["last"]["outcome"]) for each in listed] == [
            ("ada", 1, "ready", "sent"),
            ("bob", 2, "ready", "sent"),
        ]


def test_a_channel_that_cannot_be_used_is_listed_and_fails_its_test(run: Any) -> None:
    response = {
        "channels": {
            "chat": {"type": "slack", "urlEnv": "NOT_SET_ANYWHERE"},
            "off": {"type": "slack", "url": "https://chat.example", "enabled": False},
        },
        "contacts": [{"id": "ada", "channels": [{"channel": name} for name in ("chat", "off", "log")]}],
        "audience": {"P1": ["ada"]},
    }
    result = run(response, "list")
    assert "not set: NOT_SET_ANYWHERE" in result.stdout
    assert "switched off" in result.stdout
    result = run(response, "test", "--json")
    assert result.return_value == 1
    details = {each["channel"]: (each["outcome"], each["detail"]) for each in json.loads(result.stdout)}
    assert details["off"] == ("failed", "switched off")
    assert details["chat"] == ("failed", "NOT_SET_ANYWHERE is not set; put NOT_SET_ANYWHERE=… into .env")
    assert details["log"] == ("sent", "")


@pytest.mark.parametrize(("arguments", "advice"), [(("eve",), "operator"), (("--channel", "pigeon"), "console, log")])
def test_an_unknown_name_is_refused_with_the_known_ones(run: Any, arguments: tuple[str, ...], advice: str) -> None:
    result = run({}, "test", *arguments)
    assert isinstance(result.exception, NotFoundError)
    assert advice in str(result.exception)
