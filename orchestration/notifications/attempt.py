"""One try to send one message: what is sent, how it ended, and what that means. No database in here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from orchestration import backoff
from orchestration.clock import Clock
from orchestration.notifications.channels import ChannelMessage, ChannelRegistry, DeliveryError
from orchestration.notifications.notice import Notice
from orchestration.storage.outbox import OutboxRow, SendOutcome

# Takes JSON values and returns them without any secret in them; `Redactor.data` is one.
Redact = Callable[[Any], Any]

FIRST_SECONDS, AT_MOST_SECONDS, AT_LEAST_SECONDS = 2.0, 60.0, 0.25
# What fails in a way that no channel knows may be our own mistake: it is not tried for ever.
MOST_UNEXPECTED = 5
_LONGEST_DETAIL = 500


@dataclass(frozen=True, slots=True)
class DeliveryResult:
    """How a try ended. `wait` are the seconds before the next one; `hold` those for which the receiver asked;
    `error` is one that nobody expected, to be raised when everything else has been done."""

    outcome: SendOutcome
    seconds: float
    detail: str = ""
    wait: float = 0.0
    hold: float = 0.0
    error: Exception | None = None


async def attempt(
    row: OutboxRow, channels: ChannelRegistry, clock: Clock, redact: Redact, random: float
) -> DeliveryResult:
    """Send a message that was claimed. `random` in [0, 1) spreads those that failed together. Raises nothing."""
    began = clock.monotonic()

    def since() -> float:
        return clock.monotonic() - began

    try:
        await channels.send(row.channel, message_of(row, redact))
    except DeliveryError as error:
        detail = str(redact(str(error)))[:_LONGEST_DETAIL]
        if error.permanent:
            return DeliveryResult(SendOutcome.FAILED, since(), detail)
        wait = max(_wait(row.attempts, random), error.retry_after or 0.0)
        return DeliveryResult(SendOutcome.RETRIED, since(), detail, wait, error.retry_after or 0.0)
    except Exception as error:  # noqa: BLE001 — one message that cannot be handled must not hold up the others
        outcome = SendOutcome.FAILED if row.attempts >= MOST_UNEXPECTED else SendOutcome.RETRIED
        return DeliveryResult(
            outcome, since(), f"unexpected {type(error).__name__}", _wait(row.attempts, random), error=error
        )
    return DeliveryResult(SendOutcome.SENT, since())


def message_of(row: OutboxRow, redact: Redact) -> ChannelMessage:
    """What is sent, without secrets. Raises KeyError, TypeError or ValueError for a payload that is none."""
    payload = redact(dict(row.payload))
    return ChannelMessage(
        key=row.key,
        contact=row.contact,
        address=row.address,
        subject=payload["subject"],
        body=payload["body"],
        notice=Notice.from_json(payload["notice"]),
        created_at=row.created_at,
    )


def _wait(attempts: int, random: float) -> float:
    first, at_most = FIRST_SECONDS, AT_MOST_SECONDS
    return max(AT_LEAST_SECONDS, backoff.delay(attempts - 1, random, first=first, at_most=at_most))
