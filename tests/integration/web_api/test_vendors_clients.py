"""The official clients of Anthropic and Ollama through the gateway endpoint: answered by the APIs of Anthropic and of
OpenAI, with tools, thoughts and errors as their own exceptions."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from tests.contract.gateway import test_anthropic as anthropic
from tests.contract.web_api.conftest import Endpoint, an_endpoint
from tests.contract.web_api.test_messages import told
from tests.support.clients import python_with_clients
from tests.support.gateway import Desk, configuration, provider
from tests.support.vendor import Vendor, refused, vendor


@asynccontextmanager
async def served(**more: str) -> AsyncIterator[tuple[Endpoint, Vendor]]:
    """The gateway with a provider of each kind; `down` does not answer, `more` are further ones by their addresses."""
    async with vendor(anthropic.told) as first, vendor(told) as second, vendor(lambda asked: refused(503)) as third:
        providers = {
            "native": {"type": "anthropic", "baseUrl": first.url, "defaultModel": "claude-x"},
            "compatible": provider(second.url),
            "down": provider(third.url),
            **{name: provider(url) for name, url in more.items()},
        }
        async with an_endpoint(Desk(configuration(providers))) as endpoint:
            yield endpoint, first


async def said_by(script: str, *arguments: str) -> list[str]:
    python = await anyio.to_thread.run_sync(python_with_clients)
    command = [str(python), "-W", "ignore", str(Path(__file__).with_name(script)), *arguments]
    done = await anyio.run_process(command, stderr=subprocess.STDOUT, check=False)
    return done.stdout.decode().splitlines()


@pytest.mark.timeout(240)  # the first time the clients are installed
async def test_anthropics_client_reads_answers_thoughts_calls_and_errors() -> None:
    async with served() as (endpoint, first):
        said = await said_by("anthropic_script.py", endpoint.url, "a-key")
    native = "native/claude-x tool_use ['thinking', 'redacted_thinking', 'text', 'tool_use'] {'at': 'it'}"
    compatible = "compatible/m tool_use ['thinking', 'text', 'tool_use', 'tool_use'] {'at': 'it'}"
    assert said == [
        "models auto native/claude-x compatible/m down/m",
        "tokens True",
        *[native] * 2,
        "usage 5 100 4",
        "went on tool_use",
        *[compatible] * 2,
        "usage 4 6 4",
        "went on tool_use",
        "NotFoundError 404 not_found_error",
        "BadRequestError 400 invalid_request_error",
        "BadRequestError 400 invalid_request_error",
        "OverloadedError 529 overloaded_error",
    ]
    assert first.chats[2].body["messages"][1]["content"][:2] == anthropic.CONTENT[:2]


@pytest.mark.timeout(240)
async def test_ollamas_client_reads_answers_calls_and_errors() -> None:
    async with vendor() as sound, served(yes=sound.url) as (endpoint, _):
        said = await said_by("ollama_script.py", endpoint.url)
    assert said == [
        "models auto native/claude-x compatible/m down/m yes/m",
        "native/claude-x I look. [{'at': 'it'}]",
        "native/claude-x I look. [{'at': 'it'}] stop 4",
        "went on True",
        "compatible/m Let's see [{'at': 'it'}, {}]",
        "compatible/m Let's see [{'at': 'it'}, {}] stop 4",
        "went on True",
        "generated Yes.",
        "streamed Yes.",
        "ResponseError 404",
        "ResponseError 503",
    ]
