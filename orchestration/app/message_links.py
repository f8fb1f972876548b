"""Makes and reads the links in messages, by the configuration and the key in force."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from orchestration import logs
from orchestration.config.channels.kinds import find_channel_kind
from orchestration.config.response import ResponseSettings
from orchestration.notifications.message_links import (
    ANSWER_PATH,
    MOST_CONTACTS,
    InvalidLinkError,
    LinkClaim,
    MessageLink,
    read,
    sign,
    verbs_of,
)
from orchestration.notifications.notice import Notice
from orchestration.storage.outbox import OutboxRow

_log = logs.get_logger("notifications")


class MessageLinks:
    """The links of this installation. `key` returns the key in force; None or OSError where there is none."""

    def __init__(self, settings: Callable[[], ResponseSettings], key: Callable[[], str | None]) -> None:
        self._settings = settings
        self._key = key
        self._complained = False

    def of_message(self, row: OutboxRow, notice: Notice, now: datetime) -> tuple[MessageLink, ...]:
        """The links for the recipient of a message that is sent now; none where there is no address or no key for
        them, or where the channel is no way to one person."""
        response, verbs = self._settings(), verbs_of(notice)
        base, settings = response.dashboard_url, response.channel(row.channel)
        kind = None if settings is None else find_channel_kind(settings.type)
        people = _people(row, response)
        if not (verbs and base and people and kind and kind.carries_links and response.message_links.enabled):
            return ()
        key = self._usable_key()
        if key is None:
            return ()
        until = now + timedelta(seconds=response.message_links.expire_seconds)
        claims = [LinkClaim(notice.incident_id, verb, people, row.channel, until) for verb in verbs]
        return tuple(
            MessageLink(claim.verb, f"{base.rstrip('/')}{ANSWER_PATH}{sign(claim, key)}", until) for claim in claims
        )

    def read(self, token: str) -> LinkClaim:
        """What a token allows, also if it has expired. Raises InvalidLinkError."""
        key = self._usable_key() if self._settings().message_links.enabled else None
        if key is None:
            raise InvalidLinkError
        return read(token, key)

    def _usable_key(self) -> bytes | None:
        try:
            key = self._key()
        except OSError as error:
            # Once: a page without links is better than none, and there may be hundreds of them.
            if not self._complained:
                _log.warning("message_links.no_key", message=f"messages carry no links: {type(error).__name__}")
            self._complained = True
            return None
        return key.encode() if key else None


def _people(row: OutboxRow, response: ResponseSettings) -> tuple[str, ...]:
    """The contacts whom a message is for; none if they are too many for a link."""
    known = {contact.id for contact in response.contacts}
    people = tuple(name for name in row.contacts if name in known)
    return people if len(people) <= MOST_CONTACTS else ()
