"""Tickets: one for each incident and action item, with a comment for each further notice, closed when it is over.

A ticket carries a *marker* by which it is found again: an answer that is lost, or a process that dies between making
the ticket and recording it, must not make a second one. Its reference is its address, which people can open.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from orchestration.config.channels.tickets import GithubIssuesOptions
from orchestration.notifications.channels.channel import ChannelMessage, DeliveryError
from orchestration.notifications.channels.text_limits import shorten
from orchestration.notifications.notice import Notice, NoticeKind

# Below the limits of GitHub (256 characters, 65,536 of text) and Jira (255, 32,767).
_MOST_TITLE, _MOST_TEXT = 240, 30_000
# A ticket that was just made may not be found yet (Jira's search follows within seconds), so that a try right after it
# could make a second one.
_FOUND_AGAIN_SECONDS = 30.0


class TicketGoneError(DeliveryError):
    """The ticket is not there any more, or was never visible to this account."""


class TicketRefusedError(DeliveryError):
    """The system does not accept the fields of a ticket."""


@dataclass(frozen=True, slots=True)
class NewTicket:
    """A ticket to be made, in a repository or a project."""

    place: str
    title: str
    text: str
    marker: str
    labels: tuple[str, ...]
    assignees: tuple[str, ...]


class TicketSystem(Protocol):
    """What a ticket system can do. A ticket is named by its address. Every method raises DeliveryError; those that take
    a ticket raise TicketGoneError."""

    async def check(self, place: str) -> None:
        """Whether tickets can be made there, without making one."""
        ...

    async def find(self, place: str, marker: str, since: datetime) -> str | None:
        """The ticket with a marker that was made at a moment or later."""
        ...

    async def create(self, ticket: NewTicket) -> str:
        """Make a ticket. Raises TicketRefusedError."""
        ...

    async def comment(self, ticket: str, text: str, marker: str) -> None: ...

    async def has_comment(self, ticket: str, marker: str) -> bool:
        """Whether the ticket has the comment with that marker."""
        ...

    async def close(self, ticket: str, *, done: bool) -> None:
        """Close a ticket, unless it is closed; not `done` means that nothing had to be done."""
        ...

    async def reopen(self, ticket: str) -> None:
        """Open a ticket again, unless it is open."""
        ...


class TicketHandler:
    """Turns messages into tickets of a system."""

    def __init__(self, system: TicketSystem, options: GithubIssuesOptions) -> None:
        self._system = system
        self._options = options

    async def handle(self, message: ChannelMessage) -> str | None:
        """Make the ticket of a message, or bring it up to date; returns the address of a new one. Raises
        DeliveryError."""
        if message.notice.kind is NoticeKind.TEST:
            await self._system.check(message.address or "")
            return None
        if message.thread:
            # Where somebody has deleted it, the story goes on in a new one.
            with contextlib.suppress(TicketGoneError):
                await self._follow(message)
                return None
        return await self._begin(message)

    async def _begin(self, message: ChannelMessage) -> str:
        notice = message.notice
        ticket = self._ticket(message)
        found = await self._system.find(ticket.place, ticket.marker, notice.detected_at or message.created_at)
        made = found or await self._create(ticket)
        try:
            if found and notice.kind is not NoticeKind.INITIAL:
                await self._comment(made, message)
            if found or _is_over(notice):
                await self._set_state(made, notice)
        except DeliveryError as error:
            raise error if error.permanent else _later(error) from error
        return made

    async def _create(self, ticket: NewTicket) -> str:
        try:
            return await self._system.create(ticket)
        except TicketRefusedError:
            # An assignee who has left, or a field that the project does not show, must not cost the ticket.
            return await self._system.create(replace(ticket, assignees=(), labels=()))
        except DeliveryError as error:
            raise _later(error) if error.unclear else error from error

    async def _follow(self, message: ChannelMessage) -> None:
        await self._comment(message.thread, message)
        await self._set_state(message.thread, message.notice)

    async def _comment(self, ticket: str, message: ChannelMessage) -> None:
        """Add the message, unless an earlier try has: its answer may have been lost, or a later step have failed."""
        marker = _comment_marker(message.key)
        if not await self._system.has_comment(ticket, marker):
            await self._system.comment(ticket, shorten(message.text, _MOST_TEXT), marker)

    async def _set_state(self, ticket: str, notice: Notice) -> None:
        # A workflow that asks for more than we know leaves the end to a person, who has the comment.
        with contextlib.suppress(TicketRefusedError):
            if _is_over(notice):
                await self._system.close(ticket, done=notice.kind in (NoticeKind.RESOLVED, NoticeKind.ACTION_ITEM))
            elif notice.kind is NoticeKind.INITIAL:
                # Of an incident that has come back, the ticket was closed.
                await self._system.reopen(ticket)

    def _ticket(self, message: ChannelMessage) -> NewTicket:
        assigned = self._options.assignment(message.notice.labels)
        return NewTicket(
            message.address or "",
            shorten(message.subject, _MOST_TITLE),
            shorten(message.text, _MOST_TEXT),
            ticket_marker(message.notice),
            assigned.labels,
            assigned.assignees,
        )


def ticket_marker(notice: Notice) -> str:
    """By what the ticket of an incident, or of one of its action items, is found: one word, also as a label."""
    item = "" if notice.item is None else f"-action-{notice.item}"
    return re.sub(r"[^A-Za-z0-9_-]", "-", f"orchestrator-{notice.incident_id}{item}")


def _is_over(notice: Notice) -> bool:
    return notice.kind.closes or notice.item_done


def _later(error: DeliveryError) -> DeliveryError:
    """The same error, with time for what may have been made to be found again."""
    wait = max(_FOUND_AGAIN_SECONDS, error.retry_after or 0.0)
    return DeliveryError(str(error), permanent=False, retry_after=wait, unclear=True)


def _comment_marker(key: str) -> str:
    return f"orchestrator-message-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
