from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestration.config.credentials import EnvironmentCredentials
from orchestration.config.findings import ConfigFinding
from orchestration.config.loader import ConfigLoader, LoadedConfiguration

GOOD: dict[str, Any] = {
    "channels": {
        "mail": {"type": "email", "host": "mail.example.org", "sender": "pager@example.org"},
        "chat": {"type": "slack", "urlEnv": "CHAT_HOOK"},
        "spare": {"type": "pagerduty"},
    },
    "contacts": [
        {"id": "ada", "level": 1, "channels": [{"channel": "mail", "address": "ada@example.org"}, {"channel": "chat"}]},
        {"id": "bob", "level": 2, "timeZone": "Europe/Vienna", "channels": [{"channel": "chat"}]},
        {"id": "cyd", "level": 3, "channels": [{"channel": "log"}]},
    ],
    "rotations": [{"id": "on-call", "members": ["ada", "bob"], "start": "2026-01-05"}],
    "audience": {"P1": ["on-call", "level-2"], "P2": ["on-call"]},
}
Change = Callable[[dict[str, Any]], object]


def load(
    tmp_path: Path, change: Change = lambda _: None, variables: tuple[str, ...] = ("CHAT_HOOK",)
) -> LoadedConfiguration:
    response = copy.deepcopy(GOOD)
    change(response)
    runtime = {"defaultProvider": "rehearsal", "rehearsal": {}}
    text = json.dumps({"runtime": runtime, "response": response}, indent=1)
    return ConfigLoader(tmp_path / "config" / "agents.config.json").parse(text, variables)


def codes(findings: tuple[ConfigFinding, ...]) -> list[tuple[str, str]]:
    return [(finding.code.value, finding.path.removeprefix("response.")) for finding in findings]


def put(group: str, index: int, **values: Any) -> Change:
    return lambda response: response[group][index].update(values)


def channel(name: str, **values: Any) -> Change:
    return lambda response: response["channels"].setdefault(name, {}).update(values)


def channels(contact: int, *names: str, **more: str) -> Change:
    return put("contacts", contact, channels=[{"channel": name, **more} for name in names])


def escalation(**level: Any) -> Change:
    return lambda response: response.update(escalation={"levels": [{"level": 1, **level}]})


def shifts(*pairs: tuple[str, str]) -> Change:
    overrides = [{"contact": "bob", "start": start, "end": end} for start, end in pairs]
    return put("rotations", 0, overrides=overrides)


MORNING, NOON, EVENING = "2026-01-05T09:00:00Z", "2026-01-05T12:00:00Z", "2026-01-05T18:00:00Z"


def test_good_contacts_have_no_finding(tmp_path: Path) -> None:
    assert load(tmp_path).findings == ()


def test_no_contact_at_all_is_good_too(tmp_path: Path) -> None:
    assert load(tmp_path, lambda response: response.clear(), ()).findings == ()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (put("contacts", 1, id="ada"), ("E040", "contacts[1].id")),
        (put("rotations", 0, id="ada"), ("E040", "rotations[0].id")),
        (channels(2, "lgo", "log"), ("E041", "contacts[2].channels[0].channel")),
        (put("rotations", 0, members=["ada", "bbo"]), ("E042", "rotations[0].members[1]")),
        (lambda r: r["audience"].update(P0=["eva"]), ("E042", "audience.P0[0]")),
        (escalation(targets=["eva"]), ("E042", "escalation.levels[0].targets[0]")),
        (lambda r: r["channels"]["mail"].pop("host"), ("E043", "channels.mail.host")),
        (lambda r: r["channels"]["chat"].pop("urlEnv"), ("E043", "channels.chat.urlEnv")),
        (channels(0, "mail", "chat", address="ada"), ("E044", "contacts[0].channels[0].address")),
        (channels(0, "mail", "log"), ("E044", "contacts[0].channels[0].address")),
        (channel("mail", sender="pager"), ("E044", "channels.mail.sender")),
        (channel("chat", url="ftp://x"), ("E045", "channels.chat.url")),
        (lambda r: r.update(dashboardUrl="ops.example.org"), ("E051", "dashboardUrl")),
        (channels(2), ("E046", "contacts[2].channels")),
        (lambda r: r["audience"].update(P0=[]), ("E048", "audience.P0")),
        (lambda r: r["audience"].update(P1=["level-4"]), ("E048", "audience.P1")),
        (put("contacts", 0, id="everyone"), ("E049", "contacts[0].id")),
        (channel("console", type="slack"), ("E049", "channels.console")),
        (shifts((NOON, MORNING)), ("E050", "rotations[0].overrides[0]")),
        (shifts((NOON, "2026-01-05T18:00:00")), ("E050", "rotations[0].overrides[0]")),
        (put("contacts", 2, level=4), ("W031", "escalation.levels[2]")),
        (shifts((MORNING, EVENING), (NOON, EVENING)), ("W032", "rotations[0].overrides[1]")),
        (channels(2, "log", "log"), ("W033", "contacts[2].channels[1]")),
        (channel("chat", enabled=False), ("W034", "contacts[0].channels[1].channel")),
        (channel("mail", tls="none", username="pager"), ("W035", "channels.mail.tls")),
    ],
)  # fmt: skip
def test_every_mistake_that_could_keep_a_page_from_a_contact_is_found(
    tmp_path: Path, change: Change, expected: tuple[str, str]
) -> None:
    assert expected in codes(load(tmp_path, change).findings)


def test_shifts_that_meet_do_not_overlap(tmp_path: Path) -> None:
    assert load(tmp_path, shifts((MORNING, NOON), (NOON, EVENING))).findings == ()


def test_a_variable_that_is_not_set_is_a_warning_while_another_channel_works(tmp_path: Path) -> None:
    found = codes(load(tmp_path, variables=()).findings)
    assert ("W030", "contacts[0].channels[1].channel") in found
    assert ("E046", "contacts[1].channels") in found, "bob has no other"
    assert not [code for code, path in found if code == "E046" and path.startswith("contacts[0]")]


def test_a_channel_that_nobody_uses_may_be_unfinished(tmp_path: Path) -> None:
    assert load(tmp_path, channel("mail2", type="email")).findings == ()


def test_each_finding_says_where_and_what_to_do(tmp_path: Path) -> None:
    (finding,) = load(tmp_path, channels(2)).findings
    assert finding.line > 1
    assert "no page would reach" in finding.message
    assert finding.hint


def test_the_secrets_of_channels_are_kept_like_those_of_providers(tmp_path: Path) -> None:
    configuration = load(tmp_path).usable()
    credentials = EnvironmentCredentials(
        env_file={"CHAT_HOOK": "https://chat.example/services/abc", "OTHER": "harmless"}
    )
    assert "https://chat.example/services/abc" in credentials.secrets(configuration)
    assert "harmless" not in credentials.secrets(configuration)
