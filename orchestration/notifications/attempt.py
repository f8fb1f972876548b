"""One attempt to send one message, and what its result means. Touches no database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from orchestration import backoff, logs
from orchestration.clock import Clock
from orchestration.notifications.channels import ChannelMessage, ChannelRegistry, DeliveryError
from orchestration.notifications.message_links import MessageLink
from orchestration.notifications.notice import Notice
from orchestration.storage.outbox import OutboxRow, SendOutcome

# Takes JSON values and returns them without secrets; `Redactor.data` is one.
Redact = Callable[[Any], Any]
# The signed links of a message that is sent at that moment.
LinksOf = Callable[[OutboxRow, Notice, datetime], tuple[MessageLink, ...]]

_log = logs.get_logger("notifications")

# The waits double from two seconds to a minute. A minute at most, since what waits is a page; a quarter of a second at
# least, since full jitter may choose almost nothing.
FIRST_SECONDS, AT_MOST_SECONDS, AT_LEAST_SECONDS = 2.0, 60.0, 0.25
# An error that no channel expects may be a mistake of ours, which repeating does not mend.
MAX_UNEXPECTED = 5
_MAX_DETAIL_LENGTH = 500
# Not every channel recognises a message by its key, and a person who reads of one incident twice should know why.
_SENT_AGAIN = "Sent again, since no answer confirmed that it had arrived: you may have this message already."


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """How an attempt ended. `wait` are the seconds before the next attempt; `hold` are those for which the receiver
    asked; `error` is an unexpected one, to be raised when everything else has been done. `thread` is what the channel
    has returned. An `unclear` one may have arrived all the same."""

    outcome: SendOutcome
    seconds: float
    detail: str = ""
    wait: float = 0.0
    hold: float = 0.0
    error: Exception | None = None
    thread: str | None = None
    unclear: bool = False


def no_links(_row: OutboxRow, _notice: Notice, _now: datetime) -> tuple[MessageLink, ...]:
    """For messages that are sent while nobody could answer by a link."""
    return ()


async def attempt(
    row: OutboxRow,
    channels: ChannelRegistry,
    clock: Clock,
    redact: Redact,
    random: float,
    thread: str = "",
    links_of: LinksOf = no_links,
) -> DeliveryResult:
    """Send a claimed message. `random` in [0, 1) spreads the retries of messages that failed together. Never raises."""
    began = clock.monotonic()

    def since() -> float:
        return clock.monotonic() - began

    try:
        message = message_of(row, redact, thread)
        # After the redaction, which would take them out, and for this attempt only: they are secret, and expire.
        links = _links(row, message.notice, clock.now(), links_of)
        begun = await channels.send(row.channel, replace(message, links=links))
    except DeliveryError as error:
        detail = str(redact(str(error)))[:_MAX_DETAIL_LENGTH]
        if error.permanent:
            return DeliveryResult(SendOutcome.FAILED, since(), detail)
        # The longer of the two: a receiver that names too short a time must not switch off our own backoff.
        wait = max(_wait(row.attempts, random), error.retry_after or 0.0)
        return DeliveryResult(
            SendOutcome.RETRIED, since(), detail, wait, error.retry_after or 0.0, unclear=error.unclear
        )
    except Exception as error:  # noqa: BLE001 — one message that cannot be handled must not hold up the others
        outcome = SendOutcome.FAILED if row.attempts >= MAX_UNEXPECTED else SendOutcome.RETRIED
        return DeliveryResult(
            outcome,
            since(),
            f"unexpected {type(error).__name__}",
            _wait(row.attempts, random),
            error=error,
            unclear=True,
        )
    return DeliveryResult(SendOutcome.SENT, since(), thread=begun)


def _links(row: OutboxRow, notice: Notice, now: datetime, links_of: LinksOf) -> tuple[MessageLink, ...]:
    try:
        return links_of(row, notice, now)
    except Exception:  # noqa: BLE001 — a page without links is better than none
        _log.exception("message_links.broken", message="a message carries no links")
        return ()


def message_of(row: OutboxRow, redact: Redact, thread: str = "") -> ChannelMessage:
    """The message without secrets. Raises KeyError, TypeError or ValueError for a damaged payload."""
    payload = redact(dict(row.payload))
    return ChannelMessage(
        key=row.key,
        contact=row.named,
        address=row.address,
        subject=payload["subject"],
        plain_body=f"{_SENT_AGAIN}\n\n{payload['body']}" if row.may_have_arrived else payload["body"],
        notice=Notice.from_json(payload["notice"]),
        created_at=row.created_at,
        thread=thread,
        may_have_arrived=row.may_have_arrived,
    )


def _wait(attempts: int, random: float) -> float:
    first, at_most = FIRST_SECONDS, AT_MOST_SECONDS
    return max(AT_LEAST_SECONDS, backoff.delay(attempts - 1, random, first=first, at_most=at_most))
