"""The two built-in channels: the log, and standard error."""

from __future__ import annotations

import sys

import anyio.to_thread

from orchestration import logs
from orchestration.domain.severity import Severity
from orchestration.logs.origin import LOGGED_NOTICE
from orchestration.notifications.channels.channel import ChannelContext, ChannelMessage, DeliveryError

_WIDTH = 100


class LogChannel:
    """Writes messages to `logs/orchestrator.log`; pages of P0 and P1 as errors, on which log collectors may alert."""

    def __init__(self, _context: ChannelContext) -> None:
        self._log = logs.get_logger("notifications")

    async def send(self, message: ChannelMessage) -> None:
        """Write the message to the log."""
        notice = message.notice
        urgent = notice.kind.is_page and notice.severity in (Severity.P0, Severity.P1)
        write = self._log.error if urgent else self._log.warning
        write(
            LOGGED_NOTICE,
            incident=notice.incident_id,
            severity=notice.severity.value,
            contact=message.contact,
            body=message.body,
            message=message.subject,
        )

    async def aclose(self) -> None:
        """Nothing is open."""


class ConsoleChannel:
    """Writes messages to standard error, as a block between two rules."""

    def __init__(self, _context: ChannelContext) -> None:
        """It needs no settings."""

    async def send(self, message: ChannelMessage) -> None:
        """Write the message. Raises DeliveryError when standard error is closed."""
        await anyio.to_thread.run_sync(write_block, message)

    async def aclose(self) -> None:
        """Nothing is open."""


def write_block(message: ChannelMessage) -> None:
    """Write a block to standard error. Raises DeliveryError."""
    rule = "=" * _WIDTH
    block = f"\n{rule}\n{message.text.rstrip()}\n{rule}\n"
    try:
        if sys.stderr is None:
            raise ValueError("closed")
        encoding = sys.stderr.encoding or "utf-8"
        # A terminal that cannot show a character must not cost the page: the character is escaped instead.
        sys.stderr.write(block.encode(encoding, "backslashreplace").decode(encoding))
        sys.stderr.flush()
    except (OSError, ValueError) as error:
        raise DeliveryError(f"standard error cannot be written to ({error})", permanent=True) from error
