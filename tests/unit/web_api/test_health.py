"""What supervisors and load balancers are told."""

from __future__ import annotations

import httpx2
import pytest
from sqlalchemy.exc import OperationalError
from starlette.applications import Starlette

from orchestration.web.health import HealthEndpoints


def away() -> bool:
    raise OperationalError("SELECT 1", {}, Exception("gone"))


@pytest.mark.parametrize(
    ("has_leader", "status", "word"),
    [
        (lambda: True, 200, "ready"),
        (lambda: False, 503, "no control process leads"),
        (away, 503, "no database"),
    ],
)
async def test_it_is_ready_while_somebody_leads(has_leader: object, status: int, word: str) -> None:
    app = Starlette(routes=HealthEndpoints(has_leader, None, lambda: None).routes())  # type: ignore[arg-type]
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://here") as client:
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()) == (status, {"status": word})
        assert (await client.get("/healthz")).json() == {"status": "ok"}
