"""What an application does with Ollama's official client, in an environment of its own. Argument: URL."""

from __future__ import annotations

import sys
from typing import Any

import ollama

client = ollama.Client(host=sys.argv[1], timeout=30, headers={"X-Orchestrator-Only": "true"})
ASKED: dict[str, Any] = {"model": "auto", "messages": [{"role": "user", "content": "Look."}]}


def look(at: str = "") -> str:
    """Looks.

    Args:
      at: where to look
    """
    return at


def say(text: object) -> None:
    print(text, flush=True)


say("models " + " ".join(str(model.model) for model in client.list().models))
for model in ("native/claude-x", "compatible/m"):
    whole = client.chat(**{**ASKED, "model": model}, tools=[look])
    parts = list(client.chat(**{**ASKED, "model": model}, tools=[look], stream=True))
    text = "".join(part.message.content or "" for part in parts)
    calls = [call.function.arguments for part in parts for call in part.message.tool_calls or ()]
    say(f"{whole.model} {whole.message.content} {[call.function.arguments for call in whole.message.tool_calls]}")
    say(f"{parts[-1].model} {text} {calls} {parts[-1].done_reason} {parts[-1].eval_count}")
    turns = [*ASKED["messages"], whole.message, *({"role": "tool", "tool_name": "look", "content": "x"} for _ in calls)]
    say(f"went on {client.chat(model=model, messages=turns).done}")
say(f"generated {client.generate(model='yes/m', prompt='Up?').response}")
say(f"streamed {''.join(part.response for part in client.generate(model='yes/m', prompt='Up?', stream=True))}")
for broken in ("unknown", "down/m"):
    try:
        client.chat(**{**ASKED, "model": broken})
    except ollama.ResponseError as error:
        say(f"{type(error).__name__} {error.status_code}")
