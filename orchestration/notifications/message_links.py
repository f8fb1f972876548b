"""Signed links in messages, by which their recipient acknowledges, resolves or escalates without signing in. Pure.

A link is bound to the incident, the verb, the contact and the channel, and expires. It is made when the message is
sent, so that neither the database nor a log holds one that can be used. Its prefix lets redaction find it anywhere.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from orchestration.domain.message_verb import MessageVerb
from orchestration.notifications.notice import Notice, NoticeKind

ANSWER_PATH = "/answer/"
PREFIX = "orclink_"
_MAC_BYTES = 32
_VERSION = 1
# What names of 64 characters and an identifier take in base64, and room to spare: nobody decides how much we decode.
_LONGEST = 1_000
# More names than that have no room in a link; a message that is for so many is for nobody in particular.
MOST_CONTACTS = 8
# So that no other value that is signed with the same key can pass for a link.
_CONTEXT = b"agent-orchestration message link\0"
_ALL = (MessageVerb.ACKNOWLEDGE, MessageVerb.RESOLVE, MessageVerb.ESCALATE)
# Of the notices about an incident that is open. After its end there is nothing to be done by a link.
_VERBS: Mapping[NoticeKind, tuple[MessageVerb, ...]] = MappingProxyType(
    {
        NoticeKind.INITIAL: _ALL,
        NoticeKind.ESCALATION: _ALL,
        NoticeKind.AT_RISK: _ALL,
        NoticeKind.UPDATE: _ALL,
        NoticeKind.APPROVAL: _ALL,
        NoticeKind.REMINDER: _ALL,
    }
)


class InvalidLinkError(Exception):
    """The link was not made with this key, or not as a whole."""


@dataclass(frozen=True, slots=True)
class LinkClaim:
    """What a link allows: one verb, on one incident, by the contacts whom the message was for, until a moment.
    `channel` is how it was sent."""

    incident: str
    verb: MessageVerb
    contacts: tuple[str, ...]
    channel: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class MessageLink:
    """One link of a message."""

    verb: MessageVerb
    url: str
    expires_at: datetime

    def as_json(self) -> dict[str, str]:
        """The link as JSON values."""
        return {"verb": self.verb.value, "label": self.verb.label, "url": self.url, "expires_at": _rfc3339(self)}


def verbs_of(notice: Notice) -> tuple[MessageVerb, ...]:
    """What the recipient of a notice can do by a link; nothing after the end, of which reminders may tell, too."""
    return () if notice.kind is NoticeKind.REMINDER and notice.is_over else _VERBS.get(notice.kind, ())


def sign(claim: LinkClaim, key: bytes) -> str:
    """The token of a link, from characters that no mail program and no chat breaks."""
    until = int(claim.expires_at.timestamp())
    values = [_VERSION, claim.incident, claim.verb.value, claim.contacts, claim.channel, until]
    payload = json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode()
    return PREFIX + _encode(_mac(payload, key) + payload)


def read(token: str, key: bytes) -> LinkClaim:
    """What a token allows, also if it has expired. Raises InvalidLinkError."""
    payload = _signed_part(token, key)
    try:
        version, incident, verb, contacts, channel, until = json.loads(payload)
        if version != _VERSION:
            raise ValueError("another version")
        return LinkClaim(incident, MessageVerb(verb), tuple(contacts), channel, datetime.fromtimestamp(until, UTC))
    except (ValueError, TypeError, OverflowError, OSError) as error:  # signed by another release
        raise InvalidLinkError from error


def link_id(token: str) -> str:
    """What a link is called on record: its digest, which cannot be used."""
    return hashlib.sha256(token.encode()).hexdigest()[:24]


def with_links(body: str, links: tuple[MessageLink, ...]) -> str:
    """The text of a message with its links at the end."""
    if not links:
        return body
    until = f"{links[0].expires_at:%Y-%m-%d %H:%M} UTC"
    lines = [f"  {link.verb.label}: {link.url}" for link in links]
    head = f"Answer without signing in, until {until}. Do not pass the links on; they ask before they do anything:"
    return "\n".join([body.rstrip("\n"), "", head, *lines, ""])


def _signed_part(token: str, key: bytes) -> bytes:
    if not token.startswith(PREFIX) or len(token) > _LONGEST or not token.isascii():
        raise InvalidLinkError
    text = token.removeprefix(PREFIX)
    try:
        whole = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error) as error:
        raise InvalidLinkError from error
    # Several texts decode to the same bytes; of these one is a link, so that a link that was used has no twin.
    if _encode(whole) != text:
        raise InvalidLinkError
    # In constant time: how long a comparison takes must not tell how much of a guess was right.
    if not hmac.compare_digest(whole[:_MAC_BYTES], _mac(whole[_MAC_BYTES:], key)):
        raise InvalidLinkError
    return whole[_MAC_BYTES:]


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _mac(payload: bytes, key: bytes) -> bytes:
    return hmac.new(key, _CONTEXT + payload, hashlib.sha256).digest()


def _rfc3339(link: MessageLink) -> str:
    return link.expires_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
