"""What an application does with the official client, in an environment of its own. Arguments: URL, key."""

from __future__ import annotations

import sys

import openai

client = openai.OpenAI(base_url=f"{sys.argv[1]}/v1", api_key=sys.argv[2], max_retries=0, timeout=30)
ASKED = [{"role": "user", "content": "Say something long."}]


def say(text: str) -> None:
    print(text, flush=True)


def stream(headers: dict[str, str] | None = None) -> str:
    words = []
    options = {"include_usage": True}
    for chunk in client.chat.completions.create(
        model="auto", messages=ASKED, stream=True, stream_options=options, extra_headers=headers
    ):
        if chunk.choices and chunk.choices[0].delta.content:
            if not words:
                say("begun")
            words.append(chunk.choices[0].delta.content)
    return "".join(words)


say("models " + " ".join(model.id for model in client.models.list()))
answer = client.chat.completions.create(model="primary/m", messages=ASKED)
say(f"answer {answer.model} {answer.usage.total_tokens} {answer.choices[0].message.content}")
azure = openai.AzureOpenAI(azure_endpoint=sys.argv[1], api_key=sys.argv[2], api_version="2024-10-21", max_retries=0)
answer = azure.chat.completions.create(model="primary/m", messages=ASKED)
say(f"azure {answer.model} {answer.choices[0].message.content}")
vectors = client.embeddings.create(model="tools/m", input=["Is it up?"])
say(f"vector {vectors.data[0].embedding} {vectors.usage.total_tokens}")
tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}]
call = client.chat.completions.create(model="tools/m", messages=ASKED, tools=tools)
say(f"tool {call.choices[0].message.tool_calls[0].function.name}")
answer = client.responses.create(
    model="tools/m", input="Look.", tools=[{"type": "function", "name": "look", "parameters": {}}]
)
say(f"response {answer.status} {answer.output[0].name} {answer.output[0].arguments}")
result = {"type": "function_call_output", "call_id": answer.output[0].call_id, "output": "seen"}
with client.responses.stream(model="primary/m", input=[result], previous_response_id=answer.id) as events:
    kinds = [event.type for event in events]
    final = events.get_final_response()
say(f"went on {final.output_text} {final.usage.total_tokens} {kinds[0]} {kinds[-1]}")
say(f"kept {client.responses.retrieve(final.id).output_text} {final.previous_response_id == answer.id}")
client.responses.delete(final.id)
try:
    client.responses.retrieve(final.id)
except openai.NotFoundError as error:
    say(f"forgotten {error.code}")
try:
    client.responses.create(model="auto", input="Search.", tools=[{"type": "web_search"}])
except openai.BadRequestError as error:
    say(f"refused {'web_search' in error.message}")
try:
    stream()
except openai.APIError as error:
    say(f"broken {error.code}")
say(f"again {stream()}")
say(f"whole {stream({'X-Orchestrator-Stream': 'whole'})}")
try:
    client.chat.completions.create(model="unknown", messages=ASKED)
except openai.NotFoundError as error:
    say(f"unknown {error.code}")
