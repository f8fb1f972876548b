"""`GET /api/v1/events`: all events as server-sent events. A client that reconnects continues where it was."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Header, Query
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import StreamingResponse

from orchestration.events import Event
from orchestration.security.principal import Role
from orchestration.web.api.services import Services, requires
from orchestration.web.feed import Feed, Numbered

router = APIRouter()
_Kinds = Annotated[
    list[str] | None,
    Query(max_length=20, description="Only events of these kinds, or with these prefixes, such as `run.`."),
]
_LastId = Annotated[str | None, Header(alias="Last-Event-ID", max_length=20)]


@router.get("/events", dependencies=requires(Role.VIEWER, "events"), response_class=StreamingResponse)
async def stream_events(
    services: Services,
    last_event_id: _LastId = None,
    after: Annotated[int | None, Query(ge=0, le=2**53)] = None,
    run: Annotated[str | None, Query(max_length=64)] = None,
    kind: _Kinds = None,
) -> StreamingResponse:
    """Stream events from now on, or from the one after `Last-Event-ID` (or `after`). Each has its number as `id`, its
    kind as `event`, and the whole event as JSON in `data`."""
    # Browsers send `Last-Event-ID` by themselves when they reconnect; it is newer than `after` in the address.
    seen = int(last_event_id) if last_event_id and last_event_id.isascii() and last_event_id.isdigit() else after
    if seen is None:
        # Before the response begins: what happens once a client sees its headers must not be missed.
        seen = await anyio.to_thread.run_sync(services.app.timeline.last_sequence)
    lines = _lines(services.feed, seen, run, tuple(kind or ()))
    # Keeps nginx from buffering the stream.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(lines, media_type="text/event-stream", headers=headers)


async def _lines(feed: Feed, after: int, run: str | None, kinds: Sequence[str]) -> AsyncIterator[str]:
    # Sent at once, so that proxies and clients see the headers of the response before the first event.
    yield ": connected\n\n"
    # If the database fails, the stream ends. `EventSource` then reconnects with `Last-Event-ID`, so nothing is missed.
    with contextlib.suppress(SQLAlchemyError):
        async with contextlib.aclosing(feed.subscribe(after)) as batches:
            async for batch in batches:
                wanted = [one for one in batch if _matches(one[1], run, kinds)]
                yield "".join(map(_line, wanted)) or ": keep-alive\n\n"


def _matches(event: Event, run: str | None, kinds: Sequence[str]) -> bool:
    if run is not None and event.run_id != run:
        return False
    return not kinds or any(event.kind == one or (one.endswith(".") and event.kind.startswith(one)) for one in kinds)


def _line(one: Numbered) -> str:
    number, event = one
    data = {
        "kind": event.kind,
        "at": event.at.isoformat().replace("+00:00", "Z"),
        "run_id": event.run_id,
        "agent": event.agent,
        "actor": event.actor,
        "data": event.data,
    }
    return f"id: {number}\nevent: {event.kind}\ndata: {json.dumps(data, default=str)}\n\n"
