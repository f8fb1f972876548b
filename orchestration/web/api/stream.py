"""`GET /api/v1/events`: what happens, as server-sent events; a reader that comes back goes on where it was."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Annotated

from fastapi import APIRouter, Header, Query
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import StreamingResponse

from orchestration.events import Event
from orchestration.security.principal import Role
from orchestration.web.api.services import Here, needs
from orchestration.web.feed import Feed, Numbered

router = APIRouter()
_Kinds = Annotated[
    list[str] | None, Query(max_length=20, description="Only events of these kinds, or that begin so (`run.`).")
]
_LastId = Annotated[str | None, Header(alias="Last-Event-ID", max_length=20)]


@router.get("/events", dependencies=needs(Role.VIEWER, "events"), response_class=StreamingResponse)
async def stream_events(
    here: Here,
    last_event_id: _LastId = None,
    after: Annotated[int | None, Query(ge=0, le=2**53)] = None,
    run: Annotated[str | None, Query(max_length=64)] = None,
    kind: _Kinds = None,
) -> StreamingResponse:
    """Everything that happens from now on, or since the event `Last-Event-ID` (or `after`). Each has its number as
    `id`, its kind as `event`, and the whole event as JSON."""
    seen = int(last_event_id) if last_event_id and last_event_id.isascii() and last_event_id.isdigit() else after
    lines = _lines(here.feed, seen, run, tuple(kind or ()))
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(lines, media_type="text/event-stream", headers=headers)


async def _lines(feed: Feed, after: int | None, run: str | None, kinds: Sequence[str]) -> AsyncIterator[str]:
    yield ": here\n\n"
    # Without the database a stream ends; a reader comes back by itself and goes on where it was.
    with contextlib.suppress(SQLAlchemyError):
        async with contextlib.aclosing(feed.listen(after)) as batches:
            async for batch in batches:
                wanted = [one for one in batch if _fits(one[1], run, kinds)]
                yield "".join(map(_line, wanted)) or ": still here\n\n"


def _fits(event: Event, run: str | None, kinds: Sequence[str]) -> bool:
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
