from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from orchestration.notifications.channels.apprise import without_mentions
from orchestration.notifications.channels.channel import ChannelMessage
from orchestration.notifications.channels.http import encode
from orchestration.notifications.channels.pagerduty import event
from orchestration.notifications.channels.slack_blocks import SECTION_LIMIT, TEXT_LIMIT, escape_within, slack_message
from orchestration.notifications.channels.teams import LIMIT, card_message
from orchestration.notifications.channels.text_limits import ELLIPSIS, clusters, shorten, utf16_units
from orchestration.notifications.notice import NoticeKind
from tests.support.notices import NOON, a_notice

FAMILY, FLAG, ACCENT, THUMB = (
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\U0001f1e6\U0001f1f9",
    "e\u0301",
    "👍\U0001f3fd",
)
PIECES = st.sampled_from(
    [FAMILY, FLAG, ACCENT, THUMB, "&", "<", ">", "<!channel>", "&amp;", "\n", "\r\n", "a", " ", '"', "\\", "*_`~",
     "@everyone"]
)  # fmt: skip
# Some with what matters in it, many times over; some with whatever there is, lone surrogates among it.
TEXTS = st.one_of(
    st.text(), st.text(st.characters(), max_size=50), st.builds("".join, st.lists(PIECES, max_size=60)),
    st.builds(lambda piece, count: piece * count, PIECES, st.integers(0, 40_000)),
)  # fmt: skip


def message(subject: str, body: str, url: str = "", kind: NoticeKind = NoticeKind.INITIAL) -> ChannelMessage:
    return ChannelMessage("key", "ada", None, subject, body, a_notice(kind, url=url), NOON)


def texts(value: Any) -> Iterator[dict[str, Any]]:
    """The text objects within a message."""
    if isinstance(value, dict):
        if value.get("type") in ("plain_text", "mrkdwn"):
            yield value
        value = list(value.values())
    for each in value if isinstance(value, list) else ():
        yield from texts(each)


def is_beginning(short: str, text: str) -> bool:
    """Whether it is the text, or its beginning with an ellipsis, cut between two clusters."""
    if short == text:
        return True
    kept = short.removesuffix(ELLIPSIS)
    borders = {""}
    for piece in clusters(text[: len(kept) + 100]):
        borders.add(max(borders, key=len) + piece)
    return short.endswith(ELLIPSIS) and kept in borders


@given(TEXTS, st.integers(0, 60))
def test_a_shortened_text_is_the_texts_beginning_and_no_longer_than_allowed(text: str, limit: int) -> None:
    short = shorten(text, limit)
    assert utf16_units(short) <= limit
    assert is_beginning(short, text) or not short
    assert "".join(clusters(text)) == text


@given(TEXTS, st.integers(1, 200))
def test_an_escaped_text_is_cut_in_no_entity(text: str, limit: int) -> None:
    short = escape_within(text, limit)
    assert utf16_units(short) <= limit
    assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)", short)
    # By hand, since `html.unescape` also knows entities without a semicolon.
    raw = short.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    assert is_beginning(raw, text)


@settings(max_examples=60)
@given(TEXTS, TEXTS, st.integers(0, 5_000), st.sampled_from(NoticeKind), st.booleans())
@example("<!channel>" * 900, "<@U012> <https://evil|page>\n" * 2_000, 5_000, NoticeKind.INITIAL, True)
def test_a_message_is_within_the_limits_of_slack_and_holds_no_markup(
    subject: str, body: str, url: int, kind: NoticeKind, answers: bool
) -> None:
    made = slack_message(message(subject, body, "https://a/" + "x" * url, kind), answers=answers)
    (attachment,) = made["attachments"]
    blocks = attachment["blocks"]
    assert utf16_units(made["text"]) <= TEXT_LIMIT
    assert len(blocks) <= 50
    assert len(json.dumps(blocks, ensure_ascii=False)) < 13_000 + 4 * 3_000
    for found in texts(blocks):
        assert found["type"] == "plain_text"
        assert 0 < utf16_units(found["text"]) <= SECTION_LIMIT
    shown = [made["text"], *(block["text"]["text"] for block in blocks if block["type"] == "section")]
    assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)", "".join(shown))
    for button in [each for block in blocks if block["type"] == "actions" for each in block["elements"]]:
        assert len(button["text"]["text"]) <= 75
        assert len(button.get("url", "")) <= 3_000
        assert len(button["action_id"]) <= 255


@settings(max_examples=60)
@given(TEXTS, TEXTS, st.integers(0, 5_000))
@example('"' * 400, '"\\\n' * 20_000, 4_000)
def test_a_card_is_within_the_limit_of_teams_and_uses_it(subject: str, body: str, url: int) -> None:
    made = card_message(message(subject, body, "u" * url))
    size = len(encode(made))
    lines = [block["inlines"][0]["text"] for block in made["attachments"][0]["content"]["body"][1:]]
    assert size <= LIMIT
    if len(lines) < len(body.splitlines()):
        assert size > LIMIT - 200
    assert all(line in (given_ or " ") for line, given_ in zip(lines[:-1], body.splitlines(), strict=False))
    # A text run is shown as it is; a text block would be read as Markdown.
    assert "TextBlock" not in re.sub("RichTextBlock", "", json.dumps(made["attachments"][0]["content"]["body"]))


@settings(max_examples=60)
@given(TEXTS, TEXTS)
def test_an_event_is_within_the_limits_of_pagerduty(subject: str, body: str) -> None:
    made = event(message(subject, body), "key")
    assert len(made["payload"]["summary"]) <= 1_024
    assert is_beginning(made["payload"]["summary"], subject)
    assert len(encode(made)) < 512_000


@given(TEXTS)
def test_no_text_mentions_everybody_on_the_services_of_apprise(text: str) -> None:
    safe = without_mentions(text)
    assert not re.search(r"@(everyone|here|channel|all|room)|<[!@#]", safe, re.IGNORECASE)
    assert safe.replace("\u200b", "") == text.replace("\u200b", "")


def test_the_beginning_is_what_matters() -> None:
    body = "Status: INVESTIGATING\nImpact: everybody\n" + "detail\n" * 10_000
    slack = slack_message(message("[INCIDENT] title", body))
    first = slack["attachments"][0]["blocks"][0]["text"]["text"]
    assert slack["text"] == "[INCIDENT] title"
    assert html.unescape(first).startswith("Status: INVESTIGATING\nImpact: everybody\n")
    assert len(slack["attachments"][0]["blocks"]) == 3
