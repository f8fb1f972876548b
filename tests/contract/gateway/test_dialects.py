"""What each kind of provider is sent, and what is made of its own ways to answer."""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import Any, ClassVar

import pytest
from starlette.responses import HTMLResponse, Response

from orchestration.providers.failures import ConversationTooLongError, NoRouteError, RequestRefusedError
from tests.contract.gateway.conftest import MakeDesk
from tests.support.gateway import BODY, provider
from tests.support.vendor import Asked, Vendor, as_json, refused, yes

KEY = {"credentials": {"KEY": "k-123", "AZURE_OPENAI_API_KEY": "az-123", "GITHUB_TOKEN": "gh-123"}}


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_compatible_server_is_told_by_its_base_url(make_desk: MakeDesk, first: Vendor, streaming: bool) -> None:
    settings = {"type": "openai", "baseUrl": f"{first.url}/prefix/v1/", "defaultModel": "m", "streaming": streaming}
    completion = await make_desk({"own": settings}).ask(body={**BODY, "temperature": 0})
    asked = first.chats[0]
    more = {"stream": True, "stream_options": {"include_usage": True}} if streaming else {}
    assert asked.path == "/prefix/v1/chat/completions"
    assert asked.body == {"model": "m", **BODY, "temperature": 0, **more}
    assert "authorization" not in asked.headers
    assert completion.message["content"] == "Yes."
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (10, 2)
    assert not completion.usage.estimated


async def test_the_parameters_of_a_model_are_sent_unless_the_caller_has_set_them(
    make_desk: MakeDesk, first: Vendor
) -> None:
    model = {"name": "m", "parameters": {"temperature": 0.2, "maxTokens": 50, "extra": {"seed": 1, "model": "other"}}}
    desk = make_desk({"own": provider(first.url)}, models={"own": [model]})
    await desk.ask(body={**BODY, "temperature": 1})
    asked = first.chats[0].body
    told = {name: asked[name] for name in ("model", "temperature", "max_tokens", "seed")}
    assert told == {"model": "m", "temperature": 1, "max_tokens": 50, "seed": 1}


async def test_a_parameter_that_a_model_refuses_is_left_out_or_called_by_its_other_name(
    make_desk: MakeDesk, first: Vendor
) -> None:
    def strict(asked: Asked) -> Response:
        if "max_tokens" in asked.body:
            message = (
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens'."
            )
            return refused(400, message)
        if "temperature" in asked.body:
            return refused(400, "Unsupported value: 'temperature' does not support 0.2 with this model.")
        return yes(asked)

    first.answer = strict
    desk = make_desk({"own": provider(first.url)})
    for _ in range(2):
        await desk.ask(body={**BODY, "temperature": 0.2, "max_tokens": 50}, adaptable=True)
    assert len(first.chats) == 4
    assert first.chats[-1].body["max_completion_tokens"] == 50
    assert "temperature" not in first.chats[-1].body


def long_talk(turns: int) -> dict[str, Any]:
    """A conversation with tool results of about a thousand tokens each."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": "the task"}]
    for number in range(turns):
        call = {"id": f"c{number}", "type": "function", "function": {"name": "read_file", "arguments": "{}"}}
        messages.append({"role": "assistant", "content": "", "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"c{number}", "content": f"{number} " * 1500})
    return {"messages": messages}


async def test_a_conversation_that_is_too_long_is_folded_and_the_limit_remembered(
    make_desk: MakeDesk, first: Vendor
) -> None:
    def short_of_memory(asked: Asked) -> Response:
        tokens = len(json.dumps(asked.body)) // 3
        message = f"This model's maximum context length is 8192 tokens. However, you requested {tokens} tokens."
        return refused(400, message, code="context_length_exceeded") if tokens > 8192 else yes(asked)

    first.answer = short_of_memory
    desk = make_desk({"own": provider(first.url)})
    for turns in (15, 16):
        await desk.ask(body=long_talk(turns), adaptable=True)
    assert len(first.chats) == 3
    assert first.chats[-1].body["messages"][0] == {"role": "user", "content": "the task"}
    with pytest.raises(RequestRefusedError):
        await desk.ask(body=long_talk(16))
    assert desk.breakers("own") == []


async def test_what_is_too_long_by_itself_is_refused_after_a_try_or_two(make_desk: MakeDesk, first: Vendor) -> None:
    first.answer = lambda asked: refused(400, "prompt is too long: 210000 tokens > 200000 maximum")
    desk = make_desk({"own": provider(first.url)})
    with pytest.raises(RequestRefusedError):
        await desk.ask(body={"messages": [{"role": "user", "content": "x" * 700_000}]}, adaptable=True)
    assert len(first.chats) <= 4


async def test_a_caller_that_condenses_is_told_the_context_and_nothing_is_sent_in_vain(
    make_desk: MakeDesk, first: Vendor
) -> None:
    def short_of_memory(asked: Asked) -> Response:
        message = "prompt is too long: 210000 tokens > 8192 maximum"
        return refused(400, message) if len(json.dumps(asked.body)) > 3 * 8192 else yes(asked)

    first.answer = short_of_memory
    desk = make_desk({"own": provider(first.url)})
    for refusals in (1, 1):
        with pytest.raises(ConversationTooLongError) as caught:
            await desk.ask(body=long_talk(60), adaptable=True, condenses=True)
        assert caught.value.window == 8192
        assert len(first.chats) == refusals
    assert desk.said("model_call.failed") == []
    await desk.ask(body=long_talk(4), adaptable=True, condenses=True)
    assert desk.breakers("own") == []


async def test_a_number_that_is_no_context_is_not_taken_for_one(make_desk: MakeDesk, first: Vendor) -> None:
    first.answer = lambda asked: refused(400, "maximum context length is exceeded, limit 300")
    desk = make_desk({"own": provider(first.url)})
    with pytest.raises(RequestRefusedError):
        await desk.ask(adaptable=True)
    assert desk.knows("own").is_empty
    first.answer = yes
    await desk.ask(body=long_talk(15), adaptable=True)
    assert len(first.chats[-1].body["messages"]) == len(long_talk(15)["messages"])


async def test_a_text_that_is_denser_than_it_seems_is_folded_more_and_the_context_is_not_forgotten(
    make_desk: MakeDesk, first: Vendor
) -> None:
    def dense(asked: Asked) -> Response:
        tokens = sum(len(message["content"]) for message in asked.body["messages"]) // 2
        return refused(400, "maximum context length is 8192 tokens") if tokens > 8192 else yes(asked)

    first.answer = dense
    models = {"own": [{"name": "m", "contextTokens": 8192}]}
    desk = make_desk({"own": provider(first.url)}, models=models)
    for calls in (2, 3):
        await desk.ask(body=long_talk(40), adaptable=True)
        assert len(first.chats) == calls


@pytest.mark.parametrize("configured", [True, False])
async def test_the_context_is_known_beforehand_where_it_is_configured_or_listed(
    make_desk: MakeDesk, first: Vendor, configured: bool
) -> None:
    first.probe = lambda asked: as_json({"object": "list", "data": [{"id": "m", "max_model_len": 8192}, 7, {}]})
    models = {"own": [{"name": "m", "contextTokens": 8192}]} if configured else {}
    desk = make_desk({"own": provider(first.url)}, models=models)
    await desk.gateway.probe("own")
    await desk.ask(body=long_talk(15), adaptable=True)
    [asked] = first.chats
    assert len(json.dumps(asked.body)) // 3 < 8192


async def test_a_compatible_server_that_wants_a_key_gets_it(make_desk: MakeDesk, first: Vendor) -> None:
    settings = {"type": "openai", "baseUrl": f"{first.url}/v1", "defaultModel": "m", "apiKeyEnv": "KEY"}
    desk = make_desk({"own": settings}, desk=KEY)
    await desk.ask()
    assert (await desk.gateway.probe("own")).ok
    assert [one.headers["authorization"] for one in first.asked] == ["Bearer k-123"] * 2
    assert first.probes[0].path == "/v1/models"


@pytest.mark.parametrize(("value", "expected"), [(None, "KEY is not set"), ("schlüssel", "no HTTP header can carry")])
async def test_a_key_that_cannot_be_sent_is_named_and_nobody_is_called(
    make_desk: MakeDesk, first: Vendor, value: str | None, expected: str
) -> None:
    settings = {"type": "openai", "baseUrl": f"{first.url}/v1", "defaultModel": "m", "apiKeyEnv": "KEY"}
    desk = make_desk({"own": settings}, desk={"credentials": {"KEY": value} if value else {}})
    with pytest.raises(NoRouteError, match=expected) as caught:
        await desk.ask()
    assert "schl" not in str(caught.value)
    assert desk.breakers("own") == ["opened: authentication"]
    assert first.asked == []


async def test_an_address_that_cannot_be_called_is_told_as_such(make_desk: MakeDesk) -> None:
    with pytest.raises(NoRouteError, match="cannot be called"):
        await make_desk({"own": {"type": "openai", "baseUrl": "http://[::1", "defaultModel": "m"}}).ask()


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
@pytest.mark.parametrize("streaming", [True, False])
async def test_ollama_chats_in_the_openai_format_and_is_probed_by_its_own(
    make_desk: MakeDesk, first: Vendor, suffix: str, streaming: bool
) -> None:
    desk = make_desk({"ollama": {"host": first.url + suffix, "defaultModel": "small", "streaming": streaming}})
    assert (await desk.ask()).message["content"] == "Yes."
    assert (await desk.gateway.probe("ollama")).ok
    chat, *probes = [one.path for one in first.asked]
    # A call that is silent for a moment, as on a busy machine, is accompanied by a probe of its own.
    assert (chat, set(probes)) == ("/v1/chat/completions", {"/api/tags"})


async def test_ollamas_full_queue_is_an_overload_and_its_hint_says_how_to_start_it(
    make_desk: MakeDesk, first: Vendor
) -> None:
    busy = "server busy, please try again.  maximum pending requests exceeded"
    first.answer = lambda asked: as_json({"error": busy}, 503)
    with pytest.raises(NoRouteError, match="overloaded, server busy") as caught:
        await make_desk({"ollama": {"host": first.url, "defaultModel": "small"}}).ask()
    assert caught.value.hints == ("ollama: start it with: ollama serve",)


@pytest.mark.parametrize("base", ["", "/openai", "/openai/v1", "/openai/v1/"])
async def test_azure_v1_names_the_deployment_as_the_model(make_desk: MakeDesk, first: Vendor, base: str) -> None:
    desk = make_desk({"azure": {"endpoint": first.url + base, "defaultModel": "d 1"}}, desk=KEY)
    await desk.ask()
    await desk.gateway.probe("azure")
    assert [one.path for one in first.asked] == ["/openai/v1/chat/completions", "/openai/v1/models"]
    assert not any(one.query for one in first.asked)
    assert first.chats[0].body["model"] == "d 1"
    assert {one.headers["api-key"] for one in first.asked} == {"az-123"}
    assert "authorization" not in first.chats[0].headers


async def test_azures_older_addresses_name_the_deployment_in_the_path(make_desk: MakeDesk, first: Vendor) -> None:
    settings = {"endpoint": f"{first.url}/openai/v1", "defaultModel": "d/1", "apiVersion": "2024-10-21"}
    desk = make_desk({"azure": settings}, desk=KEY)
    await desk.ask()
    await desk.gateway.probe("azure")
    version = {"api-version": "2024-10-21"}
    chat = "/openai/deployments/d/1/chat/completions"  # the server sees the escaped slash as a plain one
    assert [(one.path, one.query) for one in first.asked] == [(chat, version), ("/openai/models", version)]
    assert "model" not in first.chats[0].body


async def test_azure_says_how_much_room_is_left(make_desk: MakeDesk, first: Vendor) -> None:
    room = {"remaining-tokens": "900", "limit-tokens": "1000", "remaining-requests": "-1"}

    def answer(asked: Asked) -> Response:
        response = yes(asked)
        response.headers.update({f"x-ratelimit-{name}": value for name, value in room.items()})
        return response

    first.answer = answer
    desk = make_desk({"azure": {"endpoint": first.url, "defaultModel": "d"}}, desk=KEY)
    await desk.ask()
    assert desk.status("azure").headroom == {"remaining-tokens": 900.0, "limit-tokens": 1000.0}
    first.answer = yes
    await desk.ask()
    assert desk.status("azure").headroom == {"remaining-tokens": 900.0, "limit-tokens": 1000.0}


@pytest.fixture
def entra(monkeypatch: pytest.MonkeyPatch) -> type:
    """The part of azure-identity that is used; the library itself is an extra."""
    core, identity = ModuleType("azure.core.exceptions"), ModuleType("azure.identity")
    core.AzureError = type("AzureError", (Exception,), {})  # type: ignore[attr-defined]
    core.ClientAuthenticationError = type("ClientAuthenticationError", (core.AzureError,), {})  # type: ignore[attr-defined]

    class Credential:
        error: Exception | None = None
        scopes: ClassVar[list[str]] = []

        def get_token(self, scope: str) -> Any:
            self.scopes.append(scope)
            if self.error is not None:
                raise self.error
            return type("Token", (), {"token": "entra-123"})

    identity.DefaultAzureCredential = Credential  # type: ignore[attr-defined]
    for module in (ModuleType("azure"), ModuleType("azure.core"), core, identity):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    Credential.unavailable = core.ClientAuthenticationError  # type: ignore[attr-defined]
    Credential.offline = core.AzureError  # type: ignore[attr-defined]
    return Credential


async def test_azure_takes_an_entra_token_for_the_scope_of_ai_foundry(
    make_desk: MakeDesk, first: Vendor, entra: Any
) -> None:
    entra.scopes.clear()
    desk = make_desk({"azure": {"endpoint": first.url, "defaultModel": "d", "auth": "entra"}})
    await desk.ask()
    assert first.chats[0].headers["authorization"] == "Bearer entra-123"
    assert "api-key" not in first.chats[0].headers
    assert entra.scopes == ["https://ai.azure.com/.default"]


@pytest.mark.parametrize(("error", "kind"), [("unavailable", "authentication"), ("offline", "unreachable")])
async def test_without_an_entra_token_the_route_is_out_of_use(
    make_desk: MakeDesk, first: Vendor, entra: Any, monkeypatch: pytest.MonkeyPatch, error: str, kind: str
) -> None:
    monkeypatch.setattr(entra, "error", getattr(entra, error)("az login first"))
    desk = make_desk({"azure": {"endpoint": first.url, "defaultModel": "d", "auth": "entra"}})
    with pytest.raises(NoRouteError, match="az login first"):
        await desk.ask()
    assert desk.breakers("azure") == [f"opened: {kind}"]


async def test_without_the_azure_extra_its_name_is_told(make_desk: MakeDesk, first: Vendor) -> None:
    desk = make_desk({"azure": {"endpoint": first.url, "defaultModel": "d", "auth": "entra"}})
    with pytest.raises(NoRouteError, match=r"agent-orchestration\[azure\]"):
        await desk.ask()


async def test_github_models_is_retired_for_good_and_what_to_use_instead_is_told(
    make_desk: MakeDesk, first: Vendor
) -> None:
    first.answer = lambda asked: refused(410, "GitHub Models was retired")
    desk = make_desk({"github": {"endpoint": first.url, "defaultModel": "openai/gpt-4.1-mini"}}, desk=KEY)
    for _ in range(3):
        with pytest.raises(NoRouteError, match="retired") as caught:
            await desk.ask()
    assert "Azure AI Foundry" in caught.value.hints[0]
    assert caught.value.retry_at is None
    assert [one.path for one in first.asked] == ["/inference/chat/completions"]
    assert first.chats[0].headers["authorization"] == "Bearer gh-123"
    first.probe = lambda asked: refused(410)
    assert (await desk.gateway.probe("github")).outcome == "retired"
    assert first.probes[0].path == "/catalog/models"


async def test_an_address_that_gives_a_web_page_is_no_provider(make_desk: MakeDesk, first: Vendor) -> None:
    first.probe = lambda asked: HTMLResponse("<h1>Welcome</h1>")
    result = await make_desk({"own": provider(first.url)}).gateway.probe("own")
    assert (result.outcome, result.ok) == ("malformed", False)
    assert "is the address right?" in result.detail


@pytest.mark.parametrize("deep", [False, True])
async def test_the_embedded_rehearsal_is_not_broken_before_a_run_has_started_it(
    make_desk: MakeDesk, deep: bool
) -> None:
    desk = make_desk({"rehearsal": {"type": "rehearsal", "defaultModel": "rehearsal"}})
    result = await desk.gateway.probe("rehearsal", deep=deep)
    assert (result.outcome, result.ok) == ("ok", True)
    assert "starts with the first run" in result.detail
