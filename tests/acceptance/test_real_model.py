"""A real model behind a real server: whatever it says, calls end as they should, and a run ends honestly."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

from orchestration.clock import SystemClock
from orchestration.providers.resumption import complete_resumed
from orchestration.providers.wire import Completion, GatewayCall
from tests.support.gateway import Desk, configuration, provider
from tests.support.patience import Stopwatch
from tests.support.project import a_project
from tests.support.real_model import real_model
from tests.support.vendor import Asked, delta, stream, vendor

SCHEMA = {
    "type": "object",
    "properties": {"colour": {"enum": ["red", "green"]}, "number": {"type": "integer"}},
    "required": ["colour", "number"],
    "additionalProperties": False,
}
TOOL = {
    "type": "function",
    "function": {
        "name": "read_file",
        "description": "Read a file",
        "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
    },
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with real_model() as served:
        yield served


def ask(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **more}


@pytest.fixture(params=["chat", "responses"])
async def desk(url: str, request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    real = {"type": "openai", "baseUrl": f"{url}/v1", "defaultModel": "any", "auth": "none", "concurrency": 2}
    one = Desk(configuration({"real": {**real, "api": request.param}}), clock=SystemClock())
    yield one
    await one.gateway._routes.aclose()


async def test_its_answers_are_streamed_token_by_token(desk: Desk) -> None:
    pieces: list[str] = []

    async def on_chunk(chunk: Any) -> None:
        pieces.append(str(chunk))

    answer = await desk.ask(on_chunk, ask("Count from one to five."))
    assert len(pieces) > 3
    assert answer.message["content"]
    assert answer.usage.completion_tokens > 3


# In its Responses API, llama.cpp ignores the form.
@pytest.mark.parametrize("desk", ["chat"], indirect=True)
async def test_it_answers_in_the_form_that_is_asked_for(desk: Desk) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}
    question = "Which colour has grass, and how many legs has a cat?"
    # The form permits any white space, of which a small model may write much.
    answer = await desk.ask(None, ask(question, response_format=form, max_tokens=300))
    told = json.loads(answer.message["content"])
    assert told["colour"] in ("red", "green")
    assert isinstance(told["number"], int)


async def test_an_answer_that_is_cut_off_says_so(desk: Desk) -> None:
    answer = await desk.ask(None, ask("Count from one to one hundred.", max_tokens=16))
    assert answer.finish_reason == ("length" if answer.usage.completion_tokens >= 16 else "stop")


async def test_tools_are_offered_and_whatever_comes_is_a_message(desk: Desk) -> None:
    answer = await desk.ask(None, ask("Read the file README.md.", tools=[TOOL]))
    for call in answer.message.get("tool_calls") or []:
        assert call["function"]["name"] == "read_file"
    assert answer.message.get("content") or answer.message.get("tool_calls")


async def test_a_call_that_is_cancelled_frees_its_place_for_two_others_at_once(desk: Desk) -> None:
    begun = asyncio.Event()

    async def on_chunk(_: Any) -> None:
        begun.set()

    given_up = [asyncio.create_task(desk.ask(on_chunk, ask("Tell me a long story."))) for _ in range(2)]
    await begun.wait()
    for task in given_up:
        task.cancel()
    await asyncio.gather(*given_up, return_exceptions=True)
    waited = Stopwatch()
    answers: list[Completion] = await asyncio.gather(
        *(desk.ask(None, ask(f"Say {word}.", max_tokens=5)) for word in ("yes", "no"))
    )
    assert all(answer.message["content"] for answer in answers)
    assert waited.is_within(20), waited


async def test_it_goes_on_with_what_another_model_has_begun(url: str) -> None:
    begun = "The capital of France is called"

    def breaks_off(_: Asked) -> Response:
        return stream([delta(role="assistant", content=""), delta(content=begun)])

    shown: list[str] = []

    async def on_chunk(chunk: Any) -> None:
        shown.extend(str(choice["delta"].get("content") or "") for choice in chunk["choices"])

    async with vendor(breaks_off) as first:
        real = {"type": "openai", "baseUrl": f"{url}/v1", "defaultModel": "any", "auth": "none"}
        both = {"first": provider(first.url), "real": {**real, "answerContinuation": "last-message"}}
        desk = Desk(configuration(both))
        body = ask("What is the capital of France? Answer in one sentence.", temperature=0, max_tokens=8)
        answer, resumed = await complete_resumed(desk.gateway, body, GatewayCall(), on_chunk)
        await desk.gateway._routes.aclose()
    assert (resumed, str(answer.route)) == (True, "real/any")
    assert answer.message["content"] == "".join(shown)
    assert answer.message["content"].startswith(f"{begun} Paris")


def test_a_run_ends_honestly(url: str, tmp_path: Path) -> None:
    """A model of this size cannot do the work, and nothing may say that it has."""
    real = {"type": "openai", "baseUrl": f"{url}/v1", "defaultModel": "any", "auth": "none", "concurrency": 2}
    with a_project(tmp_path / "p", {"real": real}) as project:
        command = project.start_run("--seconds", "20", "--json")
        code = command.wait()
        run = project.show()
    patch = project.root / "artifacts" / run["id"] / "changes.patch"
    assert "Traceback" not in command.output
    if run["status"] == "succeeded":
        assert run["outcome"]["ending"] == "nothing-to-do" or patch.read_text().strip()
    else:
        assert code == 1
        assert run["status"] in ("failed", "incomplete", "not-approved")
        assert run["reason"]
