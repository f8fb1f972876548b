"""Signed links in messages: what they are bound to, who gets them, and where their key is."""

from __future__ import annotations

import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from orchestration.app.doctor import links as doctor
from orchestration.app.message_links import MessageLinks
from orchestration.config.channels.settings import ChannelSettings
from orchestration.config.credentials import EnvironmentCredentials
from orchestration.config.response import Contact, ContactAddress, ResponseSettings
from orchestration.config.schema import Configuration
from orchestration.domain.channel_kind import ChannelKind
from orchestration.domain.message_verb import MessageVerb
from orchestration.notifications.message_links import (
    ANSWER_PATH,
    InvalidLinkError,
    LinkClaim,
    link_id,
    read,
    sign,
    verbs_of,
    with_links,
)
from orchestration.notifications.notice import NoticeKind
from orchestration.notifications.recipients import message_row
from orchestration.security.link_key import load_or_create
from orchestration.security.redaction import Redactor
from tests.support.incidents import NOON
from tests.support.notices import a_notice

KEY = b"k" * 40
CLAIM = LinkClaim("inc-01j8abcd12efgh34", MessageVerb.ACKNOWLEDGE, ("ada",), "mail", NOON)
CLAIMS = st.builds(
    LinkClaim,
    st.from_regex(r"inc-[a-z0-9]{8,32}", fullmatch=True),
    st.sampled_from(MessageVerb),
    st.lists(st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,30}", fullmatch=True), min_size=1, max_size=8).map(tuple),
    st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", fullmatch=True),
    st.integers(1_600_000_000, 7_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
)


@given(CLAIMS)
def test_a_link_says_what_it_was_made_for(claim: LinkClaim) -> None:
    assert read(sign(claim, KEY), KEY) == claim


@given(CLAIMS, st.data())
def test_a_link_that_differs_in_one_character_is_none(claim: LinkClaim, data: st.DataObject) -> None:
    token = sign(claim, KEY)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from("AQgw-_z0=. é"))
    assume(token[at] != other)
    for wrong in (token[:at] + other + token[at + 1 :], token[:at], token + other):
        with pytest.raises(InvalidLinkError):
            read(wrong, KEY)
    with pytest.raises(InvalidLinkError):
        read(token, b"another key of the same length as that of ours")


@given(st.text(max_size=2000), st.binary(max_size=200))
def test_nothing_else_is_a_link(text: str, key: bytes) -> None:
    for token in (text, f"orclink_{text}"):
        with pytest.raises(InvalidLinkError):
            read(token, key)


def test_only_an_open_incident_is_answered_and_a_link_is_found_by_redaction() -> None:
    assert verbs_of(a_notice()) == tuple(MessageVerb)
    none = {kind for kind in NoticeKind if not verbs_of(a_notice(kind))}
    assert none >= {NoticeKind.RESOLVED, NoticeKind.CANCELLED, NoticeKind.MERGED, NoticeKind.REPORT}
    assert verbs_of(a_notice(NoticeKind.REMINDER, duration=timedelta(hours=1))) == ()
    token = sign(CLAIM, KEY)
    hidden = Redactor().text(f"see https://ops.example.org{ANSWER_PATH}{token}, now")
    assert hidden == f"see https://ops.example.org{ANSWER_PATH}[redacted:orchestrator-token], now"
    assert link_id(token) not in token


HOOK = ContactAddress(channel="hook")
ADA = Contact(id="ada", channels=(HOOK, ContactAddress(channel="log")))
RESPONSE = ResponseSettings(
    contacts=(ADA,),
    channels={"hook": ChannelSettings(type=ChannelKind.WEBHOOK, url="http://hook.example", url_env="HOOK")},
    dashboard_url="https://ops.example.org/agents/",
)


def links(response: ResponseSettings = RESPONSE, channel: str = "hook", contact: str = "ada") -> list[str]:
    row = message_row(a_notice(), Contact(id=contact), ContactAddress(channel=channel), "initial", NOON)
    found = MessageLinks(lambda: response, KEY.decode).of_message(row, a_notice(), NOON)
    body = with_links("text", found)
    assert all(link.url in body for link in found)
    return [link.url for link in found]


def test_each_recipient_gets_links_of_their_own_which_last_a_day() -> None:
    first, *_ = links()
    assert first.startswith(f"https://ops.example.org/agents{ANSWER_PATH}orclink_")
    claim = MessageLinks(lambda: RESPONSE, KEY.decode).read(first.rpartition("/")[2])
    expected = LinkClaim(a_notice().incident_id, MessageVerb.ACKNOWLEDGE, ("ada",), "hook", NOON + timedelta(days=1))
    assert claim == expected


def test_those_who_share_a_message_share_its_links() -> None:
    people = [Contact(id=f"person-{number}", channels=(HOOK,)) for number in range(9)]
    response = RESPONSE.model_copy(update={"contacts": tuple(people)})
    made = MessageLinks(lambda: response, KEY.decode)

    def shared(count: int) -> list[tuple[str, ...]]:
        row = message_row(a_notice(), people[0], HOOK, "initial", NOON, also=people[1:count])
        return [made.read(link.url.rpartition("/")[2]).contacts for link in made.of_message(row, a_notice(), NOON)]

    assert shared(8) == [tuple(each.id for each in people[:8])] * 3
    assert shared(9) == []


@pytest.mark.parametrize(
    ("changes", "channel", "contact"),
    [
        ({"dashboard_url": None}, "hook", "ada"),
        ({"message_links": {"enabled": False}}, "hook", "ada"),
        ({}, "log", "ada"),
        ({}, "gone", "ada"),
        ({}, "hook", "operator"),
    ],
)
def test_there_are_none_where_they_could_not_be_used_or_would_be_kept(
    changes: dict[str, object], channel: str, contact: str
) -> None:
    assert not links(ResponseSettings.model_validate({**RESPONSE.model_dump(), **changes}), channel, contact)


def test_without_a_key_there_are_no_links_and_none_is_accepted() -> None:
    def broken() -> str:
        raise PermissionError

    row = message_row(a_notice(), ADA, HOOK, "initial", NOON)
    for key in (broken, lambda: None):
        made = MessageLinks(lambda: RESPONSE, key)
        assert made.of_message(row, a_notice(), NOON) == ()
        with pytest.raises(InvalidLinkError):
            made.read(sign(CLAIM, KEY))


def test_the_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path, found = tmp_path / "var" / "key", list[str]()
    begin = threading.Barrier(8)

    def load() -> None:
        begin.wait()
        found.append(load_or_create(path))

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["key"]
    path.write_text("cut off")
    assert load_or_create(path) not in ("cut off", found[0])


@pytest.mark.parametrize(
    ("response", "environment", "says"),
    [
        ({"dashboardUrl": None}, {}, "nobody can acknowledge from a mail or a chat"),
        ({"dashboardUrl": "http://ops.example.org"}, {}, "anybody on the way can read"),
        ({"messageLinks": {"keyEnv": "LINK_KEY"}}, {"LINK_KEY": "short"}, "LINK_KEY has no key of at least 32"),
        ({"messageLinks": {"keyEnv": "LINK_KEY"}}, {"LINK_KEY": "x" * 32}, "begin with https://ops.example.org"),
        ({"messageLinks": {"enabled": False}}, {}, "switched off"),
        ({"contacts": []}, {}, ""),
    ],
)
def test_doctor_says_whether_messages_carry_links(
    response: dict[str, object], environment: dict[str, str], says: str
) -> None:
    whole = {**RESPONSE.model_dump(mode="json", by_alias=True), **response}
    configuration = Configuration.model_validate({"response": whole})
    found = list(doctor.check(configuration, EnvironmentCredentials(environment, {})))
    assert [says in each.found for each in found] == ([True] if says else [])
