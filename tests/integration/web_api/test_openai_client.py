"""The official OpenAI client through the gateway endpoint: tools, streams that are held back, errors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from starlette.responses import Response

from tests.contract.web_api.conftest import an_endpoint
from tests.support.clients import python_with_clients
from tests.support.database import migrated
from tests.support.gateway import Desk, configuration, provider
from tests.support.vendor import DONE, Asked, Vendor, as_json, delta, stream, vendor, yes

_SCRIPT = Path(__file__).with_name("openai_script.py")


class Primary:
    """A provider that answers well until it is killed: then its streams break off, and nothing answers any more."""

    def __init__(self) -> None:
        self.dead = anyio.Event()

    async def answer(self, asked: Asked) -> Response:
        if self.dead.is_set():
            return Response(status_code=503)
        if not asked.body.get("stream") or len(asked.body["messages"]) > 1 or not self.slow:
            return yes(asked)
        return stream(self._words())

    slow = False

    async def _words(self) -> AsyncIterator[bytes]:
        yield delta(role="assistant", content="Once ")
        await self.dead.wait()  # and then nothing more: the connection ends without the end of the answer


def tools(asked: Asked) -> Response:
    if asked.path.endswith("/embeddings"):
        vectors = [{"object": "embedding", "index": 0, "embedding": [0.5]}]
        return as_json({"object": "list", "data": vectors, "usage": {"prompt_tokens": 3, "total_tokens": 3}})
    call = {"index": 0, "id": "call-1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    return stream([delta(tool_calls=[call]), delta(finish_reason="tool_calls"), DONE])


@pytest.mark.timeout(240)  # the first time the client is installed
async def test_the_official_client_streams_fails_over_and_calls_tools(tmp_path: Path) -> None:
    python = await anyio.to_thread.run_sync(python_with_clients)
    primary = Primary()
    async with vendor(primary.answer) as first, vendor() as second, vendor(tools) as third:
        providers = {"primary": provider(first.url), "secondary": provider(second.url), "tools": provider(third.url)}
        database = migrated(f"sqlite:///{tmp_path / 'orchestrator.db'}")
        async with an_endpoint(Desk(configuration(providers), database)) as endpoint:
            said = await _run(python, endpoint.url, primary, second)
        database.close()
    assert said == [
        "models auto primary/m secondary/m tools/m",
        "answer primary/m 12 Yes.",
        "azure primary/m Yes.",
        "vector [0.5] 3",
        "tool look",
        "response completed look {}",
        "went on Yes. 12 response.created response.completed",
        "kept Yes. True",
        "forgotten response_not_found",
        "refused True",
        "begun",
        "broken broken_off",
        "begun",
        "again Yes.",
        "begun",
        "whole Yes.",
        "unknown model_not_found",
    ]


async def _run(python: Path, url: str, primary: Primary, second: Vendor) -> list[str]:
    command = [str(python), "-W", "ignore", str(_SCRIPT), url, "a-key"]
    said: list[str] = []
    async with await anyio.open_process(command, stderr=None) as process:
        assert process.stdout is not None
        rest = ""
        async for part in process.stdout:
            *lines, rest = (rest + part.decode()).split("\n")
            for line in lines:
                said.append(line)
                if line.startswith("refused "):
                    primary.slow = True
                if line == "begun" and not primary.dead.is_set():
                    primary.dead.set()
    assert process.returncode == 0
    assert second.chats, "the secondary has answered"
    return said
