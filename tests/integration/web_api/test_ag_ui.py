"""A front end that speaks AG-UI: a goal, an approval, a connection that is lost, and rights."""

from __future__ import annotations

import json
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
from ag_ui.core import Event as OfficialEvent
from ag_ui.core import ResumeEntry, RunAgentInput, UserMessage
from pydantic import TypeAdapter

from orchestration.rehearsal import samples
from orchestration.security.principal import Role
from tests.support.web import RunningWebServer

OFFICIAL: TypeAdapter[Any] = TypeAdapter(OfficialEvent)
ADDRESS = "/api/v1/ag-ui"


def asks(run: str, goal: str = "", *, thread: str = "t", resume: Any = None, **props: Any) -> dict[str, Any]:
    """A request as the protocol's own package makes it."""
    messages = [UserMessage(id="m1", role="user", content=goal)] if goal else []
    made = RunAgentInput(
        thread_id=thread, run_id=run, messages=messages, tools=[], context=[], forwarded_props=props, resume=resume
    )
    return made.model_dump(mode="json", by_alias=True, exclude_none=True)


def events(client: httpx2.Client, body: dict[str, Any]) -> Generator[dict[str, Any]]:
    """What is streamed, each held against the protocol."""
    with client.stream("POST", ADDRESS, json=body) as answer:
        if answer.status_code != 200:
            raise AssertionError(f"{answer.status_code}: {answer.read().decode()}")
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("data: "):
                found = json.loads(line[6:])
                OFFICIAL.validate_python(found)
                yield found


def test_a_run_is_started_approved_and_followed_to_its_end(server: RunningWebServer, tmp_path: Path) -> None:
    client, sample = server.client(), samples.copy_to(tmp_path / "work")
    props: dict[str, Any] = {
        "workspace": str(sample.workspace),
        "approve": ["executor"],
        "checks": [list(sample.test_command)],
    }
    first = list(events(client, asks("r1", sample.goal, **props, in_place=True)))
    assert (first[0]["threadId"], first[0]["runId"]) == ("t", "r1")
    assert first[-1]["outcome"]["type"] == "interrupt"
    (interrupt,) = first[-1]["outcome"]["interrupts"]
    # Asked again while it waits, it is the same run, and the same question.
    again = list(events(client, asks("r1", sample.goal, **props, in_place=True)))
    assert again[-1]["outcome"]["interrupts"] == [interrupt]

    answer = [ResumeEntry(interrupt_id=interrupt["id"], status="resolved", payload={"approved": True})]
    second = list(events(client, asks("r2", resume=answer)))
    assert second[-1]["outcome"] == {"type": "success"}
    run = second[-1]["result"]["run"]
    assert {"plan.md", "review.md"} <= set(second[-1]["result"]["documents"])
    kinds = [each["type"] for each in second]
    assert {"STEP_STARTED", "STEP_FINISHED", "TOOL_CALL_RESULT", "STATE_SNAPSHOT", "TEXT_MESSAGE_CONTENT"} <= set(kinds)

    # One that comes back after the end sees all of it, and no question that was answered.
    whole = list(events(client, asks("r1", sample.goal, **props)))
    assert whole[-1]["outcome"] == {"type": "success"}
    assert whole[-1]["result"]["run"] == run
    refused = client.post(ADDRESS, json=asks("r3", resume=answer))
    assert (refused.status_code, "has already approved this" in refused.text) == (409, True)
    assert [one["id"] for one in client.get("/api/v1/runs").json()["items"]].count(run) == 1


def test_a_client_that_leaves_ends_no_run_and_comes_back_to_it(server: RunningWebServer, tmp_path: Path) -> None:
    client, sample = server.client(), samples.copy_to(tmp_path / "work")
    body = asks("lost", sample.goal, workspace=str(sample.workspace), in_place=True)
    leaving = events(client, body)
    assert next(leaving)["type"] == "RUN_STARTED"
    leaving.close()
    whole = list(events(client, body))
    assert whole[-1]["outcome"] == {"type": "success"}


def test_requests_that_come_at_once_start_one_run(server: RunningWebServer, tmp_path: Path) -> None:
    client, sample = server.client(), samples.copy_to(tmp_path / "work")
    body = asks("twice", sample.goal, workspace=str(sample.workspace), in_place=True)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: list(events(client, body))[-1], range(4)))
    assert len({each["result"]["run"] for each in found}) == 1


def test_what_cannot_be_done_is_refused_before_the_stream(server: RunningWebServer, tmp_path: Path) -> None:
    client = server.client()
    refusals: list[tuple[dict[str, Any], int, str]] = [
        (asks("x"), 422, "expected a message of the role `user`"),
        (asks("x", "do it", priority="now"), 422, "priority"),
        (asks("x", "do it", workspace=str(tmp_path / "nowhere")), 422, "nowhere"),
        (asks("x", "do it", agent="nobody"), 404, "nobody"),
        ({"threadId": "t", "runId": "", "messages": []}, 422, "runId"),
        (asks("x", resume=[ResumeEntry(interrupt_id="none", status="cancelled")]), 404, "none"),
    ]
    for body, status, said in refusals:
        answer = client.post(ADDRESS, json=body)
        assert (answer.status_code, said in answer.text) == (status, True), answer.text
    assert server.client(Role.VIEWER).post(ADDRESS, json=asks("x", "do it")).status_code == 403
