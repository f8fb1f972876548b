"""A message in Slack's Block Kit: https://docs.slack.dev/block-kit/. Pure.

The subject is the message's text, which telephones show; the rest is an attachment, since only attachments have a
colour: https://docs.slack.dev/messaging/formatting-message-text#attachments.

Every text of ours is of the type `plain_text`, in which Slack renders no formatting, and the three characters that its
markup reserves are escaped everywhere: https://docs.slack.dev/messaging/formatting-message-text#escaping. So the text
of an alert can neither mention a whole workspace by `<!channel>` nor disguise a link.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestration.domain.severity import Severity
from orchestration.notifications.channels.channel import ChannelMessage
from orchestration.notifications.channels.text_limits import clusters, shorten, utf16_units
from orchestration.notifications.notice import NoticeKind

# https://docs.slack.dev/reference/methods/chat.postMessage#truncating recommends 4,000 for the text, which is cut at
# 40,000; https://docs.slack.dev/reference/block-kit/blocks/section-block and .../block-elements/button-element.
TEXT_LIMIT, SECTION_LIMIT, URL_LIMIT, VALUE_LIMIT = 4_000, 3_000, 3_000, 2_000
# Not documented: from about 13,200 characters in all blocks on, Slack answers msg_blocks_too_long
# (https://github.com/slackapi/bolt-js/issues/2509).
_SECTIONS = 3
ACKNOWLEDGE, ESCALATE, OPEN = "incident.acknowledge", "incident.escalate", "incident.open"
_OVER = "#2e7d32"
_COLOURS = {Severity.P0: "#b71c1c", Severity.P1: "#e65100", Severity.P2: "#f9a825", Severity.P3: "#1565c0"}
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def slack_message(message: ChannelMessage, *, answers: bool = False) -> dict[str, Any]:
    """The message as arguments of `chat.postMessage`, which are those of an incoming webhook, too.

    With `answers`, it has buttons to acknowledge and to escalate, which need an app with interactivity.
    """
    notice = message.notice
    blocks = [{"type": "section", "text": _plain(part)} for part in _sections(message.plain_body)]
    # Slack says who has pressed a button of the app's, so these come before the links where there are both.
    buttons = [*(_answers(message) if answers else _answer_links(message)), *_link(notice.url)]
    attachment = {
        "color": _OVER if notice.kind.closes else _COLOURS[notice.severity],
        "blocks": [*blocks, *([{"type": "actions", "elements": buttons}] if buttons else [])],
    }
    return {
        "text": escape_within(message.subject, TEXT_LIMIT),
        "attachments": [attachment],
        # Otherwise Slack reads asterisks, underscores and backticks of the text as formatting.
        "mrkdwn": False,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def plain_message(message: ChannelMessage) -> dict[str, Any]:
    """The message as text alone, for when Slack does not accept the other."""
    text = escape_within(f"{message.subject}\n\n{message.body}", TEXT_LIMIT)
    return {"text": text, "attachments": [], "mrkdwn": False, "unfurl_links": False, "unfurl_media": False}


def escape(text: str) -> str:
    """Text without mentions or links. These three characters are all that Slack's markup reserves."""
    return "".join(_ESCAPES.get(character, character) for character in text)


def escape_within(text: str, limit: int) -> str:
    """Escaped text that is no longer than allowed, cut before it is escaped so that no entity is cut in two."""
    return escape(shorten(text, limit, _escaped_length))


def _escaped_length(text: str) -> int:
    return utf16_units(escape(text))


def _plain(escaped: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": escaped, "emoji": False}


def _sections(body: str) -> list[str]:
    """The body in escaped parts for one section each, divided between lines where that is possible."""
    parts: list[str] = []
    rest = body.strip("\n")
    while rest and len(parts) < _SECTIONS:
        part, rest = _divide(rest)
        parts.append(part)
    if rest:
        parts[-1] = shorten(f"{parts[-1]}\n{rest}", SECTION_LIMIT, _escaped_length)
    # A section without a text is refused, and with it the whole message.
    return [escape(part) for part in parts if part.strip()]


def _divide(text: str) -> tuple[str, str]:
    """The text of one section, and the rest."""
    used, end, line_end = 0, 0, 0
    for cluster in clusters(text):
        used += _escaped_length(cluster)
        if used > SECTION_LIMIT:
            cut = line_end or end
            return text[:cut].rstrip("\n"), text[cut:].lstrip("\n")
        end += len(cluster)
        line_end = end if cluster.endswith("\n") else line_end
    return text, ""


def _answers(message: ChannelMessage) -> Iterator[dict[str, Any]]:
    notice = message.notice
    if notice.kind.closes or notice.kind in (NoticeKind.TEST, NoticeKind.REPORT, NoticeKind.REMINDER):
        return
    if notice.kind is not NoticeKind.ACKNOWLEDGED:
        yield _button("Acknowledge", ACKNOWLEDGE, notice.incident_id, style="primary")
    yield _button("Escalate", ESCALATE, notice.incident_id)


def _answer_links(message: ChannelMessage) -> Iterator[dict[str, Any]]:
    for link in message.links:
        action = f"incident.link.{link.verb.value}"
        yield {"type": "button", "text": _plain(link.verb.label), "action_id": action, "url": link.url}


def _button(title: str, action: str, incident: str, **more: str) -> dict[str, Any]:
    return {"type": "button", "text": _plain(title), "action_id": action, "value": incident[:VALUE_LIMIT], **more}


def _link(url: str) -> Iterator[dict[str, Any]]:
    if url and utf16_units(url) <= URL_LIMIT:
        yield {"type": "button", "text": _plain("Open the incident"), "action_id": OPEN, "url": url}
