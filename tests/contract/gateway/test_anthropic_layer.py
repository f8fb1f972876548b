"""A server of the shape of Anthropic's layer for OpenAI's clients, called by the `openai` kind.

https://platform.claude.com/docs/en/cli-sdks-libraries/libraries/openai-sdk: answers take a bearer token, most fields
that it does not know are ignored; the list of models is that of its own API, which wants other headers.
"""

from __future__ import annotations

from typing import Any

import pytest
from starlette.responses import Response

from orchestration.clock import SystemClock
from orchestration.providers.endpoint import CallFailed, is_anthropic_refusal
from orchestration.providers.failures import FailureKind
from tests.contract.gateway.conftest import MakeDesk
from tests.support.vendor import Asked, Vendor, as_json, refused, yes

KEY = "sk-ant-a-key-for-a-test"


def _refused_key(message: str) -> Response:
    return as_json({"type": "error", "error": {"type": "authentication_error", "message": message}}, 401)


def _answer(asked: Asked) -> Response:
    if asked.headers.get("authorization") != f"Bearer {KEY}":
        return _refused_key("Invalid bearer token")
    if asked.body.get("n", 1) != 1:
        return refused(400, "n must be 1")
    return yes(asked)


def _models(asked: Asked) -> Response:
    if asked.headers.get("x-api-key") != KEY:
        return _refused_key("x-api-key header is required")
    if "authorization" in asked.headers or "anthropic-version" not in asked.headers:
        return _refused_key("Invalid bearer token")
    data = [{"type": "model", "id": "claude-x", "display_name": "X", "created_at": "2026-01-01T00:00:00Z"}]
    return as_json({"data": data, "has_more": False, "first_id": "claude-x", "last_id": "claude-x"})


def _settings(server: Vendor) -> dict[str, dict[str, Any]]:
    server.answer, server.probe = _answer, _models
    section = {"type": "openai", "baseUrl": f"{server.url}/v1", "apiKeyEnv": "ANTHROPIC_API_KEY"}
    return {"anthropic": {**section, "defaultModel": "claude-x"}}


async def test_it_answers_calls_and_probes(make_desk: MakeDesk, first: Vendor) -> None:
    desk = make_desk(_settings(first), desk={"credentials": {"ANTHROPIC_API_KEY": KEY}})
    body = {"messages": [{"role": "user", "content": "Up?"}], "response_format": {"type": "json_object"}}
    assert (await desk.ask(body=body, adaptable=True)).message["content"] == "Yes."
    assert (await desk.gateway.probe("anthropic")).ok
    assert (await desk.gateway.probe("anthropic")).ok
    # Refused once, and asked in the right way from then on: how much its models read, and twice whether it is there.
    assert [("x-api-key" in one.headers) for one in first.probes] == [False, True, True, True]


async def test_a_wrong_key_is_a_wrong_key(make_desk: MakeDesk, first: Vendor) -> None:
    desk = make_desk(_settings(first), desk={"credentials": {"ANTHROPIC_API_KEY": "another"}})
    assert not (await desk.gateway.probe("anthropic")).ok
    endpoint = desk.gateway._routes.provider("anthropic").endpoint
    with pytest.raises(CallFailed) as failed:
        await endpoint.probe(SystemClock().now())
    assert failed.value.failure.kind is FailureKind.AUTHENTICATION


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, b'{"type":"error","error":{"type":"authentication_error","message":"x"}}', True),
        (403, b'{"type":"error","error":{"type":"authentication_error","message":"x"}}', False),
        (401, b'{"type":"error","error":{"type":"permission_error"}}', False),
        (401, b'{"error":{"type":"authentication_error","message":"x"}}', False),
        (401, b'{"type":"error","error":"authentication_error"}', False),
        (401, b"[]", False),
        (401, b"<html>", False),
        (401, b"\xff", False),
    ],
)
def test_only_its_own_refusal_is_taken_for_one(status: int, body: bytes, expected: bool) -> None:
    assert is_anthropic_refusal(status, body) is expected
