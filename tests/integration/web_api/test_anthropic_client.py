"""Anthropic's official client through the gateway endpoint: answered by its own API and by OpenAI's, with tools,
thoughts and errors as its own exceptions."""

from __future__ import annotations

import subprocess
from pathlib import Path

import anyio.to_thread
import pytest

from tests.contract.gateway import test_anthropic as anthropic
from tests.contract.web_api.conftest import an_endpoint
from tests.contract.web_api.test_messages import told
from tests.support.clients import python_with_clients
from tests.support.gateway import Desk, configuration, provider
from tests.support.vendor import refused, vendor

_SCRIPT = Path(__file__).with_name("anthropic_script.py")


@pytest.mark.timeout(240)  # the first time the client is installed
async def test_the_official_client_reads_answers_thoughts_calls_and_errors() -> None:
    python = await anyio.to_thread.run_sync(python_with_clients)
    async with vendor(anthropic.told) as first, vendor(told) as second, vendor(lambda asked: refused(503)) as third:
        providers = {
            "native": {"type": "anthropic", "baseUrl": first.url, "defaultModel": "claude-x"},
            "compatible": provider(second.url),
            "down": provider(third.url),
        }
        async with an_endpoint(Desk(configuration(providers))) as endpoint:
            command = [python, "-W", "ignore", _SCRIPT, endpoint.url, "a-key"]
            done = await anyio.run_process(list(map(str, command)), stderr=subprocess.STDOUT, check=False)
    native = "native/claude-x tool_use ['thinking', 'redacted_thinking', 'text', 'tool_use'] {'at': 'it'}"
    compatible = "compatible/m tool_use ['thinking', 'text', 'tool_use', 'tool_use'] {'at': 'it'}"
    assert done.stdout.decode().splitlines() == [
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
    # The thought without a signature, which another provider had, is not among them.
    assert first.chats[2].body["messages"][1]["content"][:2] == anthropic.CONTENT[:2]
