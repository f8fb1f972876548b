"""What an application does with Anthropic's official client, in an environment of its own. Arguments: URL, key."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import anthropic

client = anthropic.Anthropic(base_url=sys.argv[1], api_key=sys.argv[2], max_retries=0, timeout=30)
ASKED: dict[str, Any] = {"model": "auto", "max_tokens": 9000, "messages": [{"role": "user", "content": "Look."}]}
TOOLS = [{"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}]


def say(text: object) -> None:
    print(text, flush=True)


def refused(ask: Callable[[], object]) -> None:
    """Say which exception the client raises."""
    try:
        ask()
    except anthropic.APIStatusError as error:
        say(f"{type(error).__name__} {error.status_code} {error.body['error']['type']}")


say("models " + " ".join(model.id for model in client.models.list()))
say(f"tokens {client.messages.count_tokens(model='auto', messages=ASKED['messages']).input_tokens > 0}")
for model in ("native/claude-x", "compatible/m"):
    asked = {**ASKED, "model": model, "tools": TOOLS, "thinking": {"type": "enabled", "budget_tokens": 2000}}
    whole = client.messages.create(**asked)
    with client.messages.stream(**asked) as events:
        streamed = events.get_final_message()
    for message in (whole, streamed):
        called = [block for block in message.content if block.type == "tool_use"]
        say(f"{message.model} {message.stop_reason} {[block.type for block in message.content]} {called[0].input}")
    say(f"usage {streamed.usage.input_tokens} {streamed.usage.cache_read_input_tokens} {whole.usage.output_tokens}")
    results = [{"type": "tool_result", "tool_use_id": block.id, "content": "seen"} for block in called]
    turns = [
        *ASKED["messages"],
        {"role": "assistant", "content": streamed.content},
        {"role": "user", "content": results},
    ]
    say(f"went on {client.messages.create(**{**asked, 'messages': turns}).stop_reason}")
refused(lambda: client.messages.create(**{**ASKED, "model": "unknown"}))
refused(lambda: client.messages.create(**{**ASKED, "messages": []}))
refused(lambda: client.messages.create(**ASKED, tools=[{"type": "web_search_20250305", "name": "web_search"}]))
refused(lambda: client.messages.create(**{**ASKED, "model": "down/m"}, extra_headers={"X-Orchestrator-Only": "true"}))
