"""Reads the calendars of rotations from their addresses, in the process that leads.

While an address is away, or answers with something else, what was read last stays in force. That this is so is kept,
and shown by `orchestrator oncall show`, the page and `orchestrator doctor`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import anyio.to_thread
import httpx2
from sqlalchemy.exc import SQLAlchemyError

from orchestration import logs
from orchestration.clock import Clock
from orchestration.config.credentials import CredentialSource
from orchestration.config.response import OnCallCalendar, OnCallRotation, ResponseSettings
from orchestration.incidents.icalendar_feed import MAX_BYTES, CalendarError, read_calendar
from orchestration.outbound import OutboundRule, OutboundTransport, blocked
from orchestration.storage.oncall import OnCallCalendarRow, OnCallCalendars
from orchestration.tls import shared_tls_context

_LOOK_SECONDS = 15.0
_TIMEOUT_SECONDS = 20.0
_MAX_REDIRECTS = 3
# A calendar that cannot be read is tried again sooner than one that can: it says who is paged tonight.
_RETRY_SECONDS = 300.0
# Read anew three times without success: then somebody should look.
_STALE_TIMES = 3
_log = logs.get_logger("oncall")


@dataclass(frozen=True, slots=True)
class CalendarState:
    """How it stands with the calendar of a rotation: when it was read, and what is wrong, which is empty if nothing is.
    A `stale` one has not been read for so long that people may have planned something else since."""

    rotation: str
    read_at: datetime | None
    problem: str
    stale: bool


class OnCallCalendarReader:
    """Reads what is due. `settings` are those in force, and secrets are read at each attempt."""

    def __init__(
        self,
        calendars: OnCallCalendars,
        settings: Callable[[], ResponseSettings],
        credentials: CredentialSource,
        clock: Clock,
        redact: Callable[[str], str],
        root: Path,
    ) -> None:
        self._calendars = calendars
        self._settings = settings
        self._credentials = credentials
        self._clock = clock
        self._redact = redact
        self._root = root

    async def run(self) -> None:
        """Read every calendar when it is due, until cancelled."""
        failure = logs.RepeatedFailure(_log.warning, "oncall.calendar_unsaved")
        while True:
            with failure.tolerated(SQLAlchemyError):
                await self.read_due()
            await self._clock.sleep(_LOOK_SECONDS)

    async def read_due(self, *, all_of_them: bool = False) -> None:
        """Read those whose time has come, or all, one after the other."""
        known = {row.rotation: row for row in await anyio.to_thread.run_sync(self._calendars.list)}
        settings = self._settings()
        for rotation in settings.rotations:
            if rotation.calendar is None:
                continue
            if all_of_them or self._is_due(rotation.calendar, known.get(rotation.id)):
                row = await self._read(rotation, rotation.calendar, settings, known.get(rotation.id))
                await anyio.to_thread.run_sync(self._calendars.save, row)

    def _is_due(self, calendar: OnCallCalendar, row: OnCallCalendarRow | None) -> bool:
        if row is None:
            return True
        wait = min(_RETRY_SECONDS, calendar.refresh_seconds) if row.problem else calendar.refresh_seconds
        # After a clock was set back, a time in the future must not hold up the next attempt.
        return abs(self._clock.now() - row.tried_at) >= timedelta(seconds=wait)

    async def _read(
        self,
        rotation: OnCallRotation,
        calendar: OnCallCalendar,
        settings: ResponseSettings,
        before: OnCallCalendarRow | None,
    ) -> OnCallCalendarRow:
        now = self._clock.now()
        try:
            body = await self._fetch(calendar)
            # Read once here, so that what cannot be read never takes the place of what can.
            window = (now - timedelta(days=1), now + timedelta(days=31))
            reading = await anyio.to_thread.run_sync(read_calendar, body, rotation, settings.contacts, *window)
        except CalendarError as error:
            problem = self._redact(str(error))
            _log.warning("oncall.calendar_unread", rotation=rotation.id, message=problem)
            kept = before or OnCallCalendarRow(rotation.id, "", None, now)
            return OnCallCalendarRow(rotation.id, kept.body, kept.read_at, now, problem)
        named = ", ".join(reading.unknown[:5])
        unknown = f"nobody among the contacts is meant by: {named}" if named else ""
        return OnCallCalendarRow(rotation.id, body, now, now, self._redact(unknown))

    async def _fetch(self, calendar: OnCallCalendar) -> str:
        """The text at the address. Raises CalendarError, whose message never holds the address: it is often secret."""
        if calendar.file is not None:
            return await anyio.to_thread.run_sync(_file_text, self._root / calendar.file)
        url = calendar.url or self._credentials.get(calendar.url_env or "") or ""
        if not url:
            raise CalendarError(f"{calendar.url_env} is not set; put {calendar.url_env}=… into .env")
        try:
            async with (
                httpx2.AsyncClient(
                    transport=OutboundTransport(_rule(calendar, url), shared_tls_context()),
                    timeout=_TIMEOUT_SECONDS,
                    trust_env=False,
                    follow_redirects=True,
                    max_redirects=_MAX_REDIRECTS,
                ) as client,
                client.stream("GET", url.replace("webcal://", "https://", 1)) as response,
            ):
                if not response.is_success:
                    raise CalendarError(f"its server answered {response.status_code}")
                return await _text(response)
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            raise CalendarError(f"its server was not reached ({blocked(error) or type(error).__name__})") from error


def _rule(calendar: OnCallCalendar, url: str) -> OutboundRule:
    """A calendar may be in one's own network; where its server redirects to may not."""
    return OutboundRule(private=calendar.private_network, hosts=frozenset({(urlsplit(url).hostname or "").lower()}))


def states(settings: ResponseSettings, calendars: OnCallCalendars, now: datetime) -> Iterator[CalendarState]:
    """How it stands with each calendar. Raises SQLAlchemyError."""
    known = {row.rotation: row for row in calendars.list()}
    for rotation in settings.rotations:
        if rotation.calendar is None:
            continue
        row = known.get(rotation.id)
        if row is None:
            yield CalendarState(rotation.id, None, "it was not read yet", stale=False)
            continue
        longest = timedelta(seconds=_STALE_TIMES * max(rotation.calendar.refresh_seconds, _RETRY_SECONDS))
        yield CalendarState(rotation.id, row.read_at, row.problem, row.read_at is None or now - row.read_at > longest)


def _file_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise CalendarError(f"{path.name} is larger than {MAX_BYTES:,} bytes")
        return data.decode()
    except OSError as error:
        raise CalendarError(f"{path.name} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CalendarError(f"{path.name} is not text in UTF-8") from error


async def _text(response: httpx2.Response) -> str:
    received = b""
    async for chunk in response.aiter_bytes():
        received += chunk
        if len(received) > MAX_BYTES:
            raise CalendarError(f"it is larger than {MAX_BYTES:,} bytes")
    with contextlib.suppress(UnicodeDecodeError):
        return received.decode()
    raise CalendarError("it is not text in UTF-8")
