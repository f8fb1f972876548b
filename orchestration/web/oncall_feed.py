"""`GET /oncall/ROTATION.ics?token=…`: who is on call, for calendar programs, which cannot sign in."""

from __future__ import annotations

from http import HTTPStatus

import anyio.to_thread
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from orchestration.app.oncall_feed import FEED_PATH, feed
from orchestration.app.project import ProjectRecords
from orchestration.errors import NotFoundError
from orchestration.storage.database import StorageError
from orchestration.web.problems import problem

_LONGEST_TOKEN = 200


def routes(project: ProjectRecords) -> list[Route]:
    """The route, to be mounted at the root."""

    async def handle(request: Request) -> Response:
        rotation, token = request.path_params["rotation"], request.query_params.get("token", "")[:_LONGEST_TOKEN]
        try:
            calendar = await anyio.to_thread.run_sync(feed, project, rotation, token)
        except NotFoundError as error:
            return problem(HTTPStatus.NOT_FOUND, str(error))
        except (SQLAlchemyError, StorageError, OSError):
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, "The calendar is not available. Try again in a moment.")
        return Response(calendar, media_type="text/calendar; charset=utf-8")

    return [Route(FEED_PATH + "{rotation}.ics", handle, methods=["GET"])]
